//! The registry of one process, and its text.

use prometheus::process_collector::ProcessCollector;
use prometheus::{IntGauge, Opts, Registry, TextEncoder};

/// The metrics of this process. Clones share them.
///
/// Every crate registers its own families in [`registry`](Self::registry); labels come from enums.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
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
        Self { registry }
    }

    /// Where to register.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Every metric in Prometheus' text format.
    pub fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            // Families are checked when they are registered; a broken collector must not take the rest of the process with it.
            tracing::error!(%error, "metrics cannot be written");
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

    #[test]
    fn what_a_crate_registers_is_in_the_text() {
        let metrics = Metrics::new("worker", "0");
        let pages = prometheus::IntCounter::new("longshore_pages_total", "Pages.").unwrap();
        metrics.registry().register(Box::new(pages.clone())).unwrap();
        pages.inc_by(3);
        assert!(metrics.clone().text().contains("\nlongshore_pages_total 3\n"));
    }
}
