//! All queues and exchanges, with the reason for each argument.
//!
//! Declaring is idempotent as long as the arguments stay the same. The broker refuses a queue that exists with other
//! arguments, so a changed value needs a new queue name. Works on `RabbitMQ` 3.10 to 4.x.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};
use longshore_model::JobKind;

use crate::error::{BrokerError, failed};

/// Hosts publish [`SyncRequest`](longshore_model::SyncRequest)s here, with any routing key.
pub const REQUESTS_EXCHANGE: &str = "longshore.requests";

/// Hosts bind their own queues here; routing keys are such as `sync.completed`.
pub const EVENTS_EXCHANGE: &str = "longshore.events";

/// Redeliveries before the broker dead-letters a message. `RabbitMQ` 4 has 20 as its default, 3.x has no limit:
/// there, a message that crashes its worker would crash one worker after the other forever. If it is much lower, a
/// few broker restarts dead-letter good messages.
const DELIVERY_LIMIT: i32 = 20;

/// Most messages that may wait in a queue. Above it the broker refuses to take more, and the rows wait in the outbox,
/// where they cost little. Without a limit, stalled workers would let the queue fill the broker's disk, which stops
/// every other application on it. Far fewer messages than this normally wait.
const MAX_LENGTH: i32 = 100_000;

/// Most dead letters kept for operators to inspect. The oldest go first; no code depends on them.
const MAX_DEAD: i32 = 10_000;

/// Reads without acknowledgement that a dead letter survives, so that inspecting it does not use it up.
const DEAD_DELIVERY_LIMIT: i32 = 1_000_000;

/// Wait between noticing that a queue was deleted and declaring it again. The broker notifies every consumer of a
/// deleted queue, unless a new queue of that name exists by then: such a consumer stays subscribed but receives no
/// messages.
pub(crate) const SETTLE: Duration = Duration::from_millis(500);

/// Every exchange and its kind. Fanout: a request arrives with any routing key that the host's library sets.
pub(crate) const EXCHANGES: &[(&str, ExchangeKind)] =
    &[(REQUESTS_EXCHANGE, ExchangeKind::Fanout), (EVENTS_EXCHANGE, ExchangeKind::Topic)];

/// Exchanges survive a restart of the broker.
pub(crate) const DURABLE: ExchangeDeclareOptions =
    ExchangeDeclareOptions { passive: false, durable: true, auto_delete: false, internal: false, nowait: false };

/// The queues that Longshore consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Jobs that list and read. A separate queue, so that exports never wait behind a long import.
    Import,
    /// Jobs that write and delete.
    Export,
    /// Sync requests of hosts over AMQP.
    Requests,
    /// Dead letters: messages that no consumer could read or finish.
    Dead,
}

impl Queue {
    /// Every queue.
    pub const ALL: &'static [Self] = &[Self::Import, Self::Export, Self::Requests, Self::Dead];

    /// The name on the broker.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Import => "longshore.import",
            Self::Export => "longshore.export",
            Self::Requests => "longshore.requests",
            Self::Dead => "longshore.dead",
        }
    }

    /// The queue for jobs of this kind.
    pub const fn of(kind: JobKind) -> Self {
        match kind {
            JobKind::Import => Self::Import,
            JobKind::Export | JobKind::Delete => Self::Export,
        }
    }

    pub(crate) fn arguments(self) -> FieldTable {
        let mut arguments = FieldTable::default();
        // Replicated and on disk before the broker confirms: that is what makes a confirm reliable.
        insert_text(&mut arguments, "x-queue-type", "quorum");
        if self == Self::Dead {
            insert_number(&mut arguments, "x-max-length", MAX_DEAD);
            insert_number(&mut arguments, "x-delivery-limit", DEAD_DELIVERY_LIMIT);
            return arguments;
        }
        insert_number(&mut arguments, "x-delivery-limit", DELIVERY_LIMIT);
        // Through the default exchange, which routes by queue name, so no binding can be lost.
        insert_text(&mut arguments, "x-dead-letter-exchange", "");
        insert_text(&mut arguments, "x-dead-letter-routing-key", Self::Dead.as_str());
        // The default, at-most-once, drops a dead letter if its queue is unavailable at that moment.
        insert_text(&mut arguments, "x-dead-letter-strategy", "at-least-once");
        // At-least-once requires this: a full queue refuses new messages instead of dropping the oldest.
        insert_text(&mut arguments, "x-overflow", "reject-publish");
        insert_number(&mut arguments, "x-max-length", MAX_LENGTH);
        arguments
    }
}

/// The length of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Messages ready to be delivered, without those that consumers hold unacknowledged.
    pub ready: u32,
    /// Consumers of the queue, in all processes.
    pub consumers: u32,
}

/// Declares all queues, exchanges and bindings. A second call changes nothing.
pub(crate) async fn declare(channel: &Channel) -> Result<(), BrokerError> {
    for (exchange, kind) in EXCHANGES {
        channel
            .exchange_declare((*exchange).into(), kind.clone(), DURABLE, FieldTable::default())
            .await
            .map_err(failed("declare an exchange"))?;
    }
    for queue in Queue::ALL {
        channel
            .queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), queue.arguments())
            .await
            .map_err(failed("declare a queue"))?;
    }
    channel
        .queue_bind(
            Queue::Requests.as_str().into(),
            REQUESTS_EXCHANGE.into(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .map_err(failed("bind the requests queue"))
}

fn insert_text(arguments: &mut FieldTable, key: &str, value: &str) {
    arguments.insert(key.into(), AMQPValue::LongString(value.into()));
}

fn insert_number(arguments: &mut FieldTable, key: &str, value: i32) {
    arguments.insert(key.into(), AMQPValue::LongInt(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_kind_has_a_queue() {
        assert_eq!(Queue::of(JobKind::Import), Queue::Import);
        assert_eq!(Queue::of(JobKind::Export), Queue::Export);
        assert_eq!(Queue::of(JobKind::Delete), Queue::Export);
    }

    #[test]
    fn only_the_dead_queue_has_no_dead_letter_queue() {
        for queue in Queue::ALL {
            let has_dead_letters = queue.arguments().contains_key("x-dead-letter-exchange");
            assert_eq!(has_dead_letters, *queue != Queue::Dead, "{queue:?}");
        }
    }

    #[test]
    fn at_least_once_dead_lettering_has_the_arguments_it_requires() {
        for queue in [Queue::Import, Queue::Export, Queue::Requests] {
            let arguments = queue.arguments();
            let is = |key: &str, value: &str| arguments.inner().get(key) == Some(&AMQPValue::LongString(value.into()));
            assert!(is("x-queue-type", "quorum"));
            assert!(is("x-dead-letter-strategy", "at-least-once"));
            assert!(is("x-overflow", "reject-publish"));
            assert!(arguments.contains_key("x-max-length"));
        }
    }
}
