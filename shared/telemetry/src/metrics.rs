//! The registry of one process, and its text.

use crate::error_chain;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntCounter, IntGauge, Opts, Registry, TextEncoder};
use tokio::time::Instant;

/// How long an encoded text is kept. Scrapers come every few seconds; anybody may scrape without a token, and
/// the text takes milliseconds of a processor. Longer would show old figures; shorter would let a flood encode more.
const FRESH: Duration = Duration::from_secs(1);

/// The metrics of this process. Clones share them.
///
/// Every crate registers its own families in [`registry`](Self::registry); labels come from enums.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    encoded: IntCounter,
    /// The last text, and when it was encoded.
    last: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl Metrics {
    /// A registry with the process's own figures (memory, CPU, open files) and
    /// `longshore_build_info{component, version} 1`.
    pub fn new(component: &'static str, version: &'static str) -> Self {
        let registry = Registry::new();
        let build = IntGauge::with_opts(
            Opts::new("longshore_build_info", "Always 1; the labels say what runs.")
                .const_label("component", component)
                .const_label("version", version),
        )
        .expect("name and labels are constant and valid");
        build.set(1);
        registry.register(Box::new(build)).expect("the registry is empty");
        registry.register(Box::new(ProcessCollector::for_self())).expect("no name is used twice");
        let encoded = IntCounter::new("longshore_metrics_encoded_total", "Texts of metrics made for scrapes.")
            .expect("the name is constant and valid");
        registry.register(Box::new(encoded.clone())).expect("no name is used twice");
        Self { registry, encoded, last: Arc::default() }
    }

    /// Where to register.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Every metric in Prometheus' text format, as it was less than a second ago.
    ///
    /// Callers that come at once wait for one text, which takes milliseconds.
    pub fn recent_text(&self) -> Bytes {
        // A text is whole or not there, so a panic elsewhere does not spoil it.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((encoded, text)) = last.as_ref()
            && encoded.elapsed() < FRESH
        {
            return text.clone();
        }
        self.encoded.inc();
        let text = Bytes::from(self.text());
        *last = Some((Instant::now(), text.clone()));
        text
    }

    /// Every metric in Prometheus' text format.
    pub fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            // Families are checked when they are registered; a broken collector must not take the rest of the process with it.
            tracing::error!(event = "metrics_failed", error = error_chain(&error), "could not encode metrics");
            String::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_runs_and_what_it_uses() {
        let text = Metrics::new("worker", "1.2.3").text();
        assert!(text.contains("longshore_build_info{component=\"worker\",version=\"1.2.3\"} 1\n"), "{text}");
        assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    }

    /// Goal: a flood of scrapes costs one text a second. Method: count the texts made.
    #[tokio::test(start_paused = true)]
    async fn a_text_serves_every_scrape_of_a_second() {
        let metrics = Metrics::new("worker", "0");
        for texts in 1..=3 {
            let first = metrics.recent_text();
            assert!((0..100).all(|_| metrics.clone().recent_text() == first));
            assert_eq!(metrics.encoded.get(), texts);
            tokio::time::advance(FRESH).await;
        }
    }

    #[test]
    fn what_a_crate_registers_is_in_the_text() {
        let metrics = Metrics::new("worker", "0");
        let pages = IntCounter::new("longshore_pages_total", "Pages.").unwrap();
        metrics.registry().register(Box::new(pages.clone())).unwrap();
        pages.inc_by(3);
        assert!(metrics.clone().text().contains("\nlongshore_pages_total 3\n"));
    }
}
