//! The relay: outbox rows become messages, and go once the broker has confirmed them.
//!
//! The rows are locked while their messages are on the way, so several relays share the work and a
//! relay that dies leaves its rows to the others; at worst a message is sent twice, which is harmless.

use std::time::Duration;

use longshore_broker::{Broker, Publisher};
use longshore_db::{Db, Result, outbox};
use longshore_model::{JobMessage, MESSAGE_VERSION};
use prometheus::{IntCounter, Registry};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Wake, round_failed};

/// Messages per round: enough that confirms are pipelined, few enough that the row locks stay short.
const BATCH: i64 = 500;

/// The longest nap: a notification that got lost costs at most this.
const PERIOD: Duration = Duration::from_secs(1);

/// Sends until stopped.
pub(crate) async fn run(db: Db, broker: Broker, sent: IntCounter, stop: CancellationToken) {
    let publisher = broker.publisher();
    let mut wake = Wake::on("longshore_outbox");
    while stop.run_until_cancelled(broker.wait_connected()).await.is_some() {
        let more = match round(&db, &publisher, &sent).await {
            Ok(more) => more,
            Err(error) => {
                round_failed("relay", &error);
                false
            }
        };
        if more {
            if stop.is_cancelled() {
                return;
            }
            continue;
        }
        let period = next_due(&db).await.map_or(PERIOD, |due| due.min(PERIOD));
        if !wake.next(&db, period, &stop).await {
            return;
        }
    }
}

/// The counter of confirmed messages.
///
/// # Errors
/// It is registered already.
pub(crate) fn counter(registry: &Registry) -> prometheus::Result<IntCounter> {
    let sent = IntCounter::new("longshore_messages_sent_total", "Job messages that the broker confirmed.")?;
    registry.register(Box::new(sent.clone()))?;
    Ok(sent)
}

async fn next_due(db: &Db) -> Option<Duration> {
    let due = db.in_time(async { outbox::due_in_ms(&db.client().await?).await }).await.ok()??;
    // A row that is due although the round is over is locked by another relay, or was not confirmed.
    Some(Duration::from_millis(u64::try_from(due).unwrap_or_default()).max(Duration::from_millis(50)))
}

/// Sends one batch, and says whether there may be more.
async fn round(db: &Db, publisher: &Publisher, sent: &IntCounter) -> Result<bool> {
    let mut client = db.client().await?;
    let taken = async {
        let tx = client.transaction().await?;
        let due = outbox::take_due(&tx, BATCH).await?;
        Ok((tx, due))
    };
    let (tx, due) = db.in_time(taken).await?;
    if due.is_empty() {
        return Ok(false);
    }
    let messages: Vec<JobMessage> =
        due.iter().map(|due| JobMessage { version: MESSAGE_VERSION, job: due.job, kind: due.kind }).collect();
    let receipts = publisher.publish_jobs(&messages).await;
    let confirmed: Vec<i64> =
        due.iter().zip(&receipts).filter(|(_, receipt)| receipt.is_ok()).map(|(due, _)| due.job).collect();
    let forgotten = async {
        outbox::confirm(&tx, &confirmed).await?;
        Ok(tx.commit().await?)
    };
    db.in_time(forgotten).await?;
    sent.inc_by(confirmed.len() as u64);
    debug!(
        event = "outbox_relayed",
        messages = confirmed.len(),
        unconfirmed = due.len() - confirmed.len(),
        "outbox relayed"
    );
    Ok(confirmed.len() == due.len() && due.len() as i64 == BATCH)
}
