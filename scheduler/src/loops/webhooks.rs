//! The webhooks: tells servers of Label Studio's users about tasks that imports made.
//!
//! A delivery is claimed for some time, sent, and deleted. If this process dies in between, it is claimed and sent again. A
//! webhook that does not answer delays only itself: it gets one delivery at a time, and has other places than webhooks
//! that work.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use longshore_db::host::label_studio::{
    Delivery, Tries, WebhookCall, claim_delivery, confirm_delivery, drop_delivery, next_call, retry_delivery,
};
use longshore_db::{Db, Result};
use longshore_storage::{PostError, Poster};
use longshore_telemetry::{Backoff, error_chain};
use percent_encoding::percent_decode_str;
use prometheus::{IntCounterVec, Opts, Registry};
use reqwest::Url;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Wake, record_tick};
use crate::situation::Situation;

/// Time for one request, from connecting to the head of the answer. Label Studio's limit is 1 s, but it never repeats a
/// request: with so short a limit, a server that needs longer would get each delivery several times.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a delivery is claimed: longer than reading its tasks and [`PATIENCE`].
const LEASE: Duration = Duration::from_secs(60);

/// The longest time between ticks. A new delivery wakes the loop.
const PERIOD: Duration = Duration::from_secs(1);

/// Deliveries at the same time. Each has a body of 8 MiB at most, or of one larger task.
pub(crate) const PLACES: usize = 6;

/// Deliveries at the same time to webhooks that failed before.
pub(crate) const PLACES_OF_FAILED: usize = 2;

/// Attempts after which a delivery is given up. With [`WAITS`], a server may be down for 20 minutes.
const MOST_ATTEMPTS: i32 = 10;

/// Waits between attempts.
const WAITS: Backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(600) };

/// Counters of the webhooks.
#[derive(Clone)]
pub(crate) struct WebhookMetrics(IntCounterVec);

impl WebhookMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let help =
            "Requests to webhooks of Label Studio that were answered or failed, and deliveries that were dropped.";
        let attempts = IntCounterVec::new(Opts::new("longshore_webhook_requests_total", help), &["outcome"])?;
        registry.register(Box::new(attempts.clone()))?;
        for outcome in ["ok", "failed", "dropped"] {
            attempts.with_label_values(&[outcome]).inc_by(0);
        }
        Ok(Self(attempts))
    }

    fn count(&self, outcome: &str) {
        self.0.with_label_values(&[outcome]).inc();
    }
}

/// What a loop needs.
#[derive(Clone)]
pub(crate) struct Webhooks {
    pub(crate) db: Db,
    pub(crate) poster: Poster,
    pub(crate) metrics: WebhookMetrics,
    pub(crate) situation: Situation,
}

