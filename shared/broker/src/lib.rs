//! The only crate that uses AMQP: connection, topology, publishing, consuming.
//!
//! The rows in Postgres are the truth; a message is a wake-up that may be lost, duplicated or late. So nothing here
//! stores or retries a message. The promises: [`Broker::run`] keeps one connection open, [`Publisher`] reports for
//! each message whether the broker has it, [`Consumer`] continues after any loss, and an unreadable message ends in
//! `longshore.dead` instead of being redelivered forever.
//!
//! lapin's own recovery is not used: it restores channels, but their unacknowledged deliveries and unconfirmed
//! messages are lost. A lost connection is replaced by a new one.

mod address;
mod check;
mod condition;
mod connection;
mod consume;
mod dead_letters;
mod error;
mod explain;
mod handshake;
mod message;
mod publish;
mod topology;

pub use address::{Address, AddressOptions, InvalidAddress};
pub use check::check;
pub use connection::Broker;
pub use consume::{Consumer, Delivery};
pub use dead_letters::{DeadLetter, DeadLetterPage, FoundDeadLetters};
pub use error::BrokerError;
pub use message::{Message, MessageError};
pub use publish::{PublishError, Publisher};
pub use topology::{Depth, EVENTS_EXCHANGE, Queue, REQUESTS_EXCHANGE};
