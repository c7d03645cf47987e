//! Work that only one process of a deployment does at a time.

use crate::{Db, GenericClient, Result, Transaction};

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

/// Does work elsewhere while the transaction holds its lock.
///
/// The database ends a transaction whose process sends nothing for twice [`Db::patience`], so it gets an empty statement
/// in a quarter of that time.
///
/// # Errors
/// The database is unavailable. Then another process may hold the lock, and the work has ended.
pub async fn hold<T>(db: &Db, tx: &Transaction<'_>, work: impl Future<Output = T>) -> Result<T> {
    let lost = async {
        loop {
            tokio::time::sleep(db.patience() / 2).await;
            if let Err(error) = db.in_time(async { Ok(tx.batch_execute("").await?) }).await {
                return error;
            }
        }
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        error = lost => Err(error),
    }
}
