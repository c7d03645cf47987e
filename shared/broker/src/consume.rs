//! Consumes a queue, and continues after a lost connection, a closed channel or a deleted queue.

use crate::connection::RECONNECT;
use longshore_telemetry::error_chain;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::Broker;
use crate::error::{BrokerError, failed};
use crate::message::{Message, read};
use crate::topology::{Queue, SETTLE};

/// The subscription is renewed after this long without a message, if no delivery is unsettled.
///
/// `RabbitMQ` 3.10 moves a consumer to a queue that was deleted and declared again within milliseconds, and then
/// loses the messages that it should deliver to this consumer. Closing the channel returns those messages to the
/// queue. If this is longer, all workers wait longer after such an event; if it is shorter, it only adds traffic.
const RENEW_AFTER: Duration = Duration::from_secs(20);

/// Receives the messages of one queue until it is cancelled.
pub struct Consumer {
    broker: Broker,
    queue: Queue,
    prefetch: u16,
    cancel: CancellationToken,
    open: Option<Subscription>,
    failures: u32,
    /// When to subscribe again. A field and not a local wait, so that a caller who polls for short times also gets
    /// there.
    not_before: Instant,
}

struct Subscription {
    /// Referenced here and by each unsettled delivery.
    channel: Arc<Channel>,
    messages: lapin::Consumer,
    renew_at: Instant,
}

/// One delivered message, to be settled exactly once by [`ack`](Self::ack), [`requeue`](Self::requeue) or
/// [`reject`](Self::reject).
///
/// Settling after the connection was lost is harmless: the broker has already put the message back into the queue. A
/// delivery that is dropped without being settled counts against the prefetch until the channel closes.
pub struct Delivery {
    body: Vec<u8>,
    /// The user of the broker who published it, which the broker has checked. `None` if the message names none.
    user: Option<String>,
    redelivered: bool,
    queue: Queue,
    acker: Acker,
    /// Keeps the channel open until the last delivery is settled, even after its consumer was dropped.
    _channel: Arc<Channel>,
}

impl Consumer {
    pub(crate) fn new(broker: Broker, queue: Queue, prefetch: u16, cancel: CancellationToken) -> Self {
        Self { broker, queue, prefetch, cancel, open: None, failures: 0, not_before: Instant::now() }
    }

    /// Returns the next readable message, or `None` once cancelled.
    ///
    /// An unreadable message goes to the dead letters; the log gets a warning without the body. Dropping the future
    /// loses no message.
    pub async fn next_message<M: Message>(&mut self) -> Option<(M, Delivery)> {
        loop {
            let delivery = self.next().await?;
            match read(&delivery.body) {
                Ok(message) => return Some((message, delivery)),
                Err(error) => {
                    warn!(
                        event = "message_rejected",
                        queue = self.queue.as_str(),
                        error = error_chain(&error),
                        "unreadable message, dead-lettered"
                    );
                    delivery.reject().await;
                }
            }
        }
    }

    /// Stops the flow of messages until the next call of `next`. Messages in transit go back to the queue.
    pub async fn pause(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let tag = open.messages.tag();
        if let Err(error) = open.channel.basic_cancel(tag, BasicCancelOptions::default()).await {
            debug!(
                event = "consumer_lost",
                queue = self.queue.as_str(),
                error = error_chain(&error),
                "could not cancel: channel lost"
            );
        }
        // The broker sends nothing after its reply to a cancel, so the messages received by now are all.
        while let Some(Some(Ok(message))) = open.messages.next().now_or_never() {
            let returned = message.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await;
            if let Err(error) = returned {
                debug!(
                    event = "consumer_lost",
                    queue = self.queue.as_str(),
                    error = error_chain(&error),
                    "could not requeue: channel lost"
                );
            }
        }
    }

