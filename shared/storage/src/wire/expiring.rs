//! Caches tokens and temporary credentials until shortly before they expire.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;

use crate::StorageError;

/// How long before its expiry a value is renewed. AWS issues new credentials at least five minutes before the old
/// ones expire, and a request signed now may wait in a queue and be retried.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// After a failed renewal, the old value is used this long before the next attempt, because each attempt delays
/// callers.
const PAUSE: Duration = Duration::from_secs(10);

/// The remaining time of a value that never expires.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A value as the issuer returned it.
pub(crate) struct ExpiringValue<T> {
    pub(crate) value: T,
    /// When the value expires; `None` if never.
    pub(crate) end: Option<SystemTime>,
}

/// Caches one value and renews it before it expires; one caller renews, the others wait.
///
/// Times are those of the system clock, because issuers state them so; unlike a monotonic clock, it continues while
/// the machine sleeps.
pub(crate) struct ExpiringCache<T> {
    cached: Mutex<Option<CachedValue<T>>>,
}

struct CachedValue<T> {
    value: T,
    end: Option<SystemTime>,
    renew_at: Option<SystemTime>,
}

impl<T: Clone> ExpiringCache<T> {
    /// Returns the value; calls `renew` if it is missing or about to expire.
    ///
    /// # Errors
    /// `renew` failed, and the old value has expired.
    pub(crate) async fn get(
        &self,
        renew: impl Future<Output = Result<ExpiringValue<T>, StorageError>>,
    ) -> Result<T, StorageError> {
        let mut cached = self.cached.lock().await;
        if let Some(cached) = cached.as_ref()
            && cached.renew_at.is_none_or(|time| SystemTime::now() < time)
        {
            return Ok(cached.value.clone());
        }
        match renew.await {
            Ok(fresh) => Ok(cached.insert(fresh.into()).value.clone()),
            Err(error) => match cached.as_mut().and_then(|cached| Some((cached.time_left()?, cached))) {
                // The issuer is briefly unavailable, and the old value is still valid.
                Some((left, cached)) => {
                    cached.renew_at = Some(SystemTime::now() + PAUSE.min(left / 4));
                    Ok(cached.value.clone())
                }
                None => {
                    *cached = None;
                    Err(error)
                }
            },
        }
    }

    /// Forgets the value if `is_refused` accepts it; a value that was renewed meanwhile stays.
    pub(crate) async fn forget(&self, is_refused: impl Fn(&T) -> bool) {
        let mut cached = self.cached.lock().await;
        if cached.as_ref().is_some_and(|cached| is_refused(&cached.value)) {
            *cached = None;
        }
    }

    /// Whether there is no valid value.
    pub(crate) fn is_empty(&self) -> bool {
        self.cached.try_lock().is_ok_and(|cached| cached.as_ref().is_none_or(|cached| cached.time_left().is_none()))
    }

    /// Creates a cache with a value.
    #[cfg(test)]
    pub(crate) fn with_value(fresh: ExpiringValue<T>) -> Self {
        Self { cached: Mutex::new(Some(fresh.into())) }
    }
}

impl<T> Default for ExpiringCache<T> {
    fn default() -> Self {
        Self { cached: Mutex::default() }
    }
}

impl<T> From<ExpiringValue<T>> for CachedValue<T> {
    fn from(ExpiringValue { value, end }: ExpiringValue<T>) -> Self {
        // A short-lived value is used for three quarters of its lifetime.
        let renewal = |end: SystemTime| {
            let left = end.duration_since(SystemTime::now()).unwrap_or_default();
            end - MARGIN.min(left / 4)
        };
        Self { value, renew_at: end.map(renewal), end }
    }
}

impl<T> CachedValue<T> {
    /// How long the value is still valid; `None` if it has expired.
    fn time_left(&self) -> Option<Duration> {
        let Some(end) = self.end else { return Some(A_DAY) };
        end.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero())
    }
}

/// A value that may be dropped while it is not in use.
pub(crate) trait Idle {
    /// Whether the value holds nothing worth keeping.
    fn is_idle(&self) -> bool;
}

/// One shared value per key.
///
/// The size is bounded by what is in use: before a value is added, unused ones that hold nothing are dropped. So keys
/// that were tried once and never worked do not accumulate. A cache from a library would also evict values in use, and two
/// users of one key would then renew its credentials twice.
pub(crate) struct Entries<K, V> {
    known: std::sync::Mutex<HashMap<K, Arc<V>>>,
}

