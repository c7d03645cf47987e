//! Caches tokens for a second, and looks up many others with one query.
//!
//! A token that is removed through this scheduler is refused from then on; another scheduler refuses it within a second,
//! because it trusts its cache no longer than that. The same holds for changed scopes.
//!
//! Anyone can send a token that does not exist, so a look-up must not cost a query each. Requests that need one at the
//! same time share a query, and queries start a few milliseconds apart: guessing costs the database a bounded number of
//! them, and a caller with a valid token waits no longer than one who guesses. `moka` could share the look-ups of one
//! token, but not those of many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use longshore_db::tokens::{self, TokenDigest, TokenRow};
use longshore_db::{Db, Error, Result};
use moka::sync::Cache;
use prometheus::{IntCounter, Registry};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a row is trusted. Longer would let other schedulers accept a deleted token; shorter would hardly save a
/// look-up.
const FRESH: Duration = Duration::from_secs(1);

/// Tokens that are cached, each some hundred bytes. Hosts use a few; with more than this in use within a second, some
/// are looked up again.
const CAPACITY: u64 = 10_000;

/// Queries at once. More than one, so that a database connection that went silent stops no other look-up; more
/// would take database connections from the loops.
pub(crate) const LOOKUPS: usize = 3;

/// Time between the starts of two queries: a hundred a second at most. Longer would delay requests with a token that
/// is not cached; shorter would let guesses cost more.
const PACE: Duration = Duration::from_millis(10);

/// How long a query may take. It finds a few rows by their key; a database that is silent for longer is
/// unavailable.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tokens that exist, by their digests; guesses take no space. Clones share them.
#[derive(Clone)]
pub(in crate::api) struct KnownTokens(Arc<Inner>);

struct Inner {
    found: Cache<TokenDigest, FoundToken>,
    /// Counts removals. A row that was read before the last one may be missing by now, and is not trusted.
    removals: AtomicU64,
    /// Look-ups that wait for the next query.
    waiting: Mutex<Vec<(TokenDigest, Answer)>>,
    queries: Semaphore,
    next: Mutex<Instant>,
    lookups: IntCounter,
}

#[derive(Clone)]
struct FoundToken {
    row: TokenRow,
    found_at: Instant,
    /// The removals before it was read.
    removals: u64,
}

/// What a query found; `Err` if it failed.
type Answer = Arc<OnceLock<std::result::Result<Option<TokenRow>, ()>>>;

