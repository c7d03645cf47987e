//! Expressions with look-around or back-references, compiled to instructions.

use std::collections::HashMap;
use std::sync::Arc;

use fancy_regex::{Assertion, Expr, LookAround};

use super::FilterError;

/// Instructions of one expression, counted repetitions written out. A sensible filter has some dozen; each key
/// costs as many steps as there are instructions before anything repeats.
const MAX_INSTRUCTIONS: usize = 4_096;

/// Ranges of all classes together. `\w` has 800; more would be a program of megabytes.
const MAX_RANGES: usize = 65_536;

/// Characters of a class, as sorted ranges.
pub(super) type Class = Arc<[(char, char)]>;

/// One instruction. Addresses are places in the program.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Char(char),
    Class(Class),
    /// Any character, or any but a line feed.
    Any {
        newline: bool,
    },
    Assert(Assertion),
    /// Goes on at the first place, and at the second if that leads nowhere.
    Split(usize, usize),
    Jump(usize),
    /// Remembers the position.
    Save(usize),
    /// Goes on only if the position moved since it was remembered in this slot: ends loops over nothing.
    Moved(usize),
    Backref {
        group: usize,
        any_case: bool,
    },
    /// Goes on at `otherwise` unless the group has matched.
    IfGroup {
        group: usize,
        otherwise: usize,
    },
    /// Whether what follows matches here (or, behind, ends here); goes on at `end`.
    Look {
        behind: Option<usize>,
        negative: bool,
        end: usize,
    },
    /// What follows up to `end` is matched in the first way that works, and in no other.
    Atomic {
        end: usize,
    },
    /// The end of a look-around, an atomic group or the whole.
    Done,
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    /// Places for positions: two for each group, one for each loop.
    pub(super) slots: usize,
}

struct Compiler {
    steps: Vec<Step>,
    groups: usize,
    /// Groups that the whole expression has.
    all_groups: usize,
    slots: usize,
    classes: HashMap<(String, bool), Class>,
    ranges: usize,
}

impl Program {
    /// Compiles an expression.
    ///
    /// # Errors
    /// It is no valid expression, uses what Python's have not, or compiles to too much.
    pub(super) fn compile(pattern: &str) -> Result<Self, FilterError> {
        let tree = Expr::parse_tree(pattern).map_err(|error| FilterError::Invalid(Box::new(error)))?;
        let all_groups = groups(&tree.expr);
        let mut compiler = Compiler {
            steps: Vec::new(),
            groups: 0,
            all_groups,
            slots: 2 * (all_groups + 1),
            classes: HashMap::new(),
            ranges: 0,
        };
        compiler.expression(&tree.expr)?;
        compiler.push(Step::Done)?;
        Ok(Self { steps: compiler.steps, slots: compiler.slots })
    }
}

/// Capturing groups in an expression.
fn groups(expression: &Expr) -> usize {
    let own = usize::from(matches!(expression, Expr::Group(_)));
    own + expression.children_iter().map(groups).sum::<usize>()
}

