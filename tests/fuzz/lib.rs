//! Fuzz targets for parsers of external input, in `targets.rs`.
//!
//! `cargo test -p longshore-fuzz` runs them with the corpus, damaged copies of it, and random bytes.
//! `tests/fuzz/README.md` has the commands for longer runs and for runs guided by coverage.
