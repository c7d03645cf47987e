//! Tokens found a moment ago, and how the others are looked up: many at a time.
//!
//! A token that is removed through this scheduler is refused from then on; another scheduler refuses it
//! within a second, as it trusts what it remembers no longer than that. Changed scopes likewise.
//!
//! Anybody can send a token that does not exist, so a look-up must not cost a query each. Requests that need one
//! at the same time share a query, and queries start a few milliseconds apart: guessing costs the database a
//! bounded number of them, and a caller with a good token waits no longer than one who guesses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use longshore_db::tokens::{self, TokenDigest, TokenRow};
use longshore_db::{Db, Error, Result};
use prometheus::{IntCounter, Registry};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

/// Longer would let a token live on at the other schedulers after its end; shorter would hardly save a look-up.
const FRESH: Duration = Duration::from_secs(1);

/// Queries at once. More than one, so that a database connection that went silent stops no other look-up; more
/// would take database connections from the loops.
pub(crate) const LOOKUPS: usize = 3;

/// Between the starts of two queries: a hundred a second at most. Longer would delay requests that come with a
/// token for the first time; shorter would let guesses cost more.
const PACE: Duration = Duration::from_millis(10);

/// How long a query may take. It finds a few rows by their key; a database that is silent for longer is
/// unavailable.
const PATIENCE: Duration = Duration::from_secs(5);

/// Digests of tokens that exist; guesses fill nothing.
#[derive(Clone)]
pub(super) struct KnownTokens(Arc<Inner>);

struct Inner {
    known: Mutex<Known>,
    turns: Semaphore,
    next: Mutex<Instant>,
    lookups: IntCounter,
}

#[derive(Default)]
struct Known {
    found: HashMap<TokenDigest, (TokenRow, Instant)>,
    /// Counts the removals: what was read before one may be gone after it.
    removals: u64,
    /// Those that wait for the next query.
    asked: Vec<(TokenDigest, Answer)>,
}

/// What a query found; `Err` if it failed.
type Answer = Arc<OnceLock<std::result::Result<Option<TokenRow>, ()>>>;

impl KnownTokens {
    /// Knows no token, and registers the counter of queries.
    ///
    /// # Errors
    /// It is registered already.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let lookups = IntCounter::new("longshore_token_queries_total", "Queries that looked tokens up.")?;
        registry.register(Box::new(lookups.clone()))?;
        Ok(Self(Arc::new(Inner {
            known: Mutex::default(),
            turns: Semaphore::new(LOOKUPS),
            next: Mutex::new(Instant::now()),
            lookups,
        })))
    }

    /// The row of a token, or `None` if there is none.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(super) async fn find(&self, db: &Db, digest: TokenDigest) -> Result<Option<TokenRow>> {
        if let Some(row) = self.known(&digest) {
            return Ok(Some(row));
        }
        let answer = Answer::default();
        self.lock().asked.push((digest, Arc::clone(&answer)));
        // Never closed.
        let _turn = self.0.turns.acquire().await;
        if answer.get().is_none() {
            self.paced().await;
        }
        if let Some(answer) = answer.get() {
            return answer.clone().map_err(|()| Error::Silent);
        }
        self.look_up(db, digest, &answer).await
    }

    /// Asks for all that wait, this one among them. If it is given up half-way, the others ask by themselves.
    async fn look_up(&self, db: &Db, digest: TokenDigest, own: &Answer) -> Result<Option<TokenRow>> {
        let (removals, mut asked) = {
            let mut known = self.lock();
            (known.removals, std::mem::take(&mut known.asked))
        };
        // Callers that hung up wait no more.
        asked.retain(|(_, answer)| Arc::strong_count(answer) > 1);
        let mut digests: Vec<TokenDigest> = asked.iter().map(|(digest, _)| *digest).collect();
        // Another query may have taken it along, and not come back yet.
        digests.push(digest);
        self.0.lookups.inc();
        let query = async {
            // The pool replaces connections that went silent, which takes seconds, and may be waited for.
            let client = db.client().await?;
            timeout(PATIENCE, tokens::find_all(&client, &digests)).await.unwrap_or(Err(Error::Silent))
        };
        let rows = match query.await {
            Ok(rows) => rows.into_iter().collect::<HashMap<_, _>>(),
            Err(error) => {
                for (_, answer) in &asked {
                    answer.set(Err(())).ok();
                }
                return Err(error);
            }
        };
        for (digest, row) in &rows {
            self.remember(*digest, row.clone(), removals);
        }
        for (digest, answer) in &asked {
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

    /// Forgets every token: one was removed. Call it once that is committed.
    pub(super) fn forget(&self) {
        let mut known = self.lock();
        known.found.clear();
        known.removals += 1;
    }

    fn known(&self, digest: &TokenDigest) -> Option<TokenRow> {
        let known = self.lock();
        let (row, found) = known.found.get(digest)?;
        (found.elapsed() < FRESH).then(|| row.clone())
    }

    /// Remembers a row that was read after this many removals, unless there has been another since.
    fn remember(&self, digest: TokenDigest, row: TokenRow, removals: u64) {
        let mut known = self.lock();
        if known.removals == removals {
            known.found.insert(digest, (row, Instant::now()));
        }
    }

    /// The map is right after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
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
