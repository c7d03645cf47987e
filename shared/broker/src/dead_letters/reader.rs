//! A channel that holds messages of the queue of dead letters.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::FuturesOrdered;
use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions};
use tokio::time::{Instant, sleep, timeout_at};

use super::DeadLetter;
use crate::Broker;
use crate::error::{BrokerError, failed};
use crate::topology::Queue;

/// Time limit for reading. The queue holds at most 10,000 messages, which take this long if the broker answers after
/// 45 ms. With more, a broker that hardly answers keeps the caller waiting.
pub(super) const READ_TIME: Duration = Duration::from_secs(30);

/// Time limit for the deletion and for the end of a reading. Both are answered as soon as the broker has them.
const CLOSE_TIME: Duration = Duration::from_secs(10);

/// The most messages that are requested before the answer to the first one. With one, 10,000 messages would take longer
/// than [`READ_TIME`] if the broker answers after 3 ms. This many of 16 MiB, the most that RabbitMQ 4 accepts, take
/// 256 MiB at worst.
const WINDOW: usize = 16;

/// Bytes of a body after which only one message is requested at a time: the next ones are probably large too.
const LARGE: usize = 256 * 1024;

/// How often and how long to look until the broker has counted the returned messages. It usually has at the first look.
const RETURN_POLL: Duration = Duration::from_millis(20);
const RETURN_TIME: Duration = Duration::from_secs(2);

/// A channel that holds messages of the queue. If it is dropped, the broker has them back.
pub(super) struct Reader {
    broker: Broker,
    channel: Channel,
    deadline: Instant,
    count: u32,
    /// The requests without an answer, in the order of the queue.
    requests: FuturesOrdered<BoxFuture<'static, lapin::Result<Option<BasicGetMessage>>>>,
    /// How many requests may be without an answer.
    window: usize,
}

impl Reader {
    pub(super) async fn open(broker: &Broker) -> Result<Self, BrokerError> {
        let count = broker.depth(Queue::Dead).await?.ready;
        let channel = broker.channel().await?;
        let (deadline, requests) = (Instant::now() + READ_TIME, FuturesOrdered::new());
        Ok(Self { broker: broker.clone(), channel, deadline, count, requests, window: 1 })
    }

    /// Messages in the queue before the reading.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The next message and its delivery tag; `None` at the end of the queue.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, DeadLetter)>, BrokerError> {
        while self.requests.len() < self.window {
            let channel = self.channel.clone();
            let name = Queue::Dead.as_str().into();
            self.requests.push_back(async move { channel.basic_get(name, BasicGetOptions::default()).await }.boxed());
        }
        let next = timeout_at(self.deadline, self.requests.next());
        let next = next.await.map_err(|_| BrokerError::TimedOut { op: "read dead letters" })?;
        // There is always a request.
        let Some(message) = next.transpose().map_err(failed("read dead letters"))?.flatten() else { return Ok(None) };
        self.window = if message.data.len() > LARGE { 1 } else { (self.window * 2).min(WINDOW) };
        Ok(Some((message.delivery_tag, DeadLetter::read(&message))))
    }

    /// Sends the acknowledgements of messages. Only [`Self::give_back`] shows that the broker has them.
    pub(super) async fn acknowledge(&mut self, tags: &[u64]) -> Result<(), BrokerError> {
        let acknowledge = async {
            for tag in tags {
                let acknowledged = self.channel.basic_ack(*tag, BasicAckOptions::default());
                acknowledged.await.map_err(failed("delete a dead letter"))?;
            }
            Ok(())
        };
        let deadline = Instant::now() + CLOSE_TIME;
        timeout_at(deadline, acknowledge).await.map_err(|_| BrokerError::TimedOut { op: "delete a dead letter" })?
    }

    /// Returns the messages that were not deleted, and waits until the broker counts them again, so that the next
    /// reader finds them.
    ///
    /// # Errors
    /// The broker did not answer to the end of the channel.
    pub(super) async fn give_back(mut self, deleted: u32) -> Result<(), BrokerError> {
        let close = async {
            // `lapin` closes the connection if a message arrives at a channel that is being closed.
            while self.requests.next().await.is_some() {}
            self.channel.close(200, "read".into()).await.map_err(failed("return dead letters"))
        };
        let closed = timeout_at(Instant::now() + CLOSE_TIME, close).await;
        closed.map_err(|_| BrokerError::TimedOut { op: "return dead letters" })??;
        let expected = self.count.saturating_sub(deleted);
        let end = Instant::now() + RETURN_TIME;
        while Instant::now() < end {
            match self.broker.depth(Queue::Dead).await {
                Ok(depth) if depth.ready < expected => sleep(RETURN_POLL).await,
                Ok(_) | Err(_) => break,
            }
        }
        Ok(())
    }
}
