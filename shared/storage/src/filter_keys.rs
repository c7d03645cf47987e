//! Applies a file filter to a page of listed keys, on blocking threads.
//!
//! A match costs up to a millisecond, depending on the user's expression, so a page is matched in slices on blocking
//! threads. Between slices the caller may drop the future (deadline, lost lease, SIGTERM, disconnected client); then
//! no further slice starts.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use longshore_filter::{KeyFilter, Skip};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How long a slice matches before it frees its thread. With an ordinary filter, a page is one slice. If this is
/// shorter, pages with slower filters switch threads needlessly; if it is longer, they wait for each other.
const SLICE: Duration = Duration::from_millis(10);

/// Limits concurrent slices in this process to the number of processors, so that slow filters never use more threads
/// than that.
static SLICES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(processors))
});

/// Pairs each listed item with the reason why a sync skips its key, or `None` if the sync takes it; in order.
///
/// Without a regular expression this runs immediately, on the caller's thread.
pub async fn filter_keys<T: Send + 'static>(
    filter: &Arc<KeyFilter>,
    listed: Vec<T>,
    key: fn(&T) -> &str,
) -> Vec<(T, Option<Skip>)> {
    let mut judged = Vec::with_capacity(listed.len());
    let mut rest = listed.into_iter();
    if !filter.has_regex() {
        judged.extend(rest.map(|item| {
            let skip = filter.skips(key(&item));
            (item, skip)
        }));
        return judged;
    }
    while rest.len() > 0 {
        let permit = Arc::clone(&SLICES).acquire_owned().await;
        let filter = Arc::clone(filter);
        let slice = tokio::task::spawn_blocking(move || {
            let end = Instant::now() + SLICE;
            for item in rest.by_ref() {
                let skip = filter.skips(key(&item));
                judged.push((item, skip));
                if Instant::now() >= end {
                    break;
                }
            }
            drop(permit);
            (rest, judged)
        });
        (rest, judged) = match AbortOnDropHandle::new(slice).await {
            Ok(matched) => matched,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down, and this tokio task with it.
                Err(_) => std::future::pending().await,
            },
        };
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_key_is_matched_in_order_with_and_without_an_expression() {
        for regex in [None, Some("1"), Some("(?=1)"), Some(r"(?:[0-9]{0,60}){0,60}!")] {
            let filter = Arc::new(KeyFilter::new("", true, regex).unwrap());
            let keys: Vec<String> = (0..100).map(|n| format!("{n:0100}")).collect();
            let judged = filter_keys(&filter, keys.clone(), String::as_str).await;
            for ((key, skip), expected) in judged.into_iter().zip(keys) {
                assert_eq!((key.as_str(), skip), (expected.as_str(), filter.skips(&expected)));
            }
        }
    }

    /// Goal: a caller that gives up ends the work. Method: on one thread, drop the future while it waits for its
    /// first slice; the reference count shows that the keys were dropped with it.
    #[tokio::test]
    async fn a_dropped_page_is_matched_no_further() {
        let filter = Arc::new(KeyFilter::new("", true, Some(r"(a|aa)+\1c")).unwrap());
        let alive = Arc::new(());
        let keys: Vec<_> = (0..100_000).map(|n| (format!("{}{n}", "a".repeat(500)), Arc::clone(&alive))).collect();
        {
            let page = filter_keys(&filter, keys, |(key, _)| key);
            tokio::pin!(page);
            tokio::select! {
                biased;
                _ = &mut page => panic!("100,000 undecided keys take minutes"),
                () = tokio::task::yield_now() => {}
            }
        }
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
