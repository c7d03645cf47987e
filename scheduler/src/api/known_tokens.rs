//! Tokens found a moment ago, so that a host which asks often does not cost the database a look-up each time.
//!
//! A token that is removed through this scheduler is refused from then on; another scheduler refuses it
//! within a second, for it trusts what it remembers no longer than that. Changed scopes likewise.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longshore_db::tokens::{self, TokenRow};
use longshore_db::{Db, Result};
use longshore_model::Secret;
use tokio::time::Instant;

/// Longer would let a token live on at the other schedulers after its end; shorter would hardly save a look-up.
const FRESH: Duration = Duration::from_secs(1);

/// Digests of tokens that exist; whoever guesses tokens fills nothing.
#[derive(Clone, Default)]
pub(super) struct KnownTokens(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    found: HashMap<[u8; 32], (TokenRow, Instant)>,
    /// Counts the removals: what was read before one may be gone after it.
    removals: u64,
}

impl KnownTokens {
    /// The row of a token, or `None` if there is none.
    ///
    /// # Errors
    /// The database is away.
    pub(super) async fn find(&self, db: &Db, token: &Secret) -> Result<Option<TokenRow>> {
        let digest = tokens::digest(token);
        if let Some(row) = self.known(&digest) {
            return Ok(Some(row));
        }
        let removals = self.lock().removals;
        let row = tokens::find(&db.client().await?, &digest).await?;
        if let Some(row) = &row {
            self.remember(digest, row.clone(), removals);
        }
        Ok(row)
    }

    /// Forgets every token: one was removed. Call it once that is committed.
    pub(super) fn forget(&self) {
        let mut known = self.lock();
        known.found.clear();
        known.removals += 1;
    }

    fn known(&self, digest: &[u8; 32]) -> Option<TokenRow> {
        let known = self.lock();
        let (row, found) = known.found.get(digest)?;
        (found.elapsed() < FRESH).then(|| row.clone())
    }

    /// Remembers a row that was read after so many removals, unless there has been another since.
    fn remember(&self, digest: [u8; 32], row: TokenRow, removals: u64) {
        let mut known = self.lock();
        if known.removals == removals {
            known.found.insert(digest, (row, Instant::now()));
        }
    }

    /// The map is right after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: [u8; 32] = [7; 32];

    fn row() -> TokenRow {
        TokenRow {
            id: 1,
            name: "host".to_owned(),
            role: "sync".to_owned(),
            projects: None,
            created_at: chrono::Utc::now(),
            last_used_at: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_known_for_a_second() {
        let tokens = KnownTokens::default();
        tokens.remember(DIGEST, row(), 0);
        assert_eq!(tokens.known(&DIGEST).map(|row| row.name).as_deref(), Some("host"));
        assert!(tokens.known(&[8; 32]).is_none(), "another token");
        tokio::time::advance(FRESH).await;
        assert!(tokens.known(&DIGEST).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_token_is_not_known_at_all_even_if_it_was_read_just_before() {
        let tokens = KnownTokens::default();
        tokens.remember(DIGEST, row(), 0);
        tokens.forget();
        assert!(tokens.known(&DIGEST).is_none());
        tokens.remember(DIGEST, row(), 0);
        assert!(tokens.known(&DIGEST).is_none(), "read before the removal, remembered after it");
        tokens.remember(DIGEST, row(), 1);
        assert!(tokens.known(&DIGEST).is_some(), "read after the removal of another");
    }
}
