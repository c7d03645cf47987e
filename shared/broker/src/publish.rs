//! Publishing with receipts.

use longshore_telemetry::error_chain;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use longshore_model::JobMessage;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::Broker;
use crate::error::{BrokerError, failed};
use crate::topology::{EVENTS_EXCHANGE, Queue, SETTLE};

/// For all receipts of one call. Shorter, and a busy broker's late receipts count as lost, so that
/// messages are doubled (harmless, but more work); longer, and a stalled broker holds up the outbox.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// AMQP's number for a message that survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// Why the broker does not have a message, or may not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unconfirmed {
    /// There was no connection, or it broke before the receipt.
    #[error("the connection to the broker was lost")]
    Disconnected,
    /// The queue was not there. It has been declared again meanwhile, so the next try may succeed.
    #[error("the queue was not there")]
    Unroutable,
    /// The broker refused: the queue is full.
    #[error("the broker refused the message")]
    Refused,
    /// No receipt in time.
    #[error("the broker gave no receipt in time")]
    TimedOut,
}

/// Publishes, and knows what arrived. Calls queue up: one at a time uses the channel.
pub struct Publisher {
    broker: Broker,
    channel: Mutex<Option<Channel>>,
    sequence: AtomicU64,
}

struct Outgoing<'a> {
    exchange: &'a str,
    routing_key: &'a str,
    message_id: String,
    body: Vec<u8>,
    mandatory: bool,
}

impl Publisher {
    pub(crate) fn new(broker: Broker) -> Self {
        Self { broker, channel: Mutex::new(None), sequence: AtomicU64::new(0) }
    }

    /// Sends a message for each job, all before the first receipt, then waits for the receipts.
    ///
    /// The answer has one entry a job, in the same order. `Ok` means that the broker has the message
    /// on disk; anything else that it may or may not have it. If a queue was missing, the topology
    /// has been declared again on return.
    pub async fn publish_jobs(&self, jobs: &[JobMessage]) -> Vec<Result<(), Unconfirmed>> {
        let outgoing = jobs
            .iter()
            .map(|job| Outgoing {
                exchange: "",
                routing_key: Queue::of(job.kind).as_str(),
                message_id: format!("job-{}-{}", job.job, self.sequence.fetch_add(1, Ordering::Relaxed)),
                body: json(job),
                mandatory: true,
            })
            .collect();
        self.publish(outgoing).await
    }

    /// Sends an event to whoever has bound a queue for it; with nobody there it is dropped.
    ///
    /// # Errors
    /// The broker did not confirm it.
    pub async fn publish_event(&self, routing_key: &str, event: &serde_json::Value) -> Result<(), Unconfirmed> {
        let outgoing = Outgoing {
            exchange: EVENTS_EXCHANGE,
            routing_key,
            message_id: format!("event-{}", self.sequence.fetch_add(1, Ordering::Relaxed)),
            body: json(event),
            mandatory: false,
        };
        self.publish(vec![outgoing]).await.pop().unwrap_or(Err(Unconfirmed::Disconnected))
    }

    async fn publish(&self, outgoing: Vec<Outgoing<'_>>) -> Vec<Result<(), Unconfirmed>> {
        let mut slot = self.channel.lock().await;
        let channel = match self.ready(slot.take()).await {
            Ok(channel) => channel,
            Err(error) => {
                debug!(event = "publish_channel_failed", error = error_chain(&error), "no channel to publish on");
                return vec![Err(Unconfirmed::Disconnected); outgoing.len()];
            }
        };
        let results = confirmed(&channel, &outgoing).await;
        if results.contains(&Err(Unconfirmed::Unroutable)) {
            warn!(event = "queue_missing", "a queue is missing, declaring it again");
            tokio::time::sleep(SETTLE).await;
            if let Err(error) = self.broker.redeclare().await {
                warn!(event = "queue_declare_failed", error = error_chain(&error), "could not declare a missing queue");
            }
        }
        // A channel with receipts outstanding, or that knew a queue which is gone, is not used again.
        if results.iter().all(|result| matches!(result, Ok(()) | Err(Unconfirmed::Refused))) {
            *slot = Some(channel);
        }
        results
    }

