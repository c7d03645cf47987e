//! Publishes messages and waits for the broker's confirms.

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

/// Time limit for all confirms of one call. If it is shorter, late confirms of a busy broker count as lost and
/// messages are published twice (harmless, but more work); if it is longer, a stalled broker delays the outbox.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// AMQP's number for a message that survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// Why the broker does not have a message, or may not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PublishError {
    /// There was no connection, or it broke before the confirm.
    #[error("the connection to the broker was lost")]
    Disconnected,
    /// The queue did not exist. It has been declared again, so the next attempt may succeed.
    #[error("the queue did not exist")]
    Unroutable,
    /// The broker refused the message because the queue is full.
    #[error("the broker refused the message")]
    Refused,
    /// The confirm did not come in time.
    #[error("the broker did not confirm in time")]
    TimedOut,
    /// The message was not sent, because the broker blocks publishers: its memory or disk space is short.
    #[error("the broker blocks publishers")]
    Blocked,
}

/// Publishes messages and reports which of them the broker has. Concurrent calls take turns: one call at a time uses
/// the channel.
pub struct Publisher {
    broker: Broker,
    channel: Mutex<Option<Channel>>,
    sequence: AtomicU64,
}

struct OutgoingMessage<'a> {
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

    /// Sends one message per job, all before the first confirm, then waits for the confirms.
    ///
    /// The result has one entry per job, in the same order. `Ok` means that the broker has the message on disk; an
    /// error means that it may or may not have it. If a queue was missing, the topology has been declared again
    /// before this returns.
    pub async fn publish_jobs(&self, jobs: &[JobMessage]) -> Vec<Result<(), PublishError>> {
        let outgoing = jobs
            .iter()
            .map(|job| OutgoingMessage {
                exchange: "",
                routing_key: Queue::of(job.kind).as_str(),
                message_id: format!("job-{}-{}", job.job, self.sequence.fetch_add(1, Ordering::Relaxed)),
                body: to_json(job),
                mandatory: true,
            })
            .collect();
        self.publish(outgoing).await
    }

    /// Publishes an event to all queues bound for it; without such a queue the broker drops it.
    ///
    /// # Errors
    /// The broker did not confirm it.
    pub async fn publish_event(&self, routing_key: &str, event: &serde_json::Value) -> Result<(), PublishError> {
        let outgoing = OutgoingMessage {
            exchange: EVENTS_EXCHANGE,
            routing_key,
            message_id: format!("event-{}", self.sequence.fetch_add(1, Ordering::Relaxed)),
            body: to_json(event),
            mandatory: false,
        };
        self.publish(vec![outgoing]).await.pop().unwrap_or(Err(PublishError::Disconnected))
    }

    async fn publish(&self, outgoing: Vec<OutgoingMessage<'_>>) -> Vec<Result<(), PublishError>> {
        if self.broker.condition().is_blocked() {
            return vec![Err(PublishError::Blocked); outgoing.len()];
        }
        let mut slot = self.channel.lock().await;
        let channel = match self.confirm_channel(slot.take()).await {
            Ok(channel) => channel,
            Err(error) => {
                debug!(event = "publish_channel_failed", error = error_chain(&error), "no channel to publish on");
                return vec![Err(PublishError::Disconnected); outgoing.len()];
            }
        };
        let results = send_all(&channel, &outgoing).await;
        let failures = results.iter().filter_map(|result| result.err());
        // Of several failures, the one that says most about the broker.
        let failure = failures.max_by_key(|failure| matches!(failure, PublishError::TimedOut | PublishError::Refused));
        self.broker.condition().record_confirms(failure);
        if results.contains(&Err(PublishError::Unroutable)) {
            warn!(event = "queue_missing", "a queue is missing, declaring it again");
            tokio::time::sleep(SETTLE).await;
            if let Err(error) = self.broker.redeclare().await {
                warn!(event = "queue_declare_failed", error = error_chain(&error), "could not declare a missing queue");
            }
        }
        // A channel with pending confirms, or one that used a deleted queue, is not reused.
        if results.iter().all(|result| matches!(result, Ok(()) | Err(PublishError::Refused))) {
            *slot = Some(channel);
        }
        results
    }

    /// Returns the channel of the last call if it is still open, else a new one with confirms.
    async fn confirm_channel(&self, last: Option<Channel>) -> Result<Channel, BrokerError> {
        if let Some(channel) = last.filter(|channel| channel.status().connected()) {
            return Ok(channel);
        }
        let channel = self.broker.channel().await?;
        timeout(CONFIRM_TIMEOUT, channel.confirm_select(ConfirmSelectOptions::default()))
            .await
            .map_err(|_| BrokerError::TimedOut { op: "request confirms" })?
            .map_err(failed("request confirms"))?;
        Ok(channel)
    }
}

