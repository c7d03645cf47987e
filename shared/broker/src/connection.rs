//! Keeps one connection to the broker open, and opens a new one after each loss.

use longshore_telemetry::waiting::Fault;
use longshore_telemetry::{Backoff, error_chain};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Event};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::condition::Condition;
use crate::error::{BrokerError, failed};
use crate::topology::{self, Depth, Queue};
use crate::{Address, Consumer, Publisher, handshake};

/// Wait before the next attempt to connect or to consume. A broker that restarts drops all clients together and is
/// soon available again, so the first wait is short. With a longer limit, clients return late to a broker that is
/// back; with a shorter one, every process hammers a dead address.
pub(crate) const RECONNECT: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

/// Time limit for the reply to a declaration. A broker under an alarm may reply late; heartbeats detect a dead one.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the connection's state is checked, in addition to the events that normally report a change immediately.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A supervised connection to the broker. Clones share it.
///
/// A broker under a memory or disk alarm stops reading from connections that publish: a process
/// that consumes jobs and publishes much should use two.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

struct Inner {
    address: Address,
    name: String,
    connection: watch::Sender<Option<Arc<Connection>>>,
    condition: Condition,
}

impl Broker {
    /// Prepares a connection; nothing is opened yet. The broker's management page shows `name`.
    pub fn new(address: &Address, name: impl Into<String>) -> Self {
        let (address, name) = (address.clone(), name.into());
        let (connection, condition) = (watch::Sender::new(None), Condition::default());
        Self { inner: Arc::new(Inner { address, name, connection, condition }) }
    }

