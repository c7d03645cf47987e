//! Readers of what others wrote, given what nobody would write: the targets are in `targets.rs`.
//!
//! `cargo test -p longshore-fuzz` reads the kept corpus, then thousands of damaged copies of it, then
//! random bytes. `tests/fuzz/README.md` says how to run longer, and by coverage.
