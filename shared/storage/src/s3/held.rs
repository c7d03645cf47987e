//! Temporary credentials, kept until shortly before they end.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use tokio::sync::Mutex;

use crate::StorageError;

/// Temporary credentials are replaced so long before they end: AWS hands out new ones at least five
/// minutes before, and a request signed now may wait in a queue.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// After a failed renewal, what is held serves so long before the next: each try keeps callers waiting.
const PAUSE: Duration = Duration::from_secs(10);

/// One set of credentials, renewed by one caller at a time.
#[derive(Default)]
pub(super) struct Held {
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    credentials: Credentials,
    /// `None` is never.
    renew_at: Option<SystemTime>,
}

impl Held {
    /// What is held, or what `renew` gives once that is about to end.
    ///
    /// # Errors
    /// `renew` failed, and what is held has ended.
    pub(super) async fn get(
        &self,
        renew: impl Future<Output = Result<Credentials, StorageError>>,
    ) -> Result<Credentials, StorageError> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref()
            && kept.renew_at.is_none_or(|time| SystemTime::now() < time)
        {
            return Ok(kept.credentials.clone());
        }
        match renew.await {
            Ok(credentials) => {
                let renew_at = renewal(&credentials, MARGIN);
                Ok(kept.insert(Kept { credentials, renew_at }).credentials.clone())
            }
            Err(error) => match kept.as_mut().and_then(|kept| Some((left(&kept.credentials)?, kept))) {
                // Who hands them out is away for a moment: what is held still serves.
                Some((left, kept)) => {
                    kept.renew_at = Some(SystemTime::now() + PAUSE.min(left / 4));
                    Ok(kept.credentials.clone())
                }
                None => {
                    *kept = None;
                    Err(error)
                }
            },
        }
    }

    /// Forgets credentials that do not serve any more; others, renewed since, stay.
    pub(super) async fn forget(&self, access_key_id: &str) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.credentials.access_key_id() == access_key_id) {
            *kept = None;
        }
    }

    /// Whether there is anything to keep this for.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.try_lock().is_ok_and(|kept| kept.as_ref().is_none_or(|kept| left(&kept.credentials).is_none()))
    }

    #[cfg(test)]
    pub(super) fn holding(credentials: Credentials) -> Self {
        let renew_at = renewal(&credentials, MARGIN);
        Self { kept: Mutex::new(Some(Kept { credentials, renew_at })) }
    }
}

/// When to replace new credentials. Short-lived ones are used for three quarters of their time.
fn renewal(credentials: &Credentials, margin: Duration) -> Option<SystemTime> {
    let end = credentials.expiry()?;
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    Some(end - margin.min(left / 4))
}

/// How long the credentials are still good, `None` once they are not. For ever is a day.
fn left(credentials: &Credentials) -> Option<Duration> {
    let Some(end) = credentials.expiry() else { return Some(Duration::from_secs(24 * 60 * 60)) };
    end.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use longshore_model::FailureReason;

    use super::*;
    use crate::{ErrorKind, Op};

    fn lasting(id: &str, seconds: u64) -> Credentials {
        let end = SystemTime::now() + Duration::from_secs(seconds);
        Credentials::new(id, "secret", None, Some(end), "test")
    }

    fn away() -> Result<Credentials, StorageError> {
        Err(StorageError::new(Op::List, ErrorKind::Unavailable, FailureReason::Unavailable))
    }

    /// Credentials of which so many seconds are left, and which are due to be renewed.
    fn due(seconds: u64) -> Held {
        let kept = Kept { credentials: lasting("old", seconds), renew_at: Some(SystemTime::UNIX_EPOCH) };
        Held { kept: Mutex::new(Some(kept)) }
    }

    async fn got(held: &Held, renewed: Result<Credentials, StorageError>) -> Result<String, StorageError> {
        held.get(async { renewed }).await.map(|credentials| credentials.access_key_id().to_owned())
    }

    #[tokio::test]
    async fn credentials_are_held_until_shortly_before_they_end() {
        let held = Held::default();
        assert_eq!(got(&held, Ok(lasting("a", 3_600))).await.unwrap(), "a");
        assert_eq!(got(&held, away()).await.unwrap(), "a", "nobody is asked while they last");
        assert_eq!(got(&due(60), Ok(lasting("new", 3_600))).await.unwrap(), "new");

        let ahead = |credentials: Credentials| {
            let renewal = renewal(&credentials, MARGIN).unwrap();
            credentials.expiry().unwrap().duration_since(renewal).unwrap().as_secs_f64().round()
        };
        assert_eq!(ahead(lasting("hour", 3_600)), 300.0);
        assert_eq!(ahead(lasting("short", 8)), 2.0);
        assert!(renewal(&Credentials::from_keys("a", "b", None), MARGIN).is_none());
    }

    #[tokio::test]
    async fn what_is_held_serves_while_it_cannot_be_renewed_and_until_it_ends() {
        let held = due(60);
        assert_eq!(got(&held, away()).await.unwrap(), "old");
        assert_eq!(got(&held, Ok(lasting("new", 60))).await.unwrap(), "old", "and is not renewed at once again");
        assert!(got(&due(0), away()).await.is_err());
    }

    #[tokio::test]
    async fn credentials_are_forgotten_by_those_who_used_them_only() {
        let held = Held::default();
        assert!(held.is_empty());
        got(&held, Ok(lasting("a", 3_600))).await.unwrap();
        held.forget("a").await;
        assert_eq!(got(&held, Ok(lasting("b", 3_600))).await.unwrap(), "b");
        held.forget("a").await;
        assert_eq!(got(&held, away()).await.unwrap(), "b", "b has been renewed since");
        assert!(!held.is_empty());
    }
}
