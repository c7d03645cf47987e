//! Automata for expressions without look-around and references, with a limit on the work per key.
//!
//! A lazy DFA decides almost all keys at about a nanosecond per byte. It makes its states when keys need them. Some
//! expressions need a new state at each byte, and the cost of a state grows with the program. Then the DFA gives up,
//! and `walk` walks the NFA and counts all steps.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{Compiler, Config, NFA, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input};

use super::hir::hir;
use super::walk::walk;
use crate::error::FilterError;
use crate::syntax::Node;

/// Maximum bytes of the compiled program. Unicode's `\w` alone takes 50 kB, so this allows about twenty of them.
/// Without a limit, an expression of 25 characters can compile to gigabytes. With a higher one, compiling would take
/// too long for a request: 1 MiB takes about 2 ms.
const MAX_PROGRAM_BYTES: usize = 1024 * 1024;

/// Maximum bytes of the lazy DFA's states, per thread that matches. Sensible filters use a few kilobytes. A key may
/// fill this cache in about a millisecond before the NFA is walked; with a much lower limit, filters with several `\w`
/// would need the NFA too.
const MAX_DFA_BYTES: usize = 256 * 1024;

type MakeCache = Box<dyn Fn() -> Cache + Send + Sync>;

/// A compiled expression, matched at the start of a text.
pub(crate) struct Automaton {
    nfa: NFA,
    dfa: DFA,
    caches: Pool<Cache, MakeCache>,
}

impl std::fmt::Debug for Automaton {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Automaton").field("states", &self.nfa.states().len()).finish_non_exhaustive()
    }
}

impl Automaton {
    /// Compiles an expression; `None` if no automaton can match it.
    ///
    /// # Errors
    /// An automaton can match it, but exceeds the limit.
    pub(crate) fn compile(tree: &Node) -> Result<Option<Self>, FilterError> {
        let Some(hir) = hir(tree, true) else { return Ok(None) };
        let config = Config::new().nfa_size_limit(Some(MAX_PROGRAM_BYTES)).which_captures(WhichCaptures::None);
        // An expression that is too large must not be compiled for backtracking instead.
        let nfa = Compiler::new().configure(config).build_from_hir(&hir).map_err(|_| FilterError::TooComplex)?;
        let config = DFA::config()
            .cache_capacity(MAX_DFA_BYTES)
            .skip_cache_capacity_check(true)
            // With word boundaries, the DFA gives up at characters beyond ASCII: the walk knows Python's words.
            .unicode_word_boundary(true)
            // If the cache was cleared once and is still inefficient, a walk is faster for this key.
            .minimum_cache_clear_count(Some(1))
            .minimum_bytes_per_state(Some(10));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa.clone()).map_err(|_| FilterError::TooComplex)?;
        let caches = {
            let dfa = dfa.clone();
            Pool::new(Box::new(move || dfa.create_cache()) as MakeCache)
        };
        Ok(Some(Self { nfa, dfa, caches }))
    }

    /// Whether the expression matches at the start of the text; `None` if that takes too many steps.
    pub(crate) fn is_match(&self, text: &str) -> Option<bool> {
        let input = Input::new(text).anchored(Anchored::Yes).earliest(true);
        match self.dfa.try_search_fwd(&mut self.caches.get(), &input) {
            Ok(end) => Some(end.is_some()),
            Err(_) => walk(&self.nfa, text),
        }
    }
}
