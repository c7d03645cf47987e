//! Reads alternatives, sequences and repetitions.

use std::collections::HashMap;

use super::width::Group;
use super::{Assertion, Flags, Mode, Node};
use crate::chars::{self, Set};
use crate::error::{FilterError, MAX_NESTING};

/// Maximum ranges of all sets together. `\w` has 770; with a higher limit, a tree could take megabytes.
const MAX_RANGES: usize = 65_536;

/// The value that means "any number" of repetitions in Python. A count must be lower.
const MAX_REPEAT: u64 = 4_294_967_295;

/// Python does not match these in sets, nor in alternatives that it turns into a set.
pub(super) const RARE_CAPITALS: FilterError =
    FilterError::Unsupported { construct: "rare capital letters while it ignores case" };

/// Reads an expression.
///
/// # Errors
/// Python's `re.compile` refuses it, it is nested too deeply, or it uses a construct that Longshore does not support.
pub(crate) fn parse(pattern: &str) -> Result<Node, FilterError> {
    let mut parser = Parser::new(pattern);
    let flags = parser.leading_flags()?;
    let tree = parser.alternatives(flags)?;
    if parser.peek().is_some() {
        return Err(parser.invalid("unbalanced parenthesis"));
    }
    parser.check_conditions()?;
    Ok(tree)
}

/// Reads an expression from its start to its end.
pub(super) struct Parser {
    text: Vec<char>,
    at: usize,
    /// Group n has index n - 1.
    pub(super) groups: Vec<Group>,
    pub(super) names: HashMap<String, usize>,
    /// Groups that conditions named before the groups were read, with the positions of the conditions.
    pub(super) later_groups: Vec<(usize, usize)>,
    /// The number of groups before the outermost open look-behind.
    pub(super) before_look_behind: Option<usize>,
    depth: u32,
    ranges: usize,
}

impl Parser {
    fn new(pattern: &str) -> Self {
        Self {
            text: pattern.chars().collect(),
            at: 0,
            groups: Vec::new(),
            names: HashMap::new(),
            later_groups: Vec::new(),
            before_look_behind: None,
            depth: 0,
            ranges: 0,
        }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Consumes up to `most` characters for which `is_right` returns true.
    pub(super) fn take_while(&mut self, most: usize, is_right: impl Fn(char) -> bool) -> String {
        let taken: String =
            self.text[self.at..].iter().copied().take(most).take_while(|char| is_right(*char)).collect();
        self.at += taken.chars().count();
        taken
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn go_to(&mut self, position: usize) {
        self.at = position;
    }

    /// A fault at the current position.
    pub(super) fn invalid(&self, fault: impl Into<String>) -> FilterError {
        self.invalid_at(self.at, fault)
    }

    /// A fault at this position, where Python reports it.
    pub(super) fn invalid_at(&self, at: usize, fault: impl Into<String>) -> FilterError {
        FilterError::Invalid { fault: fault.into(), at: at.min(self.text.len()), glob: None }
    }

    /// Adds the ranges of a set to the count for the whole tree.
    pub(super) fn counted(&mut self, set: Set) -> Result<Set, FilterError> {
        self.ranges += set.ranges().len();
        if self.ranges > MAX_RANGES { Err(FilterError::TooComplex) } else { Ok(set) }
    }

    /// Reads alternatives up to the `)` that ends them or the end of the text.
    pub(super) fn alternatives(&mut self, flags: Flags) -> Result<Node, FilterError> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(FilterError::TooDeep);
        }
        let first = self.sequence(flags)?;
        let node = if self.peek() == Some('|') {
            let mut branches = vec![first];
            while self.eat('|') {
                branches.push(self.sequence(flags)?);
            }
            Node::Alternatives(branches)
        } else {
            first
        };
        self.depth -= 1;
        Ok(node)
    }

