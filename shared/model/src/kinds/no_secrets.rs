//! The secrets of kinds that have none.

use serde::Deserialize;

use super::kind::KindSecrets;
use crate::Secret;

/// No secret fields: the processes' own identity reaches the storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct NoSecrets {}

impl KindSecrets for NoSecrets {
    fn texts(&self) -> Vec<(&'static str, Option<&Secret>)> {
        Vec::new()
    }
}
