//! Caches tokens for a second, and looks up all others that are waiting with one query.
//!
//! If a token is deleted through this scheduler, this scheduler refuses it immediately. Other schedulers refuse it
//! within a second, because their cache entries are not valid for longer. The same is true for changed projects of a
//! token. A token that expires is refused at that moment, because a cached row has the time that is left.
//!
//! Tokens are found by their digest, and by their ID for resolve links and event streams, which outlive the request
//! that had the token.
//!
//! Anyone can send unknown tokens, so a query for each would be too expensive. Requests that need a look-up at the same
//! time share a query, and queries start a few milliseconds apart. So guesses cost the database a limited number of
//! queries, and a caller with a valid token waits no longer than one that guesses. `moka` could share the look-ups of
//! one token, but not those of many.

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

/// How long a cached row is valid. With a longer time, other schedulers would accept a deleted token for longer; with a
/// shorter one, the cache would save few look-ups.
const FRESH: Duration = Duration::from_secs(1);

/// Cached tokens, a few hundred bytes each. Hosts use only a few. If more than this many are used within a second, some
/// are looked up again.
const CAPACITY: u64 = 10_000;

/// Concurrent queries. More than one, so that one broken database connection does not block other look-ups. More would
/// take database connections from the loops.
pub(crate) const LOOKUPS: usize = 3;

/// Time between the starts of two queries, so at most a hundred per second. A longer time would delay requests whose
/// token is not cached; with a shorter one, guesses would cost more.
const PACE: Duration = Duration::from_millis(10);

/// How long a query may take. It finds a few rows by their key, so a database that needs longer is unavailable.
const PATIENCE: Duration = Duration::from_secs(5);

/// How to find a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::api) enum TokenKey {
    Digest(TokenDigest),
    Id(i64),
}

/// A cache of existing tokens. Unknown tokens are not cached. Clones share the cache.
#[derive(Clone)]
pub(in crate::api) struct KnownTokens(Arc<Inner>);

struct Inner {
    found: Cache<TokenKey, FoundToken>,
    /// Counts deletions of tokens. A row that was read before the last deletion may be deleted by now, so it is not
    /// used.
    removals: AtomicU64,
    /// The look-ups that wait for the next query.
    waiting: Mutex<Vec<(TokenKey, Answer)>>,
    queries: Semaphore,
    next: Mutex<Instant>,
    lookups: IntCounter,
}

#[derive(Clone)]
struct FoundToken {
    row: TokenRow,
    found_at: Instant,
    /// The value of `removals` when the row was read.
    removals: u64,
}

/// What a query found; `Err` if it failed.
type Answer = Arc<OnceLock<std::result::Result<Option<TokenRow>, ()>>>;

impl KnownTokens {
    /// Makes an empty cache, and registers the counter of queries.
    ///
    /// # Errors
    /// The counter is already registered.
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

