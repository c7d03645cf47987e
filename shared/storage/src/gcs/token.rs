//! A bearer token, kept until shortly before it ends.

use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::StorageError;

/// Tokens live for an hour and are replaced so long before their end: a request signed now may wait in
/// a queue, and be tried again.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// The longest that the service grants unless an administrator allows more; whoever says more is not
/// believed, or what is kept of an account would never end.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Larger ones are no tokens: those of the service have some hundred bytes or a few thousand.
const LARGEST: usize = 8 * 1024;

/// After a failed renewal, what is held serves so long before the next: each try keeps callers waiting.
const PAUSE: Duration = Duration::from_secs(10);

/// A token as it was handed out.
pub(super) struct Fresh {
    /// The value of an `Authorization` header.
    header: HeaderValue,
    lifetime: Duration,
}

impl Fresh {
    /// A token that lives so many seconds, of which at most an hour counts. `None` for a text that is
    /// too long, or that no header can hold.
    pub(super) fn new(token: &str, seconds: u64) -> Option<Self> {
        if token.len() > LARGEST {
            return None;
        }
        let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        header.set_sensitive(true);
        Some(Self { header, lifetime: Duration::from_secs(seconds).min(LONGEST) })
    }
}

/// One account's token, renewed by one caller at a time.
#[derive(Default)]
pub(super) struct Held {
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    header: HeaderValue,
    renew_at: Instant,
    end: Instant,
}

impl Held {
    /// What is held, or what `renew` gives once that is about to end.
    ///
    /// # Errors
    /// `renew` failed, and what is held has ended.
    pub(super) async fn get(
        &self,
        renew: impl Future<Output = Result<Fresh, StorageError>>,
    ) -> Result<HeaderValue, StorageError> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref()
            && Instant::now() < kept.renew_at
        {
            return Ok(kept.header.clone());
        }
        match renew.await {
            Ok(Fresh { header, lifetime }) => {
                let end = Instant::now() + lifetime;
                // Short-lived ones are used for three quarters of their time.
                let renew_at = end - MARGIN.min(lifetime / 4);
                Ok(kept.insert(Kept { header, renew_at, end }).header.clone())
            }
            Err(error) => match kept.as_mut().filter(|kept| Instant::now() < kept.end) {
                // Who hands them out is away for a moment: what is held still serves.
                Some(kept) => {
                    let left = kept.end - Instant::now();
                    kept.renew_at = Instant::now() + PAUSE.min(left / 4);
                    Ok(kept.header.clone())
                }
                None => {
                    *kept = None;
                    Err(error)
                }
            },
        }
    }

    /// Forgets a token that does not serve any more; another, renewed since, stays.
    pub(super) async fn forget(&self, header: &HeaderValue) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.header == header) {
            *kept = None;
        }
    }

    /// Whether there is nothing to keep this for.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.try_lock().is_ok_and(|kept| kept.as_ref().is_none_or(|kept| kept.end <= Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::FailureReason;

    use super::*;
    use crate::{ErrorKind, Op};

    fn lasting(token: &str, seconds: u64) -> Result<Fresh, StorageError> {
        Ok(Fresh::new(token, seconds).unwrap())
    }

    fn away() -> Result<Fresh, StorageError> {
        Err(StorageError::new(Op::Connect, ErrorKind::Unavailable, FailureReason::Unavailable))
    }

    /// As if so many seconds had passed.
    async fn pass(held: &Held, seconds: u64) {
        let mut kept = held.kept.lock().await;
        let kept = kept.as_mut().expect("a token");
        kept.renew_at -= Duration::from_secs(seconds);
        kept.end -= Duration::from_secs(seconds);
    }

    #[tokio::test]
    async fn a_token_serves_until_shortly_before_its_end() {
        let held = Held::default();
        assert!(held.is_empty());
        assert_eq!(held.get(async { lasting("a", 3_600) }).await.unwrap(), "Bearer a");
        pass(&held, 3_200).await;
        assert_eq!(held.get(async { lasting("b", 3_600) }).await.unwrap(), "Bearer a");
        pass(&held, 101).await;
        assert_eq!(held.get(async { lasting("b", 400) }).await.unwrap(), "Bearer b");
        pass(&held, 200).await;
        assert_eq!(held.get(async { lasting("c", 3_600) }).await.unwrap(), "Bearer b");
        pass(&held, 101).await;
        assert!(!held.is_empty());
        assert_eq!(held.get(async { lasting("c", 3_600) }).await.unwrap(), "Bearer c");
        pass(&held, 3_600).await;
        assert!(held.is_empty());
    }

    #[tokio::test]
    async fn a_token_said_to_live_for_ever_ends_after_an_hour() {
        let held = Held::default();
        held.get(async { lasting("a", u64::MAX) }).await.unwrap();
        pass(&held, 3_599).await;
        assert!(!held.is_empty());
        pass(&held, 1).await;
        assert!(held.is_empty());
    }

    #[test]
    fn a_token_of_more_than_8_kib_is_refused() {
        assert!(Fresh::new(&"a".repeat(LARGEST), 1).is_some());
        assert!(Fresh::new(&"a".repeat(LARGEST + 1), 1).is_none());
    }

    #[tokio::test]
    async fn what_is_held_serves_while_nobody_hands_out_new_ones() {
        let held = Held::default();
        assert!(held.get(async { away() }).await.is_err());
        held.get(async { lasting("a", 3_600) }).await.unwrap();
        pass(&held, 3_301).await;
        assert_eq!(held.get(async { away() }).await.unwrap(), "Bearer a");
        assert_eq!(held.get(async { lasting("b", 3_600) }).await.unwrap(), "Bearer a", "not asked again at once");
        pass(&held, 299).await;
        assert!(held.get(async { away() }).await.is_err(), "it has ended");
    }

    #[tokio::test]
    async fn only_the_token_that_was_refused_is_forgotten() {
        let held = Held::default();
        let old = held.get(async { lasting("a", 3_600) }).await.unwrap();
        held.forget(&old).await;
        assert_eq!(held.get(async { lasting("b", 3_600) }).await.unwrap(), "Bearer b");
        held.forget(&old).await;
        assert_eq!(held.get(async { lasting("c", 3_600) }).await.unwrap(), "Bearer b");
        assert!(Fresh::new("line\nbreak", 1).is_none());
        assert!(format!("{old:?}").contains("Sensitive"));
    }
}