    /// Connects and declares the topology, and does both again after every loss, until cancelled.
    ///
    /// Cancel only after the last delivery is acknowledged: the broker delivers every other message again.
    pub async fn run(&self, cancel: &CancellationToken) {
        let mut failures = 0;
        while !cancel.is_cancelled() {
            let opened = tokio::select! {
                () = cancel.cancelled() => return,
                opened = self.open() => opened,
            };
            match opened {
                Ok(connection) => {
                    info!(event = "broker_connected", broker.connection = self.inner.name, "connected to RabbitMQ");
                    let since = Instant::now();
                    self.inner.condition.connected();
                    self.inner.connection.send_replace(Some(Arc::clone(&connection)));
                    let lost = tokio::select! {
                        () = cancel.cancelled() => None,
                        why = self.wait_for_loss(&connection) => Some(why),
                    };
                    self.inner.connection.send_replace(None);
                    self.inner.condition.set_blocked(None);
                    let Some(why) = lost else { return close(&connection).await };
                    self.inner.condition.disconnected(why.clone());
                    info!(
                        event = "broker_disconnected",
                        broker.connection = self.inner.name,
                        error = why,
                        "lost RabbitMQ, reconnecting"
                    );
                    // A connection that breaks right after it opened counts as a failure.
                    failures = if since.elapsed() > RECONNECT.longest { 0 } else { failures + 1 };
                }
                Err(error) => {
                    failures += 1;
                    let error = self.inner.address.explain(&error);
                    self.inner.condition.disconnected(error.clone());
                    // The board of waits warns once a minute.
                    debug!(
                        event = "broker_unreachable",
                        broker.connection = self.inner.name,
                        broker.failures = failures,
                        error,
                        "cannot use RabbitMQ, retrying"
                    );
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(RECONNECT.wait(failures)) => {}
            }
        }
    }

    /// Whether the connection is open and the topology is declared.
    pub fn is_connected(&self) -> bool {
        self.inner.connection.borrow().as_ref().is_some_and(|connection| connection.status().connected())
    }

    /// Waits until the connection is open.
    pub async fn wait_connected(&self) {
        let mut state = self.inner.connection.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        drop(state.wait_for(|connection| connection.as_ref().is_some_and(|c| c.status().connected())).await);
    }

    /// Waits until the connection is open and the broker does not block publishers.
    pub async fn wait_publishable(&self) {
        loop {
            self.wait_connected().await;
            // A connection that is lost is not blocked.
            self.inner.condition.wait_unblocked().await;
            if self.is_publishable() {
                return;
            }
        }
    }

    /// Whether the connection is open and the broker does not block publishers.
    pub fn is_publishable(&self) -> bool {
        self.is_connected() && !self.inner.condition.is_blocked()
    }

    /// What is wrong with the broker, as this process sees it. `None` if it takes messages.
    pub fn fault(&self) -> Option<Fault> {
        self.inner.condition.fault()
    }

    /// What this process knows about the broker.
    pub(crate) fn condition(&self) -> &Condition {
        &self.inner.condition
    }

    /// Waits until the connection can no longer be used, and returns the reason. Meanwhile records its alarms.
    async fn wait_for_loss(&self, connection: &Connection) -> String {
        let mut events = std::pin::pin!(connection.events_listener());
        let mut why = "closed".to_owned();
        let mut alarm = "low on resources".to_owned();
        loop {
            // Events report channels as well, and an event may have come before this listener existed.
            let status = connection.status();
            if !status.connected() {
                return why;
            }
            self.inner.condition.set_blocked(status.blocked().then_some(alarm.as_str()));
            match timeout(LOOK_EVERY, events.next()).await {
                Ok(Some(Event::Error(error))) => why = error_chain(&error),
                Ok(Some(Event::ConnectionBlocked(reason))) => alarm = reason,
                Ok(Some(_)) | Err(_) => {}
                // No more events: look once per period.
                Ok(None) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Returns a publisher on this connection; it opens its own channel.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.clone())
    }

    /// Returns a consumer of `queue` that holds up to `prefetch` unacknowledged messages.
    ///
    /// After a cancellation it returns no more messages; those it has returned can still be acknowledged.
    pub fn consumer(&self, queue: Queue, prefetch: u16, cancel: CancellationToken) -> Consumer {
        Consumer::new(self.clone(), queue, prefetch, cancel)
    }

    /// Asks the broker how many messages wait in a queue; exact at the moment of the call.
    ///
    /// # Errors
    /// There is no connection, the broker blocks it or did not reply, or the queue was deleted.
    pub async fn depth(&self, queue: Queue) -> Result<Depth, BrokerError> {
        // A blocked connection sends nothing, so the answer would not come.
        if !self.is_publishable() {
            return Err(BrokerError::Disconnected);
        }
        let channel = self.channel().await?;
        let passive = QueueDeclareOptions::durable().passive();
        let found =
            timeout(ANSWER_TIMEOUT, channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()))
                .await
                .map_err(|_| BrokerError::TimedOut { op: "query a queue" })?
                .map_err(failed("query a queue"))?;
        Ok(Depth { ready: found.message_count(), consumers: found.consumer_count() })
    }

    /// Opens a channel on the current connection.
    pub(crate) async fn channel(&self) -> Result<Channel, BrokerError> {
        let connection = self.inner.connection.borrow().clone().ok_or(BrokerError::Disconnected)?;
        channel(&connection).await
    }

    /// Declares the topology again, because someone deleted a queue.
    pub(crate) async fn redeclare(&self) -> Result<(), BrokerError> {
        declare(&self.channel().await?).await
    }

    async fn open(&self) -> Result<Arc<Connection>, BrokerError> {
        let connection = handshake::open(&self.inner.address, &self.inner.name).await?;
        declare(&channel(&connection).await?).await?;
        Ok(Arc::new(connection))
    }
}

async fn channel(connection: &Connection) -> Result<Channel, BrokerError> {
    timeout(ANSWER_TIMEOUT, connection.create_channel())
        .await
        .map_err(|_| BrokerError::TimedOut { op: "open a channel" })?
        .map_err(failed("open a channel"))
}

async fn declare(channel: &Channel) -> Result<(), BrokerError> {
    timeout(ANSWER_TIMEOUT, topology::declare(channel))
        .await
        .map_err(|_| BrokerError::TimedOut { op: "declare the topology" })?
}

/// Closes the connection properly, so that the broker does not log a lost client. Does not wait for a broker that is
/// unavailable.
async fn close(connection: &Connection) {
    let closing = connection.close(200, "shutting down".into());
    if let Ok(Err(error)) = timeout(Duration::from_secs(2), closing).await {
        tracing::debug!(event = "broker_closed", error = error_chain(&error), "connection was already closed");
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::Secret;

    use super::*;
    use crate::AddressOptions;

    #[tokio::test]
    async fn without_a_connection_calls_fail_instead_of_waiting() {
        let address = Address::parse(&Secret::new("amqp://localhost"), &AddressOptions::default()).unwrap();
        let broker = Broker::new(&address, "test");
        assert!(!broker.is_connected());
        assert!(matches!(broker.depth(Queue::Import).await, Err(BrokerError::Disconnected)));
    }
}
