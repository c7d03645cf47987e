//! A dead letter as operators see it.

use std::fmt::Write as _;

use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use sha2::{Digest, Sha256};

/// The most bytes of a body to show. Longshore's own messages and valid requests are shorter.
const EXCERPT_BYTES: usize = 1024;

/// The most bytes of other texts to show. The broker limits most of them to 255 bytes.
const TEXT_BYTES: usize = 255;

/// Bytes of the digest that is the ID.
const ID_BYTES: usize = 12;

/// A message that the broker or a consumer gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Stays the same as long as the message is in the queue. Copies that died in the same second have the same one.
    pub id: String,
    /// The queue that it was in. `None` if the message does not say.
    pub queue: Option<String>,
    /// Why it is here: `rejected`, `delivery_limit`, `expired` or `maxlen`. `None` if the message does not say.
    pub reason: Option<String>,
    /// When it was last given up, in seconds since 1970. `None` if the message does not say.
    pub dead_at: Option<u64>,
    /// How often it was given up. At least 1.
    pub count: u64,
    /// The user of the broker who published it. `None` if the message names none.
    pub user: Option<String>,
    /// Bytes of its body.
    pub bytes: usize,
    /// The start of its body. Bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl DeadLetter {
    pub(super) fn read(message: &Delivery) -> Self {
        let properties = &message.properties;
        let death = properties.headers().as_ref().and_then(last_death);
        let field = |name: &str| death.and_then(|death| death.inner().get(name));
        let (queue, reason) = (field("queue").and_then(text), field("reason").and_then(text));
        let dead_at = field("time").and_then(number);
        let message_id = properties.message_id().as_ref().map(|id| id.as_str()).unwrap_or_default();
        let mut digest = Sha256::new();
        // Not the count of deliveries, which grows with each reading.
        let death = format!("{message_id}\n{queue:?}\n{reason:?}\n{dead_at:?}\n");
        digest.update(death);
        digest.update(&message.data);
        Self {
            id: hex(&digest.finalize()[..ID_BYTES]),
            queue,
            reason,
            dead_at,
            count: field("count").and_then(number).unwrap_or(1).max(1),
            user: properties.user_id().as_ref().map(|user| start(user.as_str().as_bytes(), TEXT_BYTES)),
            bytes: message.data.len(),
            body: start(&message.data, EXCERPT_BYTES),
        }
    }
}

/// The broker's note of the last time that the message was given up: the first in the list.
fn last_death(headers: &FieldTable) -> Option<&FieldTable> {
    let AMQPValue::FieldArray(deaths) = headers.inner().get("x-death")? else { return None };
    match deaths.as_slice().first()? {
        AMQPValue::FieldTable(death) => Some(death),
        _ => None,
    }
}

fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(start(text.as_bytes(), TEXT_BYTES)),
        AMQPValue::ShortString(text) => Some(start(text.as_str().as_bytes(), TEXT_BYTES)),
        _ => None,
    }
}

fn number(value: &AMQPValue) -> Option<u64> {
    match *value {
        AMQPValue::LongLongInt(number) => u64::try_from(number).ok(),
        AMQPValue::LongInt(number) => u64::try_from(number).ok(),
        AMQPValue::LongUInt(number) => Some(number.into()),
        AMQPValue::Timestamp(seconds) => Some(seconds),
        _ => None,
    }
}

/// The start of a text, up to this many bytes.
fn start(bytes: &[u8], most: usize) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned();
    // The cut may split a character.
    if bytes.len() > most && text.ends_with(char::REPLACEMENT_CHARACTER) {
        text.pop();
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;
    use lapin::types::FieldArray;

    use super::*;

    fn delivery(body: &[u8], headers: FieldTable) -> Delivery {
        let mut delivery = Delivery::mock(1, "".into(), "longshore.dead".into(), false, body.to_vec());
        delivery.properties = BasicProperties::default().with_headers(headers);
        delivery
    }

    fn death(time: u64) -> FieldTable {
        let mut death = FieldTable::default();
        death.insert("queue".into(), AMQPValue::LongString("longshore.requests".into()));
        death.insert("reason".into(), AMQPValue::LongString("rejected".into()));
        death.insert("time".into(), AMQPValue::Timestamp(time));
        death.insert("count".into(), AMQPValue::LongLongInt(3));
        let mut headers = FieldTable::default();
        headers.insert("x-death".into(), AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::FieldTable(death)])));
        headers
    }

    #[test]
    fn a_letter_says_why_when_and_how_often_it_was_given_up() {
        let letter = DeadLetter::read(&delivery(b"{", death(1_800_000_000)));
        assert_eq!((letter.queue.as_deref(), letter.reason.as_deref()), (Some("longshore.requests"), Some("rejected")));
        assert_eq!((letter.dead_at, letter.count, letter.bytes), (Some(1_800_000_000), 3, 1));
    }

    #[test]
    fn the_id_does_not_change_with_the_number_of_readings() {
        let mut read_again = death(1);
        read_again.insert("x-delivery-count".into(), AMQPValue::LongLongInt(7));
        let id = |headers| DeadLetter::read(&delivery(b"a", headers)).id;
        assert_eq!(id(death(1)), id(read_again));
        assert_ne!(id(death(1)), id(death(2)));
    }

    #[test]
    fn odd_headers_and_bodies_are_shown_within_limits() {
        let mut odd = FieldTable::default();
        odd.insert("x-death".into(), AMQPValue::LongString("none".into()));
        let letter = DeadLetter::read(&delivery(&"é".repeat(2_000).into_bytes(), odd));
        assert_eq!((letter.queue, letter.count, letter.bytes), (None, 1, 4_000));
        assert_eq!(letter.body, "é".repeat(512));
        assert_eq!(start("aé".as_bytes(), 2), "a");
        assert_eq!(start(b"\xff\xfe", 9), "\u{fffd}\u{fffd}");
    }
}