/// Why a request failed. The texts name neither the URL nor a header, which may contain secrets.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the URL is not valid")]
    Url,
    #[error("a header is not valid")]
    Header,
    #[error("the request failed")]
    Post(#[from] PostError),
    #[error("the server answered {0}")]
    Status(StatusCode),
    #[error("the tasks or the webhook cannot be read")]
    Read(#[source] longshore_db::Error),
    #[error("earlier attempts did not end: the scheduler stopped, or its database did not answer")]
    Unfinished,
}

/// Sends deliveries until stopped.
pub(crate) async fn run(webhooks: Webhooks, tries: Tries, stop: CancellationToken) {
    let (places, name) = match tries {
        Tries::First => (PLACES, "webhooks"),
        Tries::Again => (PLACES_OF_FAILED, "webhook retries"),
    };
    let mut wake = Wake::on("longshore_webhooks");
    let mut sending = FuturesUnordered::new();
    loop {
        while sending.len() < places {
            let db = &webhooks.db;
            let claimed = db.in_time(async { claim_delivery(&db.client().await?, tries, LEASE).await }).await;
            record_tick(&webhooks.situation, name, &claimed);
            let Ok(Some(delivery)) = claimed else { break };
            sending.push(webhooks.deliver(delivery));
        }
        tokio::select! {
            Some(sent) = sending.next() => record_tick(&webhooks.situation, name, &sent),
            goes_on = wake.next_tick(&webhooks.db, PERIOD, &stop) => {
                if !goes_on {
                    return;
                }
            }
        }
    }
}

impl Webhooks {
    /// Sends a delivery, in several requests if its tasks are large.
    async fn deliver(&self, mut delivery: Delivery) -> Result<()> {
        let db = &self.db;
        // A claim is an attempt, even if nothing was recorded about its end.
        if delivery.attempts > MOST_ATTEMPTS {
            return self.record_failure(&delivery, &Failure::Unfinished).await;
        }
        loop {
            let call = match db.in_time(async { next_call(&mut db.client().await?, &mut delivery).await }).await {
                Ok(Some(call)) => call,
                Ok(None) => break,
                // If the database is down, nothing is recorded either: the claim ends, and the delivery is tried again. If
                // only this delivery takes too long, it is given up eventually.
                Err(error) => return self.record_failure(&delivery, &Failure::Read(error)).await,
            };
            if call.skipped > 0 {
                warn!(
                    event = "webhook_tasks_left_out",
                    webhook.id = delivery.webhook_id,
                    sync.id = delivery.sync_id,
                    tasks = call.skipped,
                    "a webhook of Label Studio is not told about tasks that are larger than 64 MiB"
                );
            }
            let until = call.until;
            if let Err(failure) = self.send(call).await {
                return self.record_failure(&delivery, &failure).await;
            }
            let Some(until) = until else { break };
            db.in_time(async { confirm_delivery(&db.client().await?, &mut delivery, until, LEASE).await }).await?;
        }
        debug!(
            event = "webhook_delivered",
            webhook.id = delivery.webhook_id,
            sync.id = delivery.sync_id,
            "webhook delivered"
        );
        db.in_time(async { drop_delivery(&db.client().await?, delivery.id).await }).await
    }

    async fn send(&self, call: WebhookCall) -> std::result::Result<(), Failure> {
        let (uri, headers) = head(&call)?;
        let Some(body) = call.body else { return Ok(()) };
        let status = self.poster.post(uri, headers, body.into()).await?;
        if !status.is_success() {
            return Err(Failure::Status(status));
        }
        self.metrics.count("ok");
        Ok(())
    }

    async fn record_failure(&self, delivery: &Delivery, failure: &Failure) -> Result<()> {
        let (db, error) = (&self.db, error_chain(failure));
        self.metrics.count("failed");
        if delivery.attempts >= MOST_ATTEMPTS || delivery.is_old {
            self.metrics.count("dropped");
            warn!(
                event = "webhook_dropped",
                webhook.id = delivery.webhook_id,
                sync.id = delivery.sync_id,
                attempts = delivery.attempts,
                error,
                "a webhook of Label Studio did not take a delivery, which is given up. Correct the webhook, or deactivate it"
            );
            return db.in_time(async { drop_delivery(&db.client().await?, delivery.id).await }).await;
        }
        debug!(
            event = "webhook_failed",
            webhook.id = delivery.webhook_id,
            error,
            "a webhook failed, trying again later"
        );
        let wait = WAITS.wait(u32::try_from(delivery.attempts - 1).unwrap_or_default());
        db.in_time(async { retry_delivery(&db.client().await?, delivery.id, wait).await }).await
    }
}

/// The URI and the headers of a request. As in Label Studio, user and password in the URL become a header, and the
/// webhook's own headers come first.
fn head(call: &WebhookCall) -> std::result::Result<(Uri, HeaderMap), Failure> {
    let mut url: Url = call.url.parse().map_err(|_| Failure::Url)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(Failure::Url);
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("longshore/", env!("CARGO_PKG_VERSION"))));
    if !url.username().is_empty() || url.password().is_some() {
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pair = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
        let mut basic: HeaderValue = format!("Basic {}", STANDARD.encode(pair)).parse().map_err(|_| Failure::Header)?;
        basic.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, basic);
        // Both succeed on a URL with a host.
        url.set_username("").map_err(|()| Failure::Url)?;
        url.set_password(None).map_err(|()| Failure::Url)?;
    }
    url.set_fragment(None);
    for (name, value) in &call.headers {
        let name: HeaderName = name.parse().map_err(|_| Failure::Header)?;
        let mut value: HeaderValue = value.parse().map_err(|_| Failure::Header)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok((url.as_str().parse().map_err(|_| Failure::Url)?, headers))
}
