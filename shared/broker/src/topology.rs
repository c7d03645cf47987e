//! Every queue and exchange, and the reason of each argument.
//!
//! Declaring is idempotent as long as the arguments stay the same: the broker refuses a queue that
//! exists with others, so a changed value needs a new queue name. Works on `RabbitMQ` 3.10 to 4.x.

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

/// Redeliveries before a message is set aside. `RabbitMQ` 4 has 20 as its default, 3.x has none: then
/// a message that kills its worker would kill every worker for ever. Much lower, and a few broker
/// restarts would set aside good messages.
const DELIVERY_LIMIT: i32 = 20;

/// Waiting messages a queue takes. Beyond, publishing is refused and the rows wait in the outbox,
/// where they cost nothing; without a limit a stalled fleet fills the broker's disk, which stops
/// every other application on it. Workers keep far fewer jobs waiting than this.
const MAX_LENGTH: i32 = 100_000;

/// Dead letters kept, for people to look at: the oldest go first, for nothing depends on them.
const MAX_DEAD: i32 = 10_000;

/// Reads without acknowledgement that a dead letter survives: looking at it must not use it up.
const DEAD_DELIVERY_LIMIT: i32 = 1_000_000;

/// Between noticing that a queue is gone and declaring it again. The broker tells every consumer of a
/// deleted queue, unless it finds a new one under the name when it comes to it: then the consumer
/// stays, deaf.
pub(crate) const SETTLE: Duration = Duration::from_millis(500);

/// The queues that Longshore consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Jobs that list and read: their own queue, so that exports never wait behind a long import.
    Import,
    /// Jobs that write and delete.
    Export,
    /// What hosts asked for over AMQP.
    Requests,
    /// Messages that nobody could read or finish.
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

    /// The queue that jobs of this kind wait in.
    pub const fn of(kind: JobKind) -> Self {
        match kind {
            JobKind::Import => Self::Import,
            JobKind::Export | JobKind::Delete => Self::Export,
        }
    }

    fn arguments(self) -> FieldTable {
        let mut arguments = FieldTable::default();
        // Replicated and on disk before it is confirmed: a confirm means something.
        text(&mut arguments, "x-queue-type", "quorum");
        if self == Self::Dead {
            number(&mut arguments, "x-max-length", MAX_DEAD);
            number(&mut arguments, "x-delivery-limit", DEAD_DELIVERY_LIMIT);
            return arguments;
        }
        number(&mut arguments, "x-delivery-limit", DELIVERY_LIMIT);
        // Through the default exchange, which routes by queue name: there is no binding to lose.
        text(&mut arguments, "x-dead-letter-exchange", "");
        text(&mut arguments, "x-dead-letter-routing-key", Self::Dead.as_str());
        // The default, at-most-once, drops a dead letter if its queue is away at that moment.
        text(&mut arguments, "x-dead-letter-strategy", "at-least-once");
        // At-least-once demands it: a full queue refuses the newest instead of dropping the oldest.
        text(&mut arguments, "x-overflow", "reject-publish");
        number(&mut arguments, "x-max-length", MAX_LENGTH);
        arguments
    }
}

/// How much waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Messages ready to be delivered, without those that workers hold.
    pub ready: u32,
    /// Consumers on the queue, of all processes.
    pub consumers: u32,
}

/// Declares all queues, exchanges and bindings. Doing it again changes nothing.
pub(crate) async fn declare(channel: &Channel) -> Result<(), BrokerError> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    // Fanout: a host's request arrives whatever routing key its library insists on.
    channel
        .exchange_declare(REQUESTS_EXCHANGE.into(), ExchangeKind::Fanout, durable, FieldTable::default())
        .await
        .map_err(failed("declare the requests exchange"))?;
    channel
        .exchange_declare(EVENTS_EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default())
        .await
        .map_err(failed("declare the events exchange"))?;
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

fn text(arguments: &mut FieldTable, key: &str, value: &str) {
    arguments.insert(key.into(), AMQPValue::LongString(value.into()));
}

fn number(arguments: &mut FieldTable, key: &str, value: i32) {
    arguments.insert(key.into(), AMQPValue::LongInt(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_job_has_its_queue() {
        assert_eq!(Queue::of(JobKind::Import), Queue::Import);
        assert_eq!(Queue::of(JobKind::Export), Queue::Export);
        assert_eq!(Queue::of(JobKind::Delete), Queue::Export);
    }

    #[test]
    fn only_the_dead_queue_has_no_dead_letter_queue() {
        for queue in Queue::ALL {
            let leads_on = queue.arguments().contains_key("x-dead-letter-exchange");
            assert_eq!(leads_on, *queue != Queue::Dead, "{queue:?}");
        }
    }

    #[test]
    fn at_least_once_dead_lettering_comes_with_what_it_demands() {
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
