//! Consuming that goes on, whatever happens to connection, channel or queue.

use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::error::{BrokerError, chain, failed};
use crate::message::{Message, read};
use crate::topology::Queue;
use crate::{Broker, backoff};

/// The messages of one queue, for as long as nobody cancels.
pub struct Consumer {
    broker: Broker,
    queue: Queue,
    prefetch: u16,
    cancel: CancellationToken,
    open: Option<(Channel, lapin::Consumer)>,
    failures: u32,
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
    _channel: Channel,
}

impl Consumer {
    pub(crate) fn new(broker: Broker, queue: Queue, prefetch: u16, cancel: CancellationToken) -> Self {
        Self { broker, queue, prefetch, cancel, open: None, failures: 0 }
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
                        queue = self.queue.as_str(),
                        error = chain(&error),
                        "a message cannot be read: moved to the dead letters"
                    );
                    delivery.reject().await;
                }
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
            let Some((channel, consumer)) = &mut self.open else {
                self.reopen().await;
                continue;
            };
            match consumer.next().await {
                Some(Ok(message)) => {
                    self.failures = 0;
                    return Delivery {
                        body: message.data,
                        redelivered: message.redelivered,
                        queue: self.queue,
                        acker: message.acker,
                        _channel: channel.clone(),
                    };
                }
                Some(Err(error)) => {
                    // A lost connection is reported by the one who looks after it.
                    debug!(queue = self.queue.as_str(), error = chain(&error), "consuming was interrupted");
                    self.open = None;
                }
                None => {
                    debug!(queue = self.queue.as_str(), "the broker ended the consumer");
                    self.open = None;
                }
            }
        }
    }

    /// Waits for a connection and subscribes anew. Returns after one try, good or bad.
    async fn reopen(&mut self) {
        self.broker.connected().await;
        match self.subscribe().await {
            Ok(open) => self.open = Some(open),
            Err(error) => {
                let wait = backoff::delay(self.failures);
                self.failures = self.failures.saturating_add(1);
                if self.broker.is_connected() {
                    warn!(queue = self.queue.as_str(), error = chain(&error), "cannot consume, trying again");
                }
                tokio::time::sleep(wait).await;
            }
        }
    }

    async fn subscribe(&self) -> Result<(Channel, lapin::Consumer), BrokerError> {
        // The broker ends a consumer when its queue is deleted, so look that it is there.
        self.broker.redeclare().await?;
        let channel = self.broker.channel().await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await.map_err(failed("set the prefetch"))?;
        let consumer = channel
            .basic_consume(
                self.queue.as_str().into(),
                // Empty: the broker makes up a tag.
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(failed("consume"))?;
        Ok((channel, consumer))
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
            Ok(false) => "its channel is gone".to_owned(),
            Err(error) => chain(&error),
        };
        debug!(queue = self.queue.as_str(), settle = how, error = lost, "not settled: the message comes again");
    }
}
