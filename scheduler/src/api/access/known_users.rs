//! Caches for some seconds which user of Label Studio some credentials belong to.
//!
//! A page of the Data Manager loads 20 images at once, and Label Studio takes about 100 ms to name a user. So requests
//! with the same credentials share one question, and its answer is used for a while. The same holds for a storage that
//! Label Studio has shown. What the user may do with a task is not cached: it is read with the task. That Label Studio
//! does not answer is not cached either.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use moka::Expiry;
use moka::future::Cache;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::host_credentials::{API_KEY, HostCredentials};
use super::identity::{Identity, lifetime, lifetime_of};

/// Cached answers, about 200 bytes each. If more credentials are used within half a minute, Label Studio is asked again
/// for some of them.
const CAPACITY: u64 = 10_000;

/// Bytes of the texts of cached storages. One has about half a kilobyte; in memory it takes several times as much.
const STORAGE_BYTES: u64 = 8 * 1024 * 1024;

/// A storage as Label Studio showed it to a user.
#[derive(Debug)]
pub(in crate::api) struct SeenStorage {
    /// Label Studio's answer without the fields that a sync changes.
    pub(in crate::api) body: Value,
    /// Length of its text in bytes.
    pub(in crate::api) bytes: usize,
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

    fn expire_after_update(
        &self,
        _: &[u8; 32],
        cached: &Cached<T>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
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
            storages: Cache::builder()
                .weigher(|_, seen: &Cached<Arc<SeenStorage>>| u32::try_from(seen.value.bytes).unwrap_or(u32::MAX))
                .max_capacity(STORAGE_BYTES)
                .expire_after(UntilEnd)
                .build(),
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

    /// The storage at this path as Label Studio showed it to the user a short time ago, or the answer of `ask`. Of several
    /// callers, one asks and the others wait.
    ///
    /// # Errors
    /// `ask` failed, for all callers that wait. The next one asks again.
    pub(super) async fn storage<E: Send + Sync + 'static>(
        &self,
        credentials: &HostCredentials,
        path: &str,
        ask: impl Future<Output = Result<SeenStorage, E>>,
    ) -> Result<Arc<SeenStorage>, Arc<E>> {
        let headers = credentials.headers();
        let ask = async {
            let value = Arc::new(ask.await?);
            Ok(Cached { value, lifetime: lifetime(headers, Timestamp::now()) })
        };
        Ok(self.storages.try_get_with(digest(headers, path), ask).await?.value)
    }

    /// Forgets the storage at this path, whose settings have changed.
    pub(super) async fn forget_storage(&self, credentials: &HostCredentials, path: &str) {
        self.storages.invalidate(&digest(credentials.headers(), path)).await;
    }

    /// Forgets the user of these credentials, which Label Studio no longer accepts.
    pub(super) async fn forget_user(&self, credentials: &HostCredentials) {
        self.identities.invalidate(&digest(credentials.headers(), "")).await;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::http::{HeaderName, Method};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
    async fn a_storage_is_asked_for_once_by_each_user_until_it_is_forgotten() {
        let users = KnownUsers::default();
        let (own, other) = (credentials("authorization", "Token a"), credentials("authorization", "Token b"));
        let asked = AtomicU32::new(0);
        let look = async |who: &HostCredentials, path| {
            let ask = async {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok::<_, ()>(SeenStorage { body: Value::Null, bytes: 4, settings: String::new() })
            };
            users.storage(who, path, ask).await.unwrap();
            asked.load(Ordering::Relaxed)
        };
        assert_eq!(look(&own, "/api/storages/s3/1").await, 1);
        assert_eq!(look(&own, "/api/storages/s3/1").await, 1);
        assert_eq!(look(&other, "/api/storages/s3/1").await, 2);
        assert_eq!(look(&own, "/api/storages/s3/11").await, 3);
        users.forget_storage(&own, "/api/storages/s3/1").await;
        assert_eq!(look(&own, "/api/storages/s3/1").await, 4);
        let ended = credentials("authorization", &bearer(r#"{"exp": 1}"#));
        assert_eq!((look(&ended, "/").await, look(&ended, "/").await), (5, 6), "not beyond the end of a token");
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
        users.forget_user(&token).await;
        assert_eq!(users.known(&token).await, None);
    }

    #[tokio::test]
    async fn an_answer_for_an_ended_token_is_not_cached() {
        let (users, token) = (KnownUsers::default(), credentials("authorization", &bearer(r#"{"exp": 1}"#)));
        assert_eq!(users.identity(&token, async { Ok::<_, ()>(Identity::User(1)) }).await, Ok(Identity::User(1)));
        assert!(users.identity(&token, async { Err::<Identity, _>(()) }).await.is_err());
    }
}