    /// The row of a token, whose remaining time is current; `None` if the token is unknown.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(in crate::api) async fn find(&self, db: &Db, key: TokenKey) -> Result<Option<TokenRow>> {
        if let Some(row) = self.known(&key) {
            return Ok(Some(row));
        }
        let answer = Answer::default();
        self.0.waiting().push((key, Arc::clone(&answer)));
        // The semaphore is never closed.
        let _permit = self.0.queries.acquire().await;
        if answer.get().is_none() {
            self.paced().await;
        }
        if let Some(answer) = answer.get() {
            return answer.clone().map_err(|()| Error::Silent);
        }
        self.look_up(db, key, &answer).await
    }

    /// Looks up this token and all others that wait. If this call is cancelled, the others make their own queries.
    async fn look_up(&self, db: &Db, key: TokenKey, own: &Answer) -> Result<Option<TokenRow>> {
        // Read it before the query, so that a deletion during the query makes the rows invalid.
        let removals = self.0.removals.load(Ordering::SeqCst);
        let mut waiting = std::mem::take(&mut *self.0.waiting());
        // Skip look-ups whose caller has hung up.
        waiting.retain(|(_, answer)| Arc::strong_count(answer) > 1);
        // Another query may have included this one and not returned yet.
        let keys = waiting.iter().map(|(key, _)| *key).chain([key]);
        let (mut digests, mut ids) = (Vec::new(), Vec::new());
        for key in keys {
            match key {
                TokenKey::Digest(digest) => digests.push(digest),
                TokenKey::Id(id) => ids.push(id),
            }
        }
        self.0.lookups.inc();
        let query = async {
            // Outside of the time limit: the pool may have to replace a broken connection, which takes seconds.
            let client = db.client().await?;
            timeout(PATIENCE, tokens::find_all(&client, &digests, &ids)).await.unwrap_or(Err(Error::Silent))
        };
        let rows = match query.await {
            Ok(rows) => rows,
            Err(error) => {
                for (_, answer) in &waiting {
                    answer.set(Err(())).ok();
                }
                return Err(error);
            }
        };
        let mut by_key = HashMap::new();
        for (digest, row) in rows {
            for key in [TokenKey::Digest(digest), TokenKey::Id(row.id)] {
                self.remember(key, row.clone(), removals);
                by_key.insert(key, row.clone());
            }
        }
        for (key, answer) in &waiting {
            answer.set(Ok(by_key.get(key).cloned())).ok();
        }
        let found = by_key.remove(&key);
        own.set(Ok(found.clone())).ok();
        Ok(found)
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

    /// Empties the cache, because a token was deleted. Call it after the commit of the deletion.
    pub(in crate::api) fn forget(&self) {
        self.0.removals.fetch_add(1, Ordering::SeqCst);
        // This only frees memory: the count above has already made all cached rows invalid.
        self.0.found.invalidate_all();
    }

    fn known(&self, key: &TokenKey) -> Option<TokenRow> {
        let mut found = self.0.found.get(key)?;
        // Also check the age by tokio's clock, because tests cannot pause the clock of `moka`.
        let age = found.found_at.elapsed();
        if age >= FRESH || found.removals != self.0.removals.load(Ordering::SeqCst) {
            return None;
        }
        found.row.expires_in = found.row.expires_in.map(|left| left.saturating_sub(age));
        Some(found.row)
    }

    /// Caches a row that was read when `removals` had this value.
    fn remember(&self, key: TokenKey, row: TokenRow, removals: u64) {
        self.0.found.insert(key, FoundToken { row, found_at: Instant::now(), removals });
    }
}

impl Inner {
    /// Poisoning is harmless: no statement leaves the list half-updated.
    fn waiting(&self) -> MutexGuard<'_, Vec<(TokenKey, Answer)>> {
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

    fn digest(token: &str) -> TokenKey {
        TokenKey::Digest(tokens::digest(&Secret::new(token)))
    }

    fn row() -> TokenRow {
        TokenRow {
            id: 1,
            name: "host".to_owned(),
            role: "sync".to_owned(),
            projects: None,
            created_at: jiff::Timestamp::now(),
            last_used_at: None,
            expires_at: None,
            expires_in: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cached_token_expires_at_its_time() {
        let tokens = known_tokens();
        let row = TokenRow { expires_in: Some(FRESH / 2), ..row() };
        tokens.remember(TokenKey::Id(1), row, 0);
        assert!(tokens.known(&TokenKey::Id(1)).is_some_and(|row| !row.is_expired()));
        tokio::time::advance(FRESH / 2).await;
        assert!(tokens.known(&TokenKey::Id(1)).is_some_and(|row| row.is_expired()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_cached_for_a_second() {
        let tokens = known_tokens();
        tokens.remember(digest("a"), row(), 0);
        assert_eq!(tokens.known(&digest("a")).map(|row| row.name).as_deref(), Some("host"));
        assert!(tokens.known(&digest("b")).is_none(), "another token");
        tokio::time::advance(FRESH).await;
        assert!(tokens.known(&digest("a")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_token_is_not_cached_even_if_it_was_just_read() {
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