    /// Reads a sequence up to the `|` or `)` that ends it, or the end of the text.
    pub(super) fn sequence(&mut self, flags: Flags) -> Result<Node, FilterError> {
        let mut items: Vec<Node> = Vec::new();
        while let Some(char) = self.peek() {
            if matches!(char, '|' | ')') {
                break;
            }
            let start = self.at;
            self.at += 1;
            if flags.verbose && self.skip_blank(char)? {
                continue;
            }
            let node = match char {
                '\\' => self.escape(flags)?,
                '[' => self.set(flags)?,
                '.' if flags.dot_all => Node::Set(chars::any()),
                '.' => Node::Set(chars::any_but_line_feed()),
                '^' if flags.multi_line => Node::Assert(Assertion::StartLine),
                '^' => Node::Assert(Assertion::Start),
                '$' if flags.multi_line => Node::Assert(Assertion::EndLine),
                '$' => Node::Assert(Assertion::EndOrLastLineFeed),
                '(' => match self.group(flags)? {
                    Some(node) => node,
                    None => continue,
                },
                '*' | '+' | '?' | '{' => match self.count(char)? {
                    Some((least, most)) => {
                        self.repeat(&mut items, (least, most), start)?;
                        continue;
                    }
                    None => self.literal('{', flags)?,
                },
                other => self.literal(other, flags)?,
            };
            items.push(node);
        }
        Ok(match items.len() {
            0 => Node::Empty,
            1 => items.swap_remove(0),
            _ => Node::Concat(items),
        })
    }

    /// Whether the flag `x` makes a character meaningless: white space, or the start of a comment, which this skips up
    /// to the end of its line.
    fn skip_blank(&mut self, char: char) -> Result<bool, FilterError> {
        if char == '#' {
            while self.sign()?.is_some_and(|sign| sign != '\n') {}
        }
        Ok(char == '#' || is_blank(char))
    }

    /// Consumes one sign of a comment. An escape is one sign, so `\)` or an escaped line feed does not end the comment.
    pub(super) fn sign(&mut self) -> Result<Option<char>, FilterError> {
        let sign = self.next();
        if sign == Some('\\') && self.next().is_none() {
            return Err(self.invalid_at(self.at - 1, "bad escape (end of pattern)"));
        }
        Ok(sign)
    }

    pub(super) fn literal(&mut self, char: char, flags: Flags) -> Result<Node, FilterError> {
        if chars::is_missed_by_python(char, flags.case()) {
            return Err(RARE_CAPITALS);
        }
        Ok(match chars::same_letters(char, flags.case()) {
            Some(set) => Node::Set(self.counted(set)?),
            None => Node::Char(char),
        })
    }

    /// The minimum and maximum of a quantifier; `None` if it is a brace that is not a quantifier.
    fn count(&mut self, quantifier: char) -> Result<Option<(u32, Option<u32>)>, FilterError> {
        match quantifier {
            '*' => return Ok(Some((0, None))),
            '+' => return Ok(Some((1, None))),
            '?' => return Ok(Some((0, Some(1)))),
            _ => {}
        }
        let start = self.at;
        if self.peek() == Some('}') {
            return Ok(None);
        }
        let least = self.take_while(usize::MAX, |char| char.is_ascii_digit());
        let most =
            if self.eat(',') { self.take_while(usize::MAX, |char| char.is_ascii_digit()) } else { least.clone() };
        if !self.eat('}') {
            self.at = start;
            return Ok(None);
        }
        let least = self.repeat_count(&least, start)?.unwrap_or_default();
        let most = self.repeat_count(&most, start)?;
        if most.is_some_and(|most| most < least) {
            return Err(self.invalid_at(start, "min repeat greater than max repeat"));
        }
        Ok(Some((least, most)))
    }

    fn repeat_count(&self, digits: &str, start: usize) -> Result<Option<u32>, FilterError> {
        if digits.is_empty() {
            return Ok(None);
        }
        let count = digits.parse::<u64>().ok().filter(|count| *count < MAX_REPEAT);
        let count = count.ok_or_else(|| self.invalid_at(start, "the repetition number is too large"))?;
        Ok(u32::try_from(count).ok())
    }

    /// Repeats the last item, in the mode that the next character sets. `start` is the position of the quantifier.
    fn repeat(
        &mut self,
        items: &mut Vec<Node>,
        (least, most): (u32, Option<u32>),
        start: usize,
    ) -> Result<(), FilterError> {
        let inner = match items.pop() {
            None | Some(Node::Assert(_)) => return Err(self.invalid_at(start, "nothing to repeat")),
            Some(Node::Repeat { .. }) => return Err(self.invalid_at(start, "multiple repeat")),
            Some(item) => Box::new(item),
        };
        let mode = if self.eat('?') {
            Mode::Lazy
        } else if self.eat('+') {
            Mode::Possessive
        } else {
            Mode::Greedy
        };
        items.push(Node::Repeat { inner, least, most, mode });
        Ok(())
    }
}

/// White space that the flag `x` makes meaningless.
pub(super) fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}