    /// Returns the next message unparsed, or `None` once cancelled.
    ///
    /// Waits through lost connections, closed channels and deleted queues, and declares deleted queues again.
    /// Dropping the future loses no message.
    pub async fn next(&mut self) -> Option<Delivery> {
        let cancel = self.cancel.clone();
        let delivery = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            delivery = self.receive() => Some(delivery),
        };
        if delivery.is_none() {
            // Stops the flow of messages; the deliveries already returned keep the channel open.
            self.open = None;
        }
        delivery
    }

    async fn receive(&mut self) -> Delivery {
        loop {
            let Some(open) = &mut self.open else {
                self.reopen().await;
                continue;
            };
            let received = tokio::select! {
                biased;
                received = open.messages.next() => received,
                () = sleep_until(open.renew_at) => {
                    open.renew_at = Instant::now() + RENEW_AFTER;
                    if Arc::strong_count(&open.channel) == 1 {
                        self.open = None;
                    }
                    continue;
                }
            };
            match received {
                Some(Ok(message)) => {
                    self.failures = 0;
                    open.renew_at = Instant::now() + RENEW_AFTER;
                    return Delivery {
                        user: message.properties.user_id().as_ref().map(|user| user.as_str().to_owned()),
                        body: message.data,
                        redelivered: message.redelivered,
                        queue: self.queue,
                        acker: message.acker,
                        _channel: Arc::clone(&open.channel),
                    };
                }
                // `Broker::run` reports a lost connection.
                Some(Err(error)) => self.interrupt(&error_chain(&error)),
                None => self.interrupt("ended by the broker"),
            }
        }
    }

    fn interrupt(&mut self, why: &str) {
        debug!(event = "consumer_interrupted", queue = self.queue.as_str(), error = why, "consuming interrupted");
        self.open = None;
        // If the queue was deleted: wait until the other consumers have been notified as well.
        self.not_before = Instant::now() + SETTLE;
    }

    /// Waits for a connection and subscribes again. Returns after one attempt, whether it succeeded or failed.
    async fn reopen(&mut self) {
        sleep_until(self.not_before).await;
        // A blocked connection sends nothing, so it would not subscribe.
        self.broker.wait_publishable().await;
        match self.subscribe().await {
            Ok(open) => self.open = Some(open),
            Err(error) => {
                self.not_before = Instant::now() + RECONNECT.wait(self.failures);
                self.failures = self.failures.saturating_add(1);
                // Else the fault of the broker is reported once a minute.
                if self.broker.is_publishable() {
                    warn!(
                        event = "consume_failed",
                        queue = self.queue.as_str(),
                        error = error_chain(&error),
                        "cannot consume, retrying"
                    );
                }
            }
        }
    }

    async fn subscribe(&self) -> Result<Subscription, BrokerError> {
        // The broker ends a consumer when its queue is deleted, so make sure that the queue exists.
        self.broker.redeclare().await?;
        let channel = self.broker.channel().await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await.map_err(failed("set the prefetch"))?;
        let messages = channel
            .basic_consume(
                self.queue.as_str().into(),
                // Empty: the broker chooses the tag.
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(failed("consume"))?;
        Ok(Subscription { channel: Arc::new(channel), messages, renew_at: Instant::now() + RENEW_AFTER })
    }
}

impl Delivery {
    /// The body as received.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The user of the broker who published it. `None` if the message names none; the broker refuses a wrong name.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether the broker has delivered this message before, to any consumer.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Acknowledges the message: it has been handled.
    pub async fn ack(self) {
        self.log_unsettled("ack", self.acker.ack(BasicAckOptions::default()).await);
    }

    /// Returns the message to the queue, for another consumer or for this one later. It counts towards the delivery
    /// limit.
    pub async fn requeue(self) {
        self.log_unsettled("requeue", self.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await);
    }

    /// Sends a message that no consumer can handle to the dead letters.
    pub async fn reject(self) {
        self.log_unsettled("reject", self.acker.nack(BasicNackOptions { requeue: false, multiple: false }).await);
    }

    fn log_unsettled(&self, how: &'static str, result: Result<bool, lapin::Error>) {
        let lost = match result {
            Ok(true) => return,
            Ok(false) => "channel closed".to_owned(),
            Err(error) => error_chain(&error),
        };
        debug!(
            event = "delivery_not_settled",
            queue = self.queue.as_str(),
            settle = how,
            error = lost,
            "not settled; the message will be redelivered"
        );
    }
}
