//! Damaged copies of the corpus, because random bytes rarely pass the first check of a parser.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};

/// Damaged inputs per target and run.
const COPIES: usize = 10_000;

/// Maximum input length in bytes; longer inputs only take time.
const LONGEST: usize = 4_096;

/// Runs a target with damaged copies of its corpus. A failure prints the input.
pub(super) fn check(name: &str, target: fn(&[u8])) {
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    // A random seed is fine, because the printed input is enough to reproduce a failure.
    let mut random = SmallRng::from_rng(&mut rand::rng());
    for _ in 0..COPIES {
        let mut input = corpus.choose(&mut random).expect("a corpus").clone();
        for _ in 0..random.random_range(1..4) {
            damage(&mut input, &corpus, &mut random);
        }
        input.truncate(LONGEST);
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            panic!("{name} panics on b\"{}\"", input.escape_ascii());
        }
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("__fuzz__").join(name).join("corpus");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.map(|file| std::fs::read(file.expect("a file").path()).expect("a readable file")).collect()
}

/// Makes one random change.
fn damage(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut impl Rng) {
    let range = |length: usize, random: &mut dyn FnMut(usize) -> usize| {
        let start = random(length + 1);
        start..start + random((length - start).min(64) + 1)
    };
    let mut below = |end: usize| random.random_range(0..end);
    match below(6) {
        0 if !input.is_empty() => {
            let at = below(input.len());
            input[at] ^= 1 << below(8);
        }
        1 if !input.is_empty() => {
            let at = below(input.len());
            input[at] = u8::try_from(below(256)).expect("a byte");
        }
        2 => drop(input.drain(range(input.len(), &mut below))),
        3 => {
            let (part, at) = (range(input.len(), &mut below), below(input.len() + 1));
            let copy = input[part].to_vec();
            let times = [1, 2, 40][below(3)];
            input.splice(at..at, copy.repeat(times));
        }
        4 => {
            let other = &corpus[below(corpus.len())];
            let (part, at) = (range(other.len(), &mut below), below(input.len() + 1));
            input.splice(at..at, other[part].iter().copied());
        }
        _ => input.truncate(below(input.len() + 1)),
    }
}
