//! Placeholder.

pub mod proxy;