impl Compiler {
    fn push(&mut self, step: Step) -> Result<usize, FilterError> {
        if self.steps.len() >= MAX_INSTRUCTIONS {
            return Err(FilterError::TooComplex);
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn expression(&mut self, expression: &Expr) -> Result<(), FilterError> {
        match expression {
            Expr::Empty => {}
            Expr::Any { newline, .. } => drop(self.push(Step::Any { newline: *newline })?),
            Expr::Assertion(assertion) => drop(self.push(Step::Assert(*assertion))?),
            Expr::Literal { val, casei } => self.literal(val, *casei)?,
            Expr::LiteralBytes { bytes } => {
                for byte in bytes {
                    self.push(Step::Char(char::from(*byte)))?;
                }
            }
            Expr::Concat(parts) => parts.iter().try_for_each(|part| self.expression(part))?,
            Expr::Alt(parts) => self.alternatives(parts)?,
            Expr::Group(inner) => {
                self.groups += 1;
                let group = self.groups;
                self.push(Step::Save(2 * group))?;
                self.expression(inner)?;
                self.push(Step::Save(2 * group + 1))?;
            }
            Expr::LookAround(inner, look) => self.look_around(inner, *look)?,
            Expr::Repeat { child, lo, hi, greedy } => self.repetition(child, *lo, *hi, *greedy)?,
            Expr::Delegate { inner, casei } => {
                let class = self.class(inner, *casei)?;
                self.push(Step::Class(class))?;
            }
            Expr::Backref { group, casei } => {
                self.check_group(*group)?;
                self.push(Step::Backref { group: *group, any_case: *casei })?;
            }
            Expr::AtomicGroup(inner) => {
                let start = self.push(Step::Atomic { end: 0 })?;
                self.expression(inner)?;
                let end = self.push(Step::Done)? + 1;
                self.steps[start] = Step::Atomic { end };
            }
            Expr::Conditional { condition, true_branch, false_branch } => {
                let Expr::BackrefExistsCondition { group, relative_recursion_level: None } = **condition else {
                    return Err(FilterError::Unsupported);
                };
                self.check_group(group)?;
                let start = self.push(Step::IfGroup { group, otherwise: 0 })?;
                self.expression(true_branch)?;
                let jump = self.push(Step::Jump(0))?;
                self.steps[start] = Step::IfGroup { group, otherwise: self.steps.len() };
                self.expression(false_branch)?;
                self.steps[jump] = Step::Jump(self.steps.len());
            }
            // Not in Python's expressions.
            Expr::GeneralNewline { .. }
            | Expr::BackrefWithRelativeRecursionLevel { .. }
            | Expr::KeepOut
            | Expr::ContinueFromPreviousMatchEnd
            | Expr::BackrefExistsCondition { .. }
            | Expr::SubroutineCall(_)
            | Expr::BacktrackingControlVerb(_)
            | Expr::Absent(_)
            | Expr::DefineGroup { .. }
            | Expr::AstNode(..) => return Err(FilterError::Unsupported),
        }
        Ok(())
    }

    fn check_group(&self, group: usize) -> Result<(), FilterError> {
        if group == 0 || group > self.all_groups { Err(FilterError::NoGroup(group)) } else { Ok(()) }
    }

    fn literal(&mut self, text: &str, any_case: bool) -> Result<(), FilterError> {
        for char in text.chars() {
            let step = if any_case && char.is_alphabetic() {
                Step::Class(self.class(&char.to_string(), true)?)
            } else {
                Step::Char(char)
            };
            self.push(step)?;
        }
        Ok(())
    }

    fn alternatives(&mut self, parts: &[Expr]) -> Result<(), FilterError> {
        let mut jumps = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            if index + 1 == parts.len() {
                self.expression(part)?;
                break;
            }
            let split = self.push(Step::Split(0, 0))?;
            self.expression(part)?;
            jumps.push(self.push(Step::Jump(0))?);
            self.steps[split] = Step::Split(split + 1, self.steps.len());
        }
        for jump in jumps {
            self.steps[jump] = Step::Jump(self.steps.len());
        }
        Ok(())
    }

    fn look_around(&mut self, inner: &Expr, look: LookAround) -> Result<(), FilterError> {
        let (is_behind, negative) = match look {
            LookAround::LookAhead => (false, false),
            LookAround::LookAheadNeg => (false, true),
            LookAround::LookBehind => (true, false),
            LookAround::LookBehindNeg => (true, true),
        };
        let behind = is_behind.then(|| longest(inner).unwrap_or(usize::MAX));
        let start = self.push(Step::Look { behind, negative, end: 0 })?;
        self.expression(inner)?;
        let end = self.push(Step::Done)? + 1;
        self.steps[start] = Step::Look { behind, negative, end };
        Ok(())
    }

    fn repetition(&mut self, child: &Expr, least: usize, most: usize, greedy: bool) -> Result<(), FilterError> {
        let groups = self.groups;
        let split = |body, end| if greedy { Step::Split(body, end) } else { Step::Split(end, body) };
        // Each copy of the body has the same groups.
        for _ in 0..least {
            self.groups = groups;
            let before = self.steps.len();
            self.expression(child)?;
            if self.steps.len() == before {
                break;
            }
        }
        self.groups = groups;
        if most == usize::MAX {
            let slot = self.slots;
            self.slots += 1;
            let start = self.push(Step::Split(0, 0))?;
            self.push(Step::Save(slot))?;
            self.expression(child)?;
            self.push(Step::Moved(slot))?;
            self.push(Step::Jump(start))?;
            self.steps[start] = split(start + 1, self.steps.len());
            return Ok(());
        }
        let mut splits = Vec::new();
        for _ in least..most {
            self.groups = groups;
            splits.push(self.push(Step::Split(0, 0))?);
            self.expression(child)?;
        }
        for start in splits {
            self.steps[start] = split(start + 1, self.steps.len());
        }
        if least == 0 && most == 0 {
            self.groups += self::groups(child);
        }
        Ok(())
    }

    /// The characters that an expression of one character matches.
    fn class(&mut self, inner: &str, any_case: bool) -> Result<Class, FilterError> {
        let known = (inner.to_owned(), any_case);
        if let Some(class) = self.classes.get(&known) {
            return Ok(Arc::clone(class));
        }
        let mut parser = regex_syntax::ParserBuilder::new().case_insensitive(any_case).build();
        let text = if inner.chars().count() == 1 { regex_syntax::escape(inner) } else { inner.to_owned() };
        let hir = parser.parse(&text).map_err(|_| FilterError::Unsupported)?;
        let class: Class = match hir.kind() {
            regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
                class.iter().map(|range| (range.start(), range.end())).collect()
            }
            regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Bytes(class)) => {
                class.iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
            }
            regex_syntax::hir::HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).map_err(|_| FilterError::Unsupported)?;
                text.chars().map(|char| (char, char)).collect()
            }
            _ => return Err(FilterError::Unsupported),
        };
        self.ranges += class.len();
        if self.ranges > MAX_RANGES {
            return Err(FilterError::TooComplex);
        }
        self.classes.insert(known, Arc::clone(&class));
        Ok(class)
    }
}

/// The most characters that an expression can match; `None` if there is no such number.
fn longest(expression: &Expr) -> Option<usize> {
    match expression {
        Expr::Empty | Expr::Assertion(_) | Expr::LookAround(..) => Some(0),
        Expr::Any { .. } | Expr::Delegate { .. } => Some(1),
        Expr::Literal { val, .. } => Some(val.chars().count()),
        Expr::LiteralBytes { bytes } => Some(bytes.len()),
        Expr::Concat(parts) => parts.iter().try_fold(0_usize, |sum, part| sum.checked_add(longest(part)?)),
        Expr::Alt(parts) => parts.iter().try_fold(0, |most, part| Some(longest(part)?.max(most))),
        Expr::Group(inner) => longest(inner),
        Expr::AtomicGroup(inner) => longest(inner),
        Expr::Repeat { child, hi, .. } if *hi != usize::MAX => longest(child)?.checked_mul(*hi),
        _ => None,
    }
}
