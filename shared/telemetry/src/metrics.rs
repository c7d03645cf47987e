//! The metrics registry of a process, and its text format.

use crate::error_chain;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntCounter, IntGauge, Opts, Registry, TextEncoder};
use tokio::time::Instant;

/// How long an encoded text is cached. Scrapers come every few seconds and need no token, and encoding takes
/// milliseconds of CPU time. If it is longer, the values are old; if it is shorter, a flood of scrapes costs more.
const CACHE_TIME: Duration = Duration::from_secs(1);

/// The metrics of this process. Clones share them.
///
/// Every crate registers its metrics in [`registry`](Self::registry); label values come from enums.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    encoded: IntCounter,
    /// The last text, and when it was encoded.
    last: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl Metrics {
    /// Creates a registry with the process metrics (memory, CPU, open files) and `longshore_build_info{component,
    /// version} 1`.
    pub fn new(component: &'static str, version: &'static str) -> Self {
        let registry = Registry::new();
        let build = IntGauge::with_opts(
            Opts::new("longshore_build_info", "Always 1; the labels name the component and its version.")
                .const_label("component", component)
                .const_label("version", version),
        )
        .expect("name and labels are constant and valid");
        build.set(1);
        registry.register(Box::new(build)).expect("the registry is empty");
        registry.register(Box::new(ProcessCollector::for_self())).expect("no name is used twice");
        let encoded = IntCounter::new("longshore_metrics_encoded_total", "Metrics texts encoded for scrapes.")
            .expect("the name is constant and valid");
        registry.register(Box::new(encoded.clone())).expect("no name is used twice");
        Self { registry, encoded, last: Arc::default() }
    }

    /// The registry, for registering metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// All metrics in Prometheus' text format, at most a second old.
    ///
    /// Concurrent callers wait for one text, which takes milliseconds.
    pub fn recent_text(&self) -> Bytes {
        // Poisoning is harmless: the text is replaced as a whole.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((encoded, text)) = last.as_ref()
            && encoded.elapsed() < CACHE_TIME
        {
            return text.clone();
        }
        self.encoded.inc();
        let text = Bytes::from(self.text());
        *last = Some((Instant::now(), text.clone()));
        text
    }

    /// All metrics in Prometheus' text format, encoded now.
    pub fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            // Metrics are checked when they are registered; a broken collector must not stop the rest of the process.
            tracing::error!(event = "metrics_failed", error = error_chain(&error), "could not encode metrics");
            String::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_build_info_and_process_metrics() {
        let text = Metrics::new("worker", "1.2.3").text();
        assert!(text.contains("longshore_build_info{component=\"worker\",version=\"1.2.3\"} 1\n"), "{text}");
        assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    }

    /// Goal: a flood of scrapes costs one encoding per second. Method: count the encodings.
    #[tokio::test(start_paused = true)]
    async fn a_text_serves_every_scrape_of_a_second() {
        let metrics = Metrics::new("worker", "0");
        for texts in 1..=3 {
            let first = metrics.recent_text();
            assert!((0..100).all(|_| metrics.clone().recent_text() == first));
            assert_eq!(metrics.encoded.get(), texts);
            tokio::time::advance(CACHE_TIME).await;
        }
    }

    #[test]
    fn registered_metrics_are_in_the_text() {
        let metrics = Metrics::new("worker", "0");
        let pages = IntCounter::new("longshore_pages_total", "Pages.").unwrap();
        metrics.registry().register(Box::new(pages.clone())).unwrap();
        pages.inc_by(3);
        assert!(metrics.clone().text().contains("\nlongshore_pages_total 3\n"));
    }
}
