//! The relay: publishes the messages of outbox rows, and deletes a row once the broker has confirmed its message.
//!
//! The rows stay locked while their messages are published, so several relays can share the work. If a relay dies, the
//! locks end and another relay publishes its rows. A message may be published twice, which is harmless.

use std::time::Duration;

use longshore_broker::{Broker, Publisher};
use longshore_db::{Db, Result, outbox};
use longshore_model::{JobMessage, MESSAGE_VERSION};
use prometheus::{IntCounter, Registry};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Wake, record_tick};
use crate::situation::Situation;

/// Messages per tick. With fewer, the relay would wait for the broker's confirmations more often; with more, it would
/// hold the row locks longer.
const BATCH: i64 = 500;

/// The longest time between ticks. A lost notification delays a message by this much.
const PERIOD: Duration = Duration::from_secs(1);

/// Publishes messages until stopped.
pub(crate) async fn run(db: Db, broker: Broker, sent: IntCounter, situation: Situation, stop: CancellationToken) {
    let publisher = broker.publisher();
    let mut wake = Wake::on("longshore_outbox");
    // A broker under an alarm confirms nothing: the rows would only be locked meanwhile.
    while stop.run_until_cancelled(broker.wait_publishable()).await.is_some() {
        let ticked = tick(&db, &publisher, &sent).await;
        record_tick(&situation, "relay", &ticked);
        if ticked.unwrap_or(false) {
            if stop.is_cancelled() {
                return;
            }
            continue;
        }
        let period = next_due(&db).await.map_or(PERIOD, |due| due.min(PERIOD));
        if !wake.next_tick(&db, period, &stop).await {
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
    // If a row is already due, another relay has locked it or the broker has not confirmed it. The minimum wait keeps
    // this loop from running without a pause.
    Some(Duration::from_millis(u64::try_from(due).unwrap_or_default()).max(Duration::from_millis(50)))
}

/// Publishes one batch. Returns whether there may be more.
async fn tick(db: &Db, publisher: &Publisher, sent: &IntCounter) -> Result<bool> {
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
    let deleted = async {
        outbox::confirm(&tx, &confirmed).await?;
        Ok(tx.commit().await?)
    };
    db.in_time(deleted).await?;
    sent.inc_by(confirmed.len() as u64);
    debug!(
        event = "outbox_relayed",
        messages = confirmed.len(),
        unconfirmed = due.len() - confirmed.len(),
        "outbox relayed"
    );
    Ok(confirmed.len() == due.len() && due.len() as i64 == BATCH)
}
