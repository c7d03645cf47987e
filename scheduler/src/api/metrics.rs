//! Rate, errors and duration of requests, by the template of their route. Paths with IDs would make unbounded labels.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tokio::time::Instant;

use super::load_limits::Limit;

/// Upper bounds in seconds: a row takes milliseconds, a connection probe up to ten seconds.
const BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The label of requests that match no route.
const NO_ROUTE: &str = "none";

/// The metrics of the API. Clones share the counters.
#[derive(Clone)]
pub(crate) struct ApiMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    running: IntGauge,
    refused: IntCounterVec,
    /// Open event streams.
    pub(crate) streams: IntGauge,
    /// Readings of syncs for event streams.
    pub(crate) feed_reads: IntCounter,
    /// Dead letters deleted by callers.
    pub(crate) dead_letters_deleted: IntCounter,
}

impl ApiMetrics {
    /// Makes the metrics and registers them.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("longshore_api_requests_total", "Requests answered."),
                &["route", "method", "status"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "longshore_api_request_duration_seconds",
                    "Time from a request to the start of its answer.",
                )
                .buckets(BUCKETS.to_vec()),
                &["route", "method"],
            )?,
            running: IntGauge::new("longshore_api_requests_running", "Requests that are being answered.")?,
            refused: IntCounterVec::new(
                Opts::new("longshore_api_refusals_total", "Requests refused because they reached a limit, by limit."),
                &["limit"],
            )?,
            streams: IntGauge::new("longshore_event_streams", "Open event streams.")?,
            feed_reads: IntCounter::new("longshore_event_reads_total", "Database reads of syncs for event streams.")?,
            dead_letters_deleted: IntCounter::new(
                "longshore_dead_letters_deleted_total",
                "Dead letters deleted through the API.",
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.running.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.streams.clone()))?;
        registry.register(Box::new(metrics.feed_reads.clone()))?;
        registry.register(Box::new(metrics.dead_letters_deleted.clone()))?;
        for limit in Limit::ALL {
            metrics.refused.with_label_values(&[limit.as_str()]);
        }
        Ok(metrics)
    }
}

/// A request that counts as running. Dropping it ends the count, also if the client hangs up.
struct RunningRequest<'a>(&'a IntGauge);

impl Drop for RunningRequest<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts and times a request.
pub(crate) async fn measure(State(metrics): State<ApiMetrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let method = method_label(request.method());
    let started = Instant::now();
    metrics.running.inc();
    let running = RunningRequest(&metrics.running);
    let response = next.run(request).await;
    drop(running);
    if let Some(limit) = response.extensions().get::<Limit>() {
        metrics.refused.with_label_values(&[limit.as_str()]).inc();
    }
    metrics.requests.with_label_values(&[route, method, status_class(response.status().as_u16())]).inc();
    metrics.seconds.with_label_values(&[route, method]).observe(started.elapsed().as_secs_f64());
    response
}

/// The method as a label. HTTP allows any text as a method, so unknown ones become `other`.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

const fn status_class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_from_closed_sets() {
        assert_eq!(method_label(&Method::from_bytes(b"BREW").unwrap()), "other");
        assert_eq!([status_class(204), status_class(404), status_class(503)], ["2xx", "4xx", "5xx"]);
    }
}
