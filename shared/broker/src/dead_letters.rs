//! Shows and deletes dead letters for operators.
//!
//! A queue can only be read from its head, so a reader takes messages without acknowledging them, and closes its
//! channel: the broker then has all of them back, also if the reader ends before. While one reader has them, another
//! one would not see them, so the caller must let only one read at a time.

mod letter;
mod reader;

use std::collections::BTreeSet;

use lapin::options::QueuePurgeOptions;
use longshore_telemetry::error_chain;
use tokio::time::{Instant, timeout_at};

use crate::Broker;
use crate::error::{BrokerError, failed};
use crate::topology::Queue;
use reader::{READ_TIME, Reader};

pub use letter::DeadLetter;

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

impl Broker {
    /// Shows up to `limit` dead letters after the oldest `skip`. They stay in the queue.
    ///
    /// # Errors
    /// There is no connection, or the broker did not answer in time.
    pub async fn dead_letters(&self, skip: usize, limit: usize) -> Result<DeadLetterPage, BrokerError> {
        let mut reader = Reader::open(self).await?;
        let mut page = DeadLetterPage { letters: Vec::new(), has_more: false, count: reader.count() };
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
        // If it fails, the broker has the messages back when it notices that the connection ended.
        if let Err(error) = reader.give_back(0).await {
            tracing::debug!(event = "dead_letters_returned", error = error_chain(&error), "channel was already closed");
        }
        Ok(page)
    }

    /// Finds the dead letters with these IDs.
    ///
    /// # Errors
    /// There is no connection, or the broker did not answer in time.
    pub async fn find_dead_letters(&self, ids: &BTreeSet<String>) -> Result<FoundDeadLetters, BrokerError> {
        let mut reader = Reader::open(self).await?;
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
    /// The connection was lost, or the broker did not answer in time. None, some or all may be deleted.
    pub async fn delete(mut self) -> Result<(), BrokerError> {
        self.reader.acknowledge(&self.tags).await?;
        let deleted = u32::try_from(self.tags.len()).unwrap_or(u32::MAX);
        // The broker answers in order, so its answer to the close proves that it had the acknowledgements.
        self.reader.give_back(deleted).await
    }
}