/// Sends every message, then collects the confirms.
async fn send_all(channel: &Channel, outgoing: &[OutgoingMessage<'_>]) -> Vec<Result<(), PublishError>> {
    // `join_all` polls in order, so messages are written in order, and a slow one does not delay the next.
    let receipts = join_all(outgoing.iter().map(|message| timeout(CONFIRM_TIMEOUT, send(channel, message)))).await;
    settle(outgoing, receipts)
}

async fn send(channel: &Channel, message: &OutgoingMessage<'_>) -> Result<Confirmation, lapin::Error> {
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

/// Assigns a result to each message.
///
/// The broker returns an unroutable message and then confirms it. lapin attaches a returned message to the next
/// confirm that resolves, and one confirm may cover many messages, so only the ID shows which message was returned.
fn settle(
    outgoing: &[OutgoingMessage<'_>],
    receipts: Vec<Result<Result<Confirmation, lapin::Error>, tokio::time::error::Elapsed>>,
) -> Vec<Result<(), PublishError>> {
    let mut returned = HashSet::new();
    let results: Vec<_> = receipts
        .into_iter()
        .map(|receipt| {
            let confirmation = receipt.map_err(|_| PublishError::TimedOut)?.map_err(|_| PublishError::Disconnected)?;
            let result = if confirmation.is_ack() { Ok(()) } else { Err(PublishError::Refused) };
            if let Some(message) = confirmation.take_message()
                && let Some(id) = message.delivery.properties.message_id()
            {
                returned.insert(id.to_string());
            }
            result
        })
        .collect();
    let mark = |(message, result): (&OutgoingMessage<'_>, _)| {
        if returned.contains(&message.message_id) { Err(PublishError::Unroutable) } else { result }
    };
    outgoing.iter().zip(results).map(mark).collect()
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("enums, numbers and JSON values always serialize")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::message::{BasicReturnMessage, Delivery};

    fn outgoing(id: &str) -> OutgoingMessage<'static> {
        OutgoingMessage { exchange: "", routing_key: "q", message_id: id.to_owned(), body: Vec::new(), mandatory: true }
    }

    fn returned(id: &str) -> Option<BasicReturnMessage> {
        let mut delivery = Delivery::mock(0, "".into(), "q".into(), false, Vec::new());
        delivery.properties = BasicProperties::default().with_message_id(id.into());
        Some(BasicReturnMessage { delivery, reply_code: 312, reply_text: "NO_ROUTE".into() })
    }

    #[test]
    fn a_returned_message_is_unconfirmed_whichever_confirm_carries_it() {
        let sent = [outgoing("a"), outgoing("b"), outgoing("c")];
        let receipts = vec![
            Ok(Ok(Confirmation::Ack(returned("c")))),
            Ok(Ok(Confirmation::Nack(None))),
            Ok(Ok(Confirmation::Ack(None))),
        ];
        assert_eq!(settle(&sent, receipts), [Ok(()), Err(PublishError::Refused), Err(PublishError::Unroutable)]);
    }

    #[test]
    fn a_broken_connection_does_not_change_the_other_results() {
        let sent = [outgoing("a"), outgoing("b")];
        let receipts = vec![Ok(Ok(Confirmation::Ack(None))), Ok(Err(lapin::ErrorKind::MissingHeartbeatError.into()))];
        assert_eq!(settle(&sent, receipts), [Ok(()), Err(PublishError::Disconnected)]);
    }
}
