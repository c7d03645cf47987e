//! Expressions without look-around and references: automata, with a limit on the work per key.
//!
//! A lazy DFA decides almost all keys at about a nanosecond per byte. Its states are made as keys need them, and
//! an expression can be written that needs a new state at each byte, each as costly as the program is large. Then
//! the DFA gives up, and the NFA is walked with every step counted.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{Compiler, Config, NFA, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input};

use super::hir::hir;
use super::walk::walk;
use crate::error::FilterError;
use crate::syntax::Node;

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
    /// One can, but it compiles to more than the limit.
    pub(crate) fn compile(tree: &Node) -> Result<Option<Self>, FilterError> {
        let Some(hir) = hir(tree, true) else { return Ok(None) };
        let config = Config::new().nfa_size_limit(Some(MAX_PROGRAM_BYTES)).which_captures(WhichCaptures::None);
        // What is too large must not be compiled in another way instead.
        let nfa = Compiler::new().configure(config).build_from_hir(&hir).map_err(|_| FilterError::TooComplex)?;
        let config = DFA::config()
            .cache_capacity(MAX_DFA_BYTES)
            .skip_cache_capacity_check(true)
            // The DFA gives up at a character beyond ASCII where words count: the walk knows Python's words.
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
    pub(crate) fn is_match(&self, text: &str) -> Option<bool> {
        let input = Input::new(text).anchored(Anchored::Yes).earliest(true);
        match self.dfa.try_search_fwd(&mut self.caches.get(), &input) {
            Ok(end) => Some(end.is_some()),
            Err(_) => walk(&self.nfa, text),
        }
    }
}
