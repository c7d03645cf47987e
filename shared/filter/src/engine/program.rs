//! Compiles trees to instructions for backtracking.

use crate::chars::{Case, Set};
use crate::error::FilterError;
use crate::syntax::{Assertion, Mode, Node};

/// Maximum instructions of one expression, with counted repetitions written out. A sensible filter has a few dozen.
/// Without loops, a key takes up to one step per instruction.
const MAX_INSTRUCTIONS: usize = 4_096;

/// One instruction. Addresses are indexes in the program.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Char(char),
    Set(Set),
    Assert(Assertion),
    /// Continues at the first address; if that does not match, at the second.
    Split(usize, usize),
    Jump(usize),
    /// Saves the position in a slot.
    Save(usize),
    /// Continues at `otherwise` unless the position has changed since it was saved in this slot. Ends loops over the
    /// empty text.
    IfMoved {
        slot: usize,
        otherwise: usize,
    },
    /// Matches the text of a group again.
    Reference {
        group: usize,
        case: Case,
    },
    /// Continues at `otherwise` unless the group has matched.
    IfGroup {
        group: usize,
        otherwise: usize,
    },
    /// Checks whether the following instructions match from here on or, with `behind`, from this many characters before
    /// up to here. Continues at `end`.
    Look {
        behind: Option<usize>,
        negative: bool,
        end: usize,
    },
    /// Matches the instructions up to `end` in the first way that works, and in no other.
    Atomic {
        end: usize,
    },
    /// The end of a look-around, an atomic group or the whole expression.
    Done,
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    /// Number of slots for positions: two for each group, one for each loop that may match the empty text.
    pub(super) slots: usize,
}

impl Program {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The program is too large.
    pub(super) fn compile(tree: &Node) -> Result<Self, FilterError> {
        let mut program = Self { steps: Vec::new(), slots: 2 * (last_group(tree) + 1) };
        program.node(tree)?;
        program.push(Step::Done)?;
        Ok(program)
    }

    fn push(&mut self, step: Step) -> Result<usize, FilterError> {
        if self.steps.len() >= MAX_INSTRUCTIONS {
            return Err(FilterError::TooComplex);
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn node(&mut self, node: &Node) -> Result<(), FilterError> {
        match node {
            Node::Empty => {}
            Node::Char(char) => drop(self.push(Step::Char(*char))?),
            Node::Set(set) => drop(self.push(Step::Set(set.clone()))?),
            Node::Concat(parts) => parts.iter().try_for_each(|part| self.node(part))?,
            Node::Alternatives(parts) => self.alternatives(parts)?,
            Node::Group { index: None, inner } => self.node(inner)?,
            Node::Group { index: Some(index), inner } => {
                self.push(Step::Save(2 * index))?;
                self.node(inner)?;
                self.push(Step::Save(2 * index + 1))?;
            }
            Node::Repeat { inner, least, most, mode: Mode::Possessive } => {
                // Python matches each repetition in the first way that works, and in no other.
                let once = Node::Atomic(inner.clone());
                self.atomic(|program| program.repeat(&once, *least, *most, Mode::Greedy))?;
            }
            Node::Repeat { inner, least, most, mode } => self.repeat(inner, *least, *most, *mode)?,
            Node::Assert(assertion) => drop(self.push(Step::Assert(*assertion))?),
            Node::Look { inner, behind, negative } => {
                let start = self.push(Step::Done)?;
                self.node(inner)?;
                let end = self.push(Step::Done)? + 1;
                self.steps[start] = Step::Look { behind: *behind, negative: *negative, end };
            }
            Node::Atomic(inner) => self.atomic(|program| program.node(inner))?,
            Node::Reference { group, case } => drop(self.push(Step::Reference { group: *group, case: *case })?),
            Node::IfGroup { group, yes, no } => {
                let start = self.push(Step::Done)?;
                self.node(yes)?;
                let jump = self.push(Step::Done)?;
                self.steps[start] = Step::IfGroup { group: *group, otherwise: self.steps.len() };
                self.node(no)?;
                self.steps[jump] = Step::Jump(self.steps.len());
            }
        }
        Ok(())
    }

    fn atomic(&mut self, inner: impl FnOnce(&mut Self) -> Result<(), FilterError>) -> Result<(), FilterError> {
        let start = self.push(Step::Done)?;
        inner(self)?;
        let end = self.push(Step::Done)? + 1;
        self.steps[start] = Step::Atomic { end };
        Ok(())
    }

    fn alternatives(&mut self, parts: &[Node]) -> Result<(), FilterError> {
        let mut jumps = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            if index + 1 == parts.len() {
                self.node(part)?;
                break;
            }
            let split = self.push(Step::Done)?;
            self.node(part)?;
            jumps.push(self.push(Step::Done)?);
            self.steps[split] = Step::Split(split + 1, self.steps.len());
        }
        for jump in jumps {
            self.steps[jump] = Step::Jump(self.steps.len());
        }
        Ok(())
    }

    fn repeat(&mut self, inner: &Node, least: u32, most: Option<u32>, mode: Mode) -> Result<(), FilterError> {
        for _ in 0..least {
            let before = self.steps.len();
            self.node(inner)?;
            if self.steps.len() == before {
                break;
            }
        }
        let slot = inner.may_be_empty().then_some(self.slots);
        self.slots += usize::from(slot.is_some());
        // Splits and checks that continue after the last repetition, whose address is not known yet.
        let mut exits = Vec::new();
        let copies = most.map_or(1, |most| most - least);
        for _ in 0..copies {
            let split = self.push(Step::Done)?;
            exits.push(split);
            if let Some(slot) = slot {
                self.push(Step::Save(slot))?;
            }
            self.node(inner)?;
            // After a repetition of the empty text, Python does not repeat again and continues after the loop.
            if slot.is_some() {
                exits.push(self.push(Step::Done)?);
            }
            if most.is_none() {
                self.push(Step::Jump(split))?;
            }
        }
        let end = self.steps.len();
        for (nth, at) in exits.into_iter().enumerate() {
            self.steps[at] = match slot {
                Some(slot) if nth % 2 == 1 => Step::IfMoved { slot, otherwise: end },
                _ if mode == Mode::Lazy => Step::Split(end, at + 1),
                _ => Step::Split(at + 1, end),
            };
        }
        Ok(())
    }
}

/// The largest index of a group.
fn last_group(node: &Node) -> usize {
    match node {
        Node::Group { index, inner } => index.unwrap_or_default().max(last_group(inner)),
        Node::Concat(parts) | Node::Alternatives(parts) => parts.iter().map(last_group).max().unwrap_or_default(),
        Node::Repeat { inner, .. } | Node::Look { inner, .. } | Node::Atomic(inner) => last_group(inner),
        Node::IfGroup { group, yes, no } => (*group).max(last_group(yes)).max(last_group(no)),
        Node::Reference { group, .. } => *group,
        Node::Empty | Node::Char(_) | Node::Set(_) | Node::Assert(_) => 0,
    }
}