impl KnownTokens {
    /// Knows no token, and registers the counter of queries.
    ///
    /// # Errors
    /// It is registered already.
    pub(in crate::api) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let lookups = IntCounter::new("longshore_token_queries_total", "Queries that looked tokens up.")?;
        registry.register(Box::new(lookups.clone()))?;
        Ok(Self(Arc::new(Inner {
            found: Cache::builder().max_capacity(CAPACITY).time_to_live(FRESH).build(),
            removals: AtomicU64::new(0),
            waiting: Mutex::default(),
            queries: Semaphore::new(LOOKUPS),
            next: Mutex::new(Instant::now()),
            lookups,
        })))
    }

    /// The row of a token, or `None` if there is none.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(in crate::api) async fn find(&self, db: &Db, digest: TokenDigest) -> Result<Option<TokenRow>> {
        if let Some(row) = self.known(&digest) {
            return Ok(Some(row));
        }
        let answer = Answer::default();
        self.0.waiting().push((digest, Arc::clone(&answer)));
        // Never closed.
        let _permit = self.0.queries.acquire().await;
        if answer.get().is_none() {
            self.paced().await;
        }
        if let Some(answer) = answer.get() {
            return answer.clone().map_err(|()| Error::Silent);
        }
        self.look_up(db, digest, &answer).await
    }

    /// Looks up all tokens that wait, this one among them. If this is cancelled, the others make their own queries.
    async fn look_up(&self, db: &Db, digest: TokenDigest, own: &Answer) -> Result<Option<TokenRow>> {
        // Before the query: a removal during it makes the rows untrusted.
        let removals = self.0.removals.load(Ordering::SeqCst);
        let mut waiting = std::mem::take(&mut *self.0.waiting());
        // Callers that hung up no longer wait.
        waiting.retain(|(_, answer)| Arc::strong_count(answer) > 1);
        let mut digests: Vec<TokenDigest> = waiting.iter().map(|(digest, _)| *digest).collect();
        // Another query may have included it and not returned yet.
        digests.push(digest);
        self.0.lookups.inc();
        let query = async {
            // Not within the time limit: the pool replaces silent connections, which takes seconds.
            let client = db.client().await?;
            timeout(PATIENCE, tokens::find_all(&client, &digests)).await.unwrap_or(Err(Error::Silent))
        };
        let rows = match query.await {
            Ok(rows) => rows.into_iter().collect::<HashMap<_, _>>(),
            Err(error) => {
                for (_, answer) in &waiting {
                    answer.set(Err(())).ok();
                }
                return Err(error);
            }
        };
        for (digest, row) in &rows {
            self.remember(*digest, row.clone(), removals);
        }
        for (digest, answer) in &waiting {
            answer.set(Ok(rows.get(digest).cloned())).ok();
        }
        own.set(Ok(rows.get(&digest).cloned())).ok();
        Ok(rows.get(&digest).cloned())
    }

    /// Waits until a query may start.
    async fn paced(&self) {
        let start = {
            let mut next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
            let start = (*next).max(Instant::now());
            *next = start + PACE;
            start
        };
        if start > Instant::now() {
            sleep_until(start).await;
        }
    }

    /// Forgets every token, because one was removed. Call it after the commit of the removal.
    pub(in crate::api) fn forget(&self) {
        self.0.removals.fetch_add(1, Ordering::SeqCst);
        // Frees memory. That no cached row is trusted any more follows from the count alone.
        self.0.found.invalidate_all();
    }

    fn known(&self, digest: &TokenDigest) -> Option<TokenRow> {
        let found = self.0.found.get(digest)?;
        // By tokio's clock too: `moka` has its own, which tests cannot pause.
        let is_fresh = found.found_at.elapsed() < FRESH;
        (is_fresh && found.removals == self.0.removals.load(Ordering::SeqCst)).then_some(found.row)
    }

    /// Remembers a row that was read after this many removals.
    fn remember(&self, digest: TokenDigest, row: TokenRow, removals: u64) {
        self.0.found.insert(digest, FoundToken { row, found_at: Instant::now(), removals });
    }
}

impl Inner {
    /// Poisoning is harmless: no statement leaves the list half-updated.
    fn waiting(&self) -> MutexGuard<'_, Vec<(TokenDigest, Answer)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_model::Secret;

    fn known_tokens() -> KnownTokens {
        KnownTokens::register(&Registry::new()).unwrap()
    }

    fn digest(token: &str) -> TokenDigest {
        tokens::digest(&Secret::new(token))
    }

    fn row() -> TokenRow {
        TokenRow {
            id: 1,
            name: "host".to_owned(),
            role: "sync".to_owned(),
            projects: None,
            created_at: jiff::Timestamp::now(),
            last_used_at: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_known_for_a_second() {
        let tokens = known_tokens();
        tokens.remember(digest("a"), row(), 0);
        assert_eq!(tokens.known(&digest("a")).map(|row| row.name).as_deref(), Some("host"));
        assert!(tokens.known(&digest("b")).is_none(), "another token");
        tokio::time::advance(FRESH).await;
        assert!(tokens.known(&digest("a")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_token_is_not_known_at_all_even_if_it_was_read_just_before() {
        let tokens = known_tokens();
        tokens.remember(digest("a"), row(), 0);
        tokens.forget();
        assert!(tokens.known(&digest("a")).is_none());
        tokens.remember(digest("a"), row(), 0);
        assert!(tokens.known(&digest("a")).is_none(), "read before the removal, remembered after it");
        tokens.remember(digest("a"), row(), 1);
        assert!(tokens.known(&digest("a")).is_some(), "read after the removal of another");
    }
}