impl<K: Eq + Hash, V: Idle> Entries<K, V> {
    /// Returns the value of a key; `make` creates it if it is missing.
    ///
    /// # Errors
    /// `make` failed.
    pub(crate) fn get<E>(&self, key: K, make: impl FnOnce(&K) -> Result<V, E>) -> Result<Arc<V>, E> {
        // Poisoning is harmless: no statement leaves the map half-updated.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(&key) {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make(&key)?);
        known.retain(|_, value| Arc::strong_count(value) > 1 || !value.is_idle());
        known.insert(key, Arc::clone(&value));
        Ok(value)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self { known: std::sync::Mutex::default() }
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::FailureReason;

    use super::*;
    use crate::{ErrorKind, Op};

    type Renewed = Result<ExpiringValue<&'static str>, StorageError>;

    fn lasting(value: &'static str, seconds: u64) -> Renewed {
        Ok(ExpiringValue { value, end: Some(SystemTime::now() + Duration::from_secs(seconds)) })
    }

    fn unavailable() -> Renewed {
        Err(StorageError::new(Op::Connect, ErrorKind::Unavailable, FailureReason::Unavailable))
    }

    async fn got(expiring: &ExpiringCache<&'static str>, renewed: Renewed) -> Result<&'static str, StorageError> {
        expiring.get(async { renewed }).await
    }

    /// Changes the value as if this many seconds had passed.
    async fn pass(expiring: &ExpiringCache<&'static str>, seconds: u64) {
        let mut cached = expiring.cached.lock().await;
        let CachedValue { end: Some(end), renew_at: Some(renew_at), .. } = cached.as_mut().expect("a value") else {
            panic!("a value that expires")
        };
        *end -= Duration::from_secs(seconds);
        *renew_at -= Duration::from_secs(seconds);
    }

    #[tokio::test]
    async fn a_value_is_used_until_shortly_before_it_expires() {
        let expiring = ExpiringCache::default();
        assert!(expiring.is_empty());
        assert_eq!(got(&expiring, lasting("a", 3_600)).await.unwrap(), "a");
        assert_eq!(got(&expiring, unavailable()).await.unwrap(), "a", "it is renewed only shortly before its expiry");
        pass(&expiring, 3_200).await;
        assert_eq!(got(&expiring, lasting("b", 3_600)).await.unwrap(), "a");
        pass(&expiring, 101).await;
        assert_eq!(got(&expiring, lasting("b", 400)).await.unwrap(), "b");
        pass(&expiring, 200).await;
        assert_eq!(got(&expiring, lasting("c", 3_600)).await.unwrap(), "b");
        pass(&expiring, 101).await;
        assert!(!expiring.is_empty());
        assert_eq!(got(&expiring, lasting("c", 3_600)).await.unwrap(), "c");
        pass(&expiring, 3_600).await;
        assert!(expiring.is_empty());
    }

    #[test]
    fn the_margin_is_five_minutes_or_a_quarter_of_a_short_lifetime() {
        let ahead = |seconds| {
            let cached = CachedValue::from(lasting("value", seconds).unwrap());
            cached.end.unwrap().duration_since(cached.renew_at.unwrap()).unwrap().as_secs_f64().round()
        };
        assert_eq!(ahead(3_600), 300.0);
        assert_eq!(ahead(8), 2.0);
        let endless = CachedValue::from(ExpiringValue { value: "value", end: None });
        assert!(endless.renew_at.is_none() && endless.time_left().is_some());
    }

    #[tokio::test]
    async fn the_old_value_is_used_until_it_expires_if_renewals_fail() {
        let expiring = ExpiringCache::default();
        assert!(got(&expiring, unavailable()).await.is_err());
        got(&expiring, lasting("old", 3_600)).await.unwrap();
        pass(&expiring, 3_301).await;
        assert_eq!(got(&expiring, unavailable()).await.unwrap(), "old");
        assert_eq!(got(&expiring, lasting("new", 60)).await.unwrap(), "old", "the next renewal waits");
        pass(&expiring, 299).await;
        assert!(got(&expiring, unavailable()).await.is_err());
    }

    #[tokio::test]
    async fn only_the_refused_value_is_forgotten() {
        let expiring = ExpiringCache::default();
        got(&expiring, lasting("a", 3_600)).await.unwrap();
        expiring.forget(|value| *value == "a").await;
        assert_eq!(got(&expiring, lasting("b", 3_600)).await.unwrap(), "b");
        expiring.forget(|value| *value == "a").await;
        assert_eq!(got(&expiring, unavailable()).await.unwrap(), "b", "it has been renewed since");
        assert!(!expiring.is_empty());
    }
}
