//! Expressions without look-around and back-references: automata, with a limit on the work per key.
//!
//! A lazy DFA decides almost all keys at about a nanosecond per byte. Its states are made as keys need them, and
//! an expression can be written that needs a new state at each byte, each as costly as the program is large. Then
//! the DFA gives up, and the NFA is walked with every step counted.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{Compiler, Config, NFA, State, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, Input};

use super::{FilterError, MAX_NESTING, MAX_STEPS};

/// Bytes of the compiled program. Unicode's `\w` alone takes 50 kB, so this is about twenty of them; without a
/// limit, 25 characters compile to gigabytes. Higher, compiling takes longer than a request should: 1 MiB takes about
/// 2 ms.
const MAX_PROGRAM_BYTES: usize = 1024 * 1024;

/// Bytes of the lazy DFA's states, per thread that matches. Sensible filters use a few kilobytes. To fill it takes
/// about a millisecond, which a key may cost in vain before the NFA is walked; much lower, filters with several
/// `\w` would be walked too.
const MAX_DFA_BYTES: usize = 256 * 1024;

type MakeCache = Box<dyn Fn() -> Cache + Send + Sync>;

/// A compiled expression, matched at the start of a text.
pub(super) struct Plain {
    nfa: NFA,
    dfa: DFA,
    caches: Pool<Cache, MakeCache>,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Plain").field("states", &self.nfa.states().len()).finish_non_exhaustive()
    }
}

impl Plain {
    /// Compiles an expression; `None` if it is not one of this kind.
    ///
    /// # Errors
    /// It is one, but compiles to more than the limit or is nested too deeply.
    pub(super) fn compile(pattern: &str) -> Result<Option<Self>, FilterError> {
        let mut parser = regex_syntax::ParserBuilder::new().nest_limit(MAX_NESTING).build();
        let hir = match parser.parse(pattern) {
            Ok(hir) => hir,
            Err(regex_syntax::Error::Parse(error))
                if matches!(error.kind(), regex_syntax::ast::ErrorKind::NestLimitExceeded(_)) =>
            {
                return Err(FilterError::TooDeep);
            }
            Err(_) => return Ok(None),
        };
        let config = Config::new().nfa_size_limit(Some(MAX_PROGRAM_BYTES)).which_captures(WhichCaptures::None);
        // What is too large must not be compiled in another way instead.
        let nfa = Compiler::new().configure(config).build_from_hir(&hir).map_err(|_| FilterError::TooComplex)?;
        let config = DFA::config()
            .cache_capacity(MAX_DFA_BYTES)
            .skip_cache_capacity_check(true)
            .unicode_word_boundary(true)
            // Cleared once, and used poorly again: this key is better walked.
            .minimum_cache_clear_count(Some(1))
            .minimum_bytes_per_state(Some(10));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa.clone()).map_err(|_| FilterError::TooComplex)?;
        let caches = {
            let dfa = dfa.clone();
            Pool::new(Box::new(move || dfa.create_cache()) as MakeCache)
        };
        Ok(Some(Self { nfa, dfa, caches }))
    }

    /// Whether the expression matches at the start of the text, or `None` if that takes too many steps to say.
    pub(super) fn is_match(&self, text: &str) -> Option<bool> {
        let input = Input::new(text).anchored(Anchored::Yes).earliest(true);
        match self.dfa.try_search_fwd(&mut self.caches.get(), &input) {
            Ok(end) => Some(end.is_some()),
            Err(_) => self.walk(text),
        }
    }

    /// Walks all paths of the NFA at once, byte by byte.
    fn walk(&self, text: &str) -> Option<bool> {
        let mut walk = Walk {
            nfa: &self.nfa,
            text: text.as_bytes(),
            seen: vec![0; self.nfa.states().len()],
            open: Vec::new(),
            steps: 0,
        };
        let (mut now, mut next) = (Vec::new(), Vec::new());
        if walk.enter(self.nfa.start_anchored(), 0, &mut now)? {
            return Some(true);
        }
        for (at, &byte) in text.as_bytes().iter().enumerate() {
            for &state in &now {
                if let Some(to) = walk.follow(state, byte)?
                    && walk.enter(to, at + 1, &mut next)?
                {
                    return Some(true);
                }
            }
            now.clear();
            std::mem::swap(&mut now, &mut next);
            if now.is_empty() {
                break;
            }
        }
        Some(false)
    }
}

/// The work on one text.
struct Walk<'a> {
    nfa: &'a NFA,
    text: &'a [u8],
    /// For each state the offset after which it was entered last, counted from 1.
    seen: Vec<usize>,
    open: Vec<StateID>,
    steps: usize,
}

impl Walk<'_> {
    /// Counts work; `None` once it is too much.
    fn count(&mut self, steps: usize) -> Option<()> {
        self.steps += steps;
        (self.steps <= MAX_STEPS).then_some(())
    }

    /// Enters a state and all that follow it without a byte; true if the expression has matched.
    fn enter(&mut self, state: StateID, at: usize, states: &mut Vec<StateID>) -> Option<bool> {
        self.open.push(state);
        while let Some(id) = self.open.pop() {
            self.count(1)?;
            if std::mem::replace(&mut self.seen[id.as_usize()], at + 1) == at + 1 {
                continue;
            }
            match self.nfa.state(id) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => states.push(id),
                State::Look { look, next } => {
                    if self.nfa.look_matcher().matches(*look, self.text, at) {
                        self.open.push(*next);
                    }
                }
                State::Union { alternates } => {
                    self.count(alternates.len())?;
                    self.open.extend(alternates.iter().copied());
                }
                State::BinaryUnion { alt1, alt2 } => self.open.extend([*alt1, *alt2]),
                State::Capture { next, .. } => self.open.push(*next),
                State::Fail => {}
                State::Match { .. } => return Some(true),
            }
        }
        Some(false)
    }

    /// Where a byte leads from a state.
    fn follow(&mut self, state: StateID, byte: u8) -> Option<Option<StateID>> {
        self.count(1)?;
        Some(match self.nfa.state(state) {
            State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
            State::Sparse(transitions) => {
                self.count(transitions.transitions.len() / 8)?;
                transitions.matches_byte(byte)
            }
            State::Dense(transitions) => transitions.matches_byte(byte),
            State::Look { .. }
            | State::Union { .. }
            | State::BinaryUnion { .. }
            | State::Capture { .. }
            | State::Fail
            | State::Match { .. } => None,
        })
    }
}
