//! Consuming that goes on, whatever happens to connection, channel or queue.

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

/// After this long without a message, and with none in hand, the subscription is made anew.
///
/// RabbitMQ 3.10 carries a consumer over to a queue that was deleted and declared again within
/// milliseconds, and then swallows what it should deliver; closing the channel gives those messages
/// back. Longer, and a fleet stands still after such a mishap; shorter is traffic for nothing.
const RENEW_AFTER: Duration = Duration::from_secs(20);

/// The messages of one queue, for as long as nobody cancels.
pub struct Consumer {
    broker: Broker,
    queue: Queue,
    prefetch: u16,
    cancel: CancellationToken,
    open: Option<Subscription>,
    failures: u32,
    /// When to subscribe again. Kept here, so that a caller who polls in short turns gets there too.
    not_before: Instant,
}

struct Subscription {
    /// One reference is held here and one by each delivery in hand.
    channel: Arc<Channel>,
    messages: lapin::Consumer,
    renew_at: Instant,
}

/// One delivered message, to be settled exactly once by [`ack`](Self::ack),
/// [`requeue`](Self::requeue) or [`reject`](Self::reject).
///
/// Settling after the connection was lost does no harm: the broker has queued the message again
/// already. Dropped without being settled, it counts against the prefetch until the channel closes.
pub struct Delivery {
    body: Vec<u8>,
    redelivered: bool,
    queue: Queue,
    acker: Acker,
    /// Keeps the channel open until the last delivery is settled, also after its consumer is gone.
    _channel: Arc<Channel>,
}

impl Consumer {
    pub(crate) fn new(broker: Broker, queue: Queue, prefetch: u16, cancel: CancellationToken) -> Self {
        Self { broker, queue, prefetch, cancel, open: None, failures: 0, not_before: Instant::now() }
    }

    /// The next message that can be read, or `None` once cancelled.
    ///
    /// One that cannot be read goes to the dead letters with a warning in the log; its body is not
    /// shown. Dropping the future loses nothing.
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

    /// Stops the flow of messages until the next one is asked for. Those on the way go back to the queue.
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
        // After the answer to a cancel nothing more comes: what is here now is all.
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

    /// The next message as it came, or `None` once cancelled.
    ///
    /// Waits through lost connections, closed channels and deleted queues, which it declares again.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        let cancel = self.cancel.clone();
        let delivery = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            delivery = self.receive() => Some(delivery),
        };
        if delivery.is_none() {
            // Stops the flow of messages; the channel itself lives on in the deliveries given out.
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
                        body: message.data,
                        redelivered: message.redelivered,
                        queue: self.queue,
                        acker: message.acker,
                        _channel: Arc::clone(&open.channel),
                    };
                }
                // A lost connection is reported by the one who looks after it.
                Some(Err(error)) => self.interrupted(&error_chain(&error)),
                None => self.interrupted("ended by the broker"),
            }
        }
    }

    fn interrupted(&mut self, why: &str) {
        debug!(event = "consumer_interrupted", queue = self.queue.as_str(), error = why, "consuming interrupted");
        self.open = None;
        // If it was for the queue's deletion: not before the other consumers have heard of it too.
        self.not_before = Instant::now() + SETTLE;
    }

    /// Waits for a connection and subscribes anew. Returns after one try, good or bad.
    async fn reopen(&mut self) {
        sleep_until(self.not_before).await;
        self.broker.connected().await;
        match self.subscribe().await {
            Ok(open) => self.open = Some(open),
            Err(error) => {
                self.not_before = Instant::now() + RECONNECT.wait(self.failures);
                self.failures = self.failures.saturating_add(1);
                if self.broker.is_connected() {
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
        // The broker ends a consumer when its queue is deleted, so look that it is there.
        self.broker.redeclare().await?;
        let channel = self.broker.channel().await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await.map_err(failed("set the prefetch"))?;
        let messages = channel
            .basic_consume(
                self.queue.as_str().into(),
                // Empty: the broker makes up a tag.
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
    /// The message as it came.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether it was delivered before, to anybody.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// The message is dealt with.
    pub async fn ack(self) {
        self.settled("ack", self.acker.ack(BasicAckOptions::default()).await);
    }

    /// Somebody else should have it, or the same process later. It counts towards the delivery limit.
    pub async fn requeue(self) {
        self.settled("requeue", self.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await);
    }

    /// Nobody can do anything with it: to the dead letters.
    pub async fn reject(self) {
        self.settled("reject", self.acker.nack(BasicNackOptions { requeue: false, multiple: false }).await);
    }

    fn settled(&self, how: &'static str, result: Result<bool, lapin::Error>) {
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
