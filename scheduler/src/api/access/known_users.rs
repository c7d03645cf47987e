//! Caches for some seconds which user of Label Studio some credentials belong to.
//!
//! A page of the Data Manager loads 20 images at once, and Label Studio takes about 100 ms to name a user. So requests
//! with the same credentials share one question, and its answer is used for a while. So is that Label Studio shows a
//! storage. What the user may do with a task is not cached: it is read with the task. That Label Studio does not answer is
//! not cached either.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use moka::Expiry;
use moka::future::Cache;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::host_credentials::{API_KEY, HostCredentials};

/// How long an answer is used. With a longer time, a user who has signed out or was deactivated would keep access for
/// longer; with a much shorter one, scrolling through images would ask Label Studio again and again.
const LIFETIME: Duration = Duration::from_secs(30);

/// How long a refusal is used. With a longer time, a user who was let in again, or a token that was just made, would be
/// refused for longer.
const REFUSED_LIFETIME: Duration = Duration::from_secs(5);

/// Cached answers, about 200 bytes each. If more credentials are used within half a minute, Label Studio is asked again
/// for some of them.
const CAPACITY: u64 = 10_000;

/// What Label Studio says of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// They belong to the user with this ID.
    User(i64),
    /// They belong to no active user.
    Unknown,
    /// Label Studio knows them, and refuses to name the user.
    Refused,
    /// The user was removed from the organization, so that Label Studio hides the name.
    Removed,
}

/// A storage as Label Studio showed it to a user.
#[derive(Debug)]
pub(in crate::api) struct SeenStorage {
    /// Label Studio's answer.
    pub(in crate::api) body: Value,
    /// The digest of the storage's settings before Label Studio answered.
    pub(in crate::api) settings: String,
}

#[derive(Clone, Copy)]
struct Cached<T> {
    value: T,
    lifetime: Duration,
}

struct UntilEnd;

impl<T> Expiry<[u8; 32], Cached<T>> for UntilEnd {
    fn expire_after_create(&self, _: &[u8; 32], cached: &Cached<T>, _: Instant) -> Option<Duration> {
        Some(cached.lifetime)
    }
}

/// Identities by the digest of credentials, and which storages they were shown. The credentials themselves are not kept.
/// Clones share the cache.
#[derive(Clone)]
pub(super) struct KnownUsers {
    identities: Cache<[u8; 32], Cached<Identity>>,
    storages: Cache<[u8; 32], Cached<Arc<SeenStorage>>>,
}

impl std::fmt::Debug for KnownUsers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.identities.entry_count() + self.storages.entry_count();
        formatter.debug_struct("KnownUsers").field("entries", &entries).finish()
    }
}

impl Default for KnownUsers {
    fn default() -> Self {
        Self {
            identities: Cache::builder().max_capacity(CAPACITY).expire_after(UntilEnd).build(),
            storages: Cache::builder().max_capacity(CAPACITY).expire_after(UntilEnd).build(),
        }
    }
}

impl KnownUsers {
    /// The cached identity, or the answer of `ask`. Of several callers with the same credentials, one asks and the others
    /// wait; if it is cancelled, another one asks.
    ///
    /// # Errors
    /// `ask` failed. All callers that wait get the same failure, and the next one asks again.
    pub(super) async fn identity<E: Send + Sync + 'static>(
        &self,
        credentials: &HostCredentials,
        ask: impl Future<Output = Result<Identity, E>>,
    ) -> Result<Identity, Arc<E>> {
        let headers = credentials.headers();
        let ask = async {
            let value = ask.await?;
            Ok(Cached { value, lifetime: lifetime_of(value, headers, Timestamp::now()) })
        };
        Ok(self.identities.try_get_with(digest(headers, ""), ask).await?.value)
    }

    /// The user of these credentials, if the answer is cached.
    pub(super) async fn known(&self, credentials: &HostCredentials) -> Option<i64> {
        match self.identities.get(&digest(credentials.headers(), "")).await?.value {
            Identity::User(id) => Some(id),
            Identity::Unknown | Identity::Refused | Identity::Removed => None,
        }
    }

    /// Keeps the storage at this path as Label Studio showed it to the user, or forgets it if it was refused.
    pub(super) async fn keep_storage(
        &self,
        credentials: &HostCredentials,
        path: &str,
        seen: Option<&Arc<SeenStorage>>,
    ) {
        let headers = credentials.headers();
        let key = digest(headers, path);
        if let Some(seen) = seen {
            let (value, lifetime) = (Arc::clone(seen), lifetime(headers, Timestamp::now()));
            self.storages.insert(key, Cached { value, lifetime }).await;
        } else {
            self.storages.invalidate(&key).await;
        }
    }

    /// The storage at this path as Label Studio showed it to the user a short time ago.
    pub(super) async fn seen_storage(&self, credentials: &HostCredentials, path: &str) -> Option<Arc<SeenStorage>> {
        Some(self.storages.get(&digest(credentials.headers(), path)).await?.value)
    }
}

