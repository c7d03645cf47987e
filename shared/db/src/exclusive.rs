//! Work that only one process of a deployment does at a time.

use crate::{GenericClient, Result, Transaction};

/// Such work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusive {
    /// Reading or deleting dead letters: what one reader holds, another one does not see.
    DeadLetters,
}

impl Exclusive {
    /// The advisory lock of the work.
    const fn key(self) -> i64 {
        match self {
            // "longdead" in ASCII.
            Self::DeadLetters => 0x6c6f_6e67_6465_6164,
        }
    }
}

/// Waits until no other process does this work. The transaction holds it until it ends.
///
/// # Errors
/// The database is unavailable.
pub async fn begin(tx: &Transaction<'_>, work: Exclusive) -> Result<()> {
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&work.key()]).await?;
    Ok(())
}
