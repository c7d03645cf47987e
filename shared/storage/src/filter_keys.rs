//! Matching a page of listed keys against a file filter, off the threads that others wait for.
//!
//! A match costs up to a millisecond, which the user who wrote the filter decides. So a page is matched in
//! slices on blocking threads. Between slices the caller may drop the future: on a deadline, a lost lease, SIGTERM
//! or a client that hung up. Then nothing goes on.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use longshore_filter::{KeyFilter, Skip};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How long a slice matches before others get the thread. A page of a sensible filter is one slice; shorter, pages
/// of slower ones would hop between threads for nothing, longer, they would wait for each other.
const SLICE: Duration = Duration::from_millis(10);

/// Slices at once in this process: as many as there are processors, so that no number of slow filters takes more
/// threads than that.
static SLICES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(processors))
});

/// Says of each listed thing why a sync skips its key, or `None` if it takes it; in order.
///
/// Without an expression this is done at once, on the caller's thread.
pub async fn filtered<T: Send + 'static>(
    filter: &Arc<KeyFilter>,
    listed: Vec<T>,
    key: fn(&T) -> &str,
) -> Vec<(T, Option<Skip>)> {
    let mut judged = Vec::with_capacity(listed.len());
    let mut left = listed.into_iter();
    if !filter.has_regex() {
        judged.extend(left.map(|thing| {
            let skip = filter.skips(key(&thing));
            (thing, skip)
        }));
        return judged;
    }
    while left.len() > 0 {
        let permit = Arc::clone(&SLICES).acquire_owned().await;
        let filter = Arc::clone(filter);
        let slice = tokio::task::spawn_blocking(move || {
            let end = Instant::now() + SLICE;
            for thing in left.by_ref() {
                let skip = filter.skips(key(&thing));
                judged.push((thing, skip));
                if Instant::now() >= end {
                    break;
                }
            }
            drop(permit);
            (left, judged)
        });
        (left, judged) = match AbortOnDropHandle::new(slice).await {
            Ok(matched) => matched,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime shuts down, and this task with it.
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
    async fn every_key_is_judged_in_order_with_an_expression_and_without() {
        for regex in [None, Some("1"), Some("(?=1)"), Some(r"(?:[0-9]{0,60}){0,60}!")] {
            let filter = Arc::new(KeyFilter::new("", true, regex).unwrap());
            let keys: Vec<String> = (0..100).map(|n| format!("{n:0100}")).collect();
            let judged = filtered(&filter, keys.clone(), String::as_str).await;
            for ((key, skip), expected) in judged.into_iter().zip(keys) {
                assert_eq!((key.as_str(), skip), (expected.as_str(), filter.skips(&expected)));
            }
        }
    }

    /// Goal: a caller that gives up ends the work. Method: on one thread, the future is dropped while it waits for
    /// its first slice; the keys, which count themselves, are dropped with it.
    #[tokio::test]
    async fn a_dropped_page_is_matched_no_further() {
        let filter = Arc::new(KeyFilter::new("", true, Some(r"(a|aa)+\1c")).unwrap());
        let alive = Arc::new(());
        let keys: Vec<_> = (0..100_000).map(|n| (format!("{}{n}", "a".repeat(500)), Arc::clone(&alive))).collect();
        {
            let page = filtered(&filter, keys, |(key, _)| key);
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