/// A digest of all credentials and a path. Each part is preceded by its length, so that no two sets have the same text.
fn digest(headers: &HeaderMap, path: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    let values = [header::AUTHORIZATION, API_KEY, header::COOKIE]
        .map(|name| headers.get(name).map(|value| value.as_bytes()).unwrap_or_default());
    for value in values.into_iter().chain([path.as_bytes()]) {
        digest.update(value.len().to_be_bytes());
        digest.update(value);
    }
    digest.finalize().into()
}

/// How long this answer for these credentials is used.
fn lifetime_of(identity: Identity, headers: &HeaderMap, now: Timestamp) -> Duration {
    match identity {
        Identity::User(_) => lifetime(headers, now),
        Identity::Unknown | Identity::Refused => REFUSED_LIFETIME,
        // Such a user is let in again on a page, and goes on from there at once.
        Identity::Removed => Duration::ZERO,
    }
}

/// How long an answer for these credentials is used: not beyond the end of a token that states it.
fn lifetime(headers: &HeaderMap, now: Timestamp) -> Duration {
    let Some(end) = headers.get(header::AUTHORIZATION).and_then(|value| expiry(value.to_str().ok()?)) else {
        return LIFETIME;
    };
    let left = u64::try_from(end.saturating_sub(now.as_second())).unwrap_or_default();
    LIFETIME.min(Duration::from_secs(left))
}

