//! The one place that speaks AMQP: connection, topology, publishing, consuming.
//!
//! The rows in Postgres are the truth; a message is a wake-up that may be lost, doubled or late.
//! So nothing here stores or retries a message. What it promises: [`Broker::run`] keeps one
//! connection alive for as long as it may, [`Publisher`] tells for each message whether the broker
//! has it, [`Consumer`] goes on after any loss, and a message nobody can read ends in
//! `longshore.dead` instead of going round for ever.
//!
//! The AMQP client's own recovery is not used: it brings back channels whose unacknowledged
//! deliveries and unconfirmed messages are gone. A lost connection is replaced by a new one.

mod connection;
mod consume;
mod error;
mod handshake;
mod message;
mod publish;
mod topology;

pub use connection::Broker;
pub use consume::{Consumer, Delivery};
pub use error::BrokerError;
pub use message::{Message, Unreadable};
pub use publish::{Publisher, Unconfirmed};
pub use topology::{Depth, EVENTS_EXCHANGE, Queue, REQUESTS_EXCHANGE};