    /// The channel of the last call if it is still good, else a new one that gives receipts.
    async fn ready(&self, last: Option<Channel>) -> Result<Channel, BrokerError> {
        if let Some(channel) = last.filter(|channel| channel.status().connected()) {
            return Ok(channel);
        }
        let channel = self.broker.channel().await?;
        timeout(CONFIRM_TIMEOUT, channel.confirm_select(ConfirmSelectOptions::default()))
            .await
            .map_err(|_| BrokerError::TimedOut { op: "ask for confirms" })?
            .map_err(failed("ask for confirms"))?;
        Ok(channel)
    }
}

/// Sends everything, then collects the receipts.
async fn confirmed(channel: &Channel, outgoing: &[Outgoing<'_>]) -> Vec<Result<(), Unconfirmed>> {
    // Polled in order, so they are written in order; the first to wait does not hold up the next.
    let receipts = join_all(outgoing.iter().map(|message| timeout(CONFIRM_TIMEOUT, send(channel, message)))).await;
    settle(outgoing, receipts)
}

async fn send(channel: &Channel, message: &Outgoing<'_>) -> Result<Confirmation, lapin::Error> {
    let options = BasicPublishOptions { mandatory: message.mandatory, ..Default::default() };
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message.message_id.as_str().into());
    channel
        .basic_publish(message.exchange.into(), message.routing_key.into(), options, &message.body, properties)
        .await?
        .await
}

/// What the receipts say about each message.
///
/// The broker returns an unroutable message and then confirms it. The client hands a returned message
/// to whichever receipt resolves next, and one receipt may stand for many: only the id tells whose it is.
fn settle(
    outgoing: &[Outgoing<'_>],
    receipts: Vec<Result<Result<Confirmation, lapin::Error>, tokio::time::error::Elapsed>>,
) -> Vec<Result<(), Unconfirmed>> {
    let mut returned = HashSet::new();
    let results: Vec<_> = receipts
        .into_iter()
        .map(|receipt| {
            let confirmation = receipt.map_err(|_| Unconfirmed::TimedOut)?.map_err(|_| Unconfirmed::Disconnected)?;
            let result = if confirmation.is_ack() { Ok(()) } else { Err(Unconfirmed::Refused) };
            if let Some(message) = confirmation.take_message()
                && let Some(id) = message.delivery.properties.message_id()
            {
                returned.insert(id.to_string());
            }
            result
        })
        .collect();
    let mark = |(message, result): (&Outgoing<'_>, _)| {
        if returned.contains(&message.message_id) { Err(Unconfirmed::Unroutable) } else { result }
    };
    outgoing.iter().zip(results).map(mark).collect()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("words, numbers and JSON values always serialize")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::message::{BasicReturnMessage, Delivery};

    fn outgoing(id: &str) -> Outgoing<'static> {
        Outgoing { exchange: "", routing_key: "q", message_id: id.to_owned(), body: Vec::new(), mandatory: true }
    }

    fn returned(id: &str) -> Option<BasicReturnMessage> {
        let mut delivery = Delivery::mock(0, "".into(), "q".into(), false, Vec::new());
        delivery.properties = BasicProperties::default().with_message_id(id.into());
        Some(BasicReturnMessage { delivery, reply_code: 312, reply_text: "NO_ROUTE".into() })
    }

    #[test]
    fn a_returned_message_is_unconfirmed_whichever_receipt_carries_it() {
        let sent = [outgoing("a"), outgoing("b"), outgoing("c")];
        let receipts = vec![
            Ok(Ok(Confirmation::Ack(returned("c")))),
            Ok(Ok(Confirmation::Nack(None))),
            Ok(Ok(Confirmation::Ack(None))),
        ];
        assert_eq!(settle(&sent, receipts), [Ok(()), Err(Unconfirmed::Refused), Err(Unconfirmed::Unroutable)]);
    }

    #[test]
    fn a_broken_connection_leaves_the_other_receipts_as_they_are() {
        let sent = [outgoing("a"), outgoing("b")];
        let receipts = vec![Ok(Ok(Confirmation::Ack(None))), Ok(Err(lapin::ErrorKind::MissingHeartbeatError.into()))];
        assert_eq!(settle(&sent, receipts), [Ok(()), Err(Unconfirmed::Disconnected)]);
    }
}