/// The end of a Bearer token (RFC 7519, `exp`) in seconds since 1970. The signature is not checked: Label Studio does
/// that, and the end only shortens the time in the cache.
fn expiry(authorization: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    // As Label Studio splits it: a tab separates, too.
    let mut words = authorization.split_ascii_whitespace();
    let (scheme, token) = (words.next()?, words.next()?);
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    Some(serde_json::from_slice::<Claims>(&claims).ok()?.exp)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::http::{HeaderName, Method};
    use tokio::sync::Notify;

    use super::*;

    fn credentials(name: &'static str, value: &str) -> HostCredentials {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())]);
        HostCredentials::of(&Method::GET, &headers).unwrap().unwrap()
    }

    fn bearer(claims: &str) -> String {
        format!("Bearer e30.{}.signature", URL_SAFE_NO_PAD.encode(claims))
    }

    #[tokio::test]
    async fn requests_with_the_same_credentials_share_one_question() {
        let (users, token) = (KnownUsers::default(), credentials("authorization", "Token a"));
        let (asked, answers) = (AtomicU32::new(0), Notify::new());
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            answers.notified().await;
            Ok::<_, ()>(Identity::User(7))
        };
        let callers = futures::future::join_all((0..20).map(|_| users.identity(&token, ask())));
        let (seen, ()) = tokio::join!(callers, async { answers.notify_one() });
        assert_eq!((seen, asked.load(Ordering::Relaxed)), (vec![Ok(Identity::User(7)); 20], 1));
        // Later requests neither ask; other credentials do.
        assert_eq!(users.identity(&token, async { Err::<Identity, _>(()) }).await, Ok(Identity::User(7)));
        let other = credentials("x-api-key", "Token a");
        assert!(users.identity(&other, async { Err::<Identity, _>(()) }).await.is_err());
    }

    #[tokio::test]
    async fn a_label_studio_that_does_not_answer_is_asked_again() {
        let (users, token) = (KnownUsers::default(), credentials("cookie", "sessionid=a"));
        assert!(users.identity(&token, async { Err::<Identity, _>("no answer") }).await.is_err());
        assert_eq!(users.identity(&token, async { Ok::<_, ()>(Identity::Unknown) }).await, Ok(Identity::Unknown));
    }

    #[tokio::test]
    async fn a_storage_is_known_to_the_user_who_saw_it_until_it_is_refused() {
        let users = KnownUsers::default();
        let seen = Arc::new(SeenStorage { body: Value::Null, settings: String::new() });
        let (own, other) = (credentials("authorization", "Token a"), credentials("authorization", "Token b"));
        let is_known = async |who: &HostCredentials, path| users.seen_storage(who, path).await.is_some();
        users.keep_storage(&own, "/api/storages/s3/1", Some(&seen)).await;
        assert!(is_known(&own, "/api/storages/s3/1").await);
        assert!(!is_known(&other, "/api/storages/s3/1").await && !is_known(&own, "/api/storages/s3/11").await);
        let ended = credentials("authorization", &bearer(r#"{"exp": 1}"#));
        users.keep_storage(&ended, "/api/storages/s3/1", Some(&seen)).await;
        assert!(!is_known(&ended, "/api/storages/s3/1").await);
        users.keep_storage(&own, "/api/storages/s3/1", None).await;
        assert!(!is_known(&own, "/api/storages/s3/1").await);
    }

    #[tokio::test]
    async fn only_users_are_known_without_a_question() {
        let (users, token) = (KnownUsers::default(), credentials("authorization", "Token a"));
        assert_eq!(users.known(&token).await, None);
        users.identity(&token, async { Ok::<_, ()>(Identity::Unknown) }).await.unwrap();
        assert_eq!(users.known(&token).await, None);
        let token = credentials("authorization", "Token b");
        users.identity(&token, async { Ok::<_, ()>(Identity::User(7)) }).await.unwrap();
        assert_eq!(users.known(&token).await, Some(7));
    }

    #[test]
    fn an_answer_is_used_for_half_a_minute_and_never_beyond_the_end_of_a_token() {
        let now = Timestamp::from_second(1_000).unwrap();
        let lifetime = |value: &str| {
            lifetime(&HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]), now).as_secs()
        };
        assert_eq!(lifetime(&bearer(r#"{"exp": 1010, "user_id": 1}"#)), 10);
        assert_eq!(lifetime(&bearer(r#"{"exp": 1300}"#)), 30);
        assert_eq!(lifetime(&bearer(r#"{"exp": 999}"#)), 0);
        assert_eq!(lifetime(&bearer(r#"{"exp": 1010}"#).replace(' ', "\t")), 10, "as Label Studio splits it");
        assert_eq!(lifetime(&bearer(r#"{"exp": 1010}"#).replace(' ', " \t ")), 10);
        for other in ["Token abc", "Bearer", "Bearer abc", &bearer("{}"), &bearer("no JSON")] {
            assert_eq!(lifetime(other), 30, "{other}");
        }
    }

    #[test]
    fn that_credentials_are_unknown_is_soon_asked_again() {
        let (headers, now) = (HeaderMap::new(), Timestamp::now());
        let lifetimes =
            [(Identity::User(7), 30), (Identity::Unknown, 5), (Identity::Refused, 5), (Identity::Removed, 0)];
        for (identity, seconds) in lifetimes {
            assert_eq!(lifetime_of(identity, &headers, now).as_secs(), seconds, "{identity:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_for_an_ended_token_is_not_cached() {
        let (users, token) = (KnownUsers::default(), credentials("authorization", &bearer(r#"{"exp": 1}"#)));
        assert_eq!(users.identity(&token, async { Ok::<_, ()>(Identity::User(1)) }).await, Ok(Identity::User(1)));
        assert!(users.identity(&token, async { Err::<Identity, _>(()) }).await.is_err());
    }
}
