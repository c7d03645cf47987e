//! Shows and deletes dead letters for operators.
//!
//! A queue can only be read from its head, so a reader takes messages without acknowledging them, and closes its
//! channel: the broker then has all of them back, also if the reader ends before. While one reader has them, another
//! one would not see them, so the caller must let only one read at a time.

mod letter;

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueuePurgeOptions};
use longshore_telemetry::error_chain;
use tokio::time::{Instant, sleep, timeout_at};

use crate::Broker;
use crate::error::{BrokerError, failed};
use crate::topology::Queue;

pub use letter::DeadLetter;

/// Time limit for reading. The broker answers thousands of requests a second, and the queue holds at most 10,000
/// messages. With more, a broker that hardly answers keeps the caller waiting.
const READ_TIME: Duration = Duration::from_secs(30);

/// How often and how long to look until the broker has counted the returned messages. It usually has at the first look.
const RETURN_POLL: Duration = Duration::from_millis(20);
const RETURN_TIME: Duration = Duration::from_secs(2);

/// Some dead letters, oldest first.
#[derive(Debug, Clone)]
pub struct DeadLetterPage {
    pub letters: Vec<DeadLetter>,
    /// Whether more follow.
    pub has_more: bool,
    /// Messages in the queue before the reading.
    pub count: u32,
}

/// Dead letters that were found, and are not deleted yet. If it is dropped, the broker has them back.
pub struct FoundDeadLetters {
    reader: Reader,
    tags: Vec<u64>,
    /// The IDs of the letters that were found.
    pub ids: BTreeSet<String>,
}

/// A channel that holds messages of the queue.
struct Reader {
    broker: Broker,
    channel: Channel,
    deadline: Instant,
    /// Messages in the queue before the reading.
    count: u32,
}

impl Broker {
    /// Shows up to `limit` dead letters after the oldest `skip`. They stay in the queue.
    ///
    /// # Errors
    /// There is no connection, or the broker did not answer in time.
    pub async fn dead_letters(&self, skip: usize, limit: usize) -> Result<DeadLetterPage, BrokerError> {
        let reader = Reader::open(self).await?;
        let mut page = DeadLetterPage { letters: Vec::new(), has_more: false, count: reader.count };
        let mut position = 0;
        while let Some((_, letter)) = reader.next().await? {
            if position == skip.saturating_add(limit) {
                page.has_more = true;
                break;
            }
            if position >= skip {
                page.letters.push(letter);
            }
            position += 1;
        }
        reader.give_back(0).await;
        Ok(page)
    }

    /// Finds the dead letters with these IDs.
    ///
    /// # Errors
    /// There is no connection, or the broker did not answer in time.
    pub async fn find_dead_letters(&self, ids: &BTreeSet<String>) -> Result<FoundDeadLetters, BrokerError> {
        let reader = Reader::open(self).await?;
        let (mut tags, mut found) = (Vec::new(), BTreeSet::new());
        // To the end of the queue: copies of a message have the same ID.
        while let Some((tag, letter)) = reader.next().await? {
            if ids.contains(&letter.id) {
                tags.push(tag);
                found.insert(letter.id);
            }
        }
        Ok(FoundDeadLetters { reader, tags, ids: found })
    }

    /// Deletes all dead letters, and returns their number.
    ///
    /// # Errors
    /// There is no connection, or the broker did not answer in time.
    pub async fn delete_all_dead_letters(&self) -> Result<u32, BrokerError> {
        let purge = async {
            let channel = self.channel().await?;
            let name = Queue::Dead.as_str().into();
            channel.queue_purge(name, QueuePurgeOptions::default()).await.map_err(failed("delete dead letters"))
        };
        let deadline = Instant::now() + READ_TIME;
        timeout_at(deadline, purge).await.map_err(|_| BrokerError::TimedOut { op: "delete dead letters" })?
    }
}

impl FoundDeadLetters {
    /// How many there are. Copies of a message count.
    pub fn count(&self) -> usize {
        self.tags.len()
    }

    /// Deletes them.
    ///
    /// # Errors
    /// The connection was lost. Some may be deleted.
    pub async fn delete(self) -> Result<(), BrokerError> {
        for tag in &self.tags {
            let acknowledged = self.reader.channel.basic_ack(*tag, BasicAckOptions::default());
            acknowledged.await.map_err(failed("delete a dead letter"))?;
        }
        let deleted = u32::try_from(self.tags.len()).unwrap_or(u32::MAX);
        self.reader.give_back(deleted).await;
        Ok(())
    }
}

impl Reader {
    async fn open(broker: &Broker) -> Result<Self, BrokerError> {
        let count = broker.depth(Queue::Dead).await?.ready;
        let channel = broker.channel().await?;
        Ok(Self { broker: broker.clone(), channel, deadline: Instant::now() + READ_TIME, count })
    }

    /// The next message and its delivery tag; `None` at the end of the queue.
    async fn next(&self) -> Result<Option<(u64, DeadLetter)>, BrokerError> {
        let next = self.channel.basic_get(Queue::Dead.as_str().into(), BasicGetOptions::default());
        let next =
            timeout_at(self.deadline, next).await.map_err(|_| BrokerError::TimedOut { op: "read dead letters" })?;
        let message = next.map_err(failed("read dead letters"))?;
        Ok(message.map(|message| (message.delivery_tag, DeadLetter::read(&message))))
    }

    /// Returns the messages that were not deleted, and waits until the broker counts them again, so that the next
    /// reader finds them.
    async fn give_back(self, deleted: u32) {
        if let Err(error) = self.channel.close(200, "read".into()).await {
            tracing::debug!(event = "dead_letters_returned", error = error_chain(&error), "channel was already closed");
        }
        let expected = self.count.saturating_sub(deleted);
        let end = Instant::now() + RETURN_TIME;
        while Instant::now() < end {
            match self.broker.depth(Queue::Dead).await {
                Ok(depth) if depth.ready < expected => sleep(RETURN_POLL).await,
                Ok(_) | Err(_) => return,
            }
        }
    }
}
