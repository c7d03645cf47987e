//! What is known of values without reading them whole.

use longshore_model::{FailureReason, QuarantineReason};
use redis::Pipeline;
use sha2::{Digest, Sha256};

use super::answers::Answers;
use super::connection::Live;
use crate::{ErrorKind, ObjectMeta, Op, StorageError};

/// Bytes at each end of a value that its etag covers: a thousand values cost no more than 128 KiB, and a
/// corrected value rarely keeps its length and both its ends.
const END: usize = 64;

/// What the etag of an object begins with that has a fault; a real one is hexadecimal.
const FAULTY: char = '!';

/// Why a key can be nobody's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    NotUtf8,
    Denied,
    WrongType,
}

impl Fault {
    const NOT_UTF8: &str = "not-utf8";
    const DENIED: &str = "denied";

    /// The fault that a listing found.
    pub(super) fn of(object: &ObjectMeta) -> Option<Self> {
        match object.etag.as_deref()?.strip_prefix(FAULTY)? {
            Self::NOT_UTF8 => Some(Self::NotUtf8),
            Self::DENIED => Some(Self::Denied),
            _ => Some(Self::WrongType),
        }
    }

    pub(super) fn quarantine(self) -> (QuarantineReason, &'static str) {
        match self {
            Self::NotUtf8 => {
                (QuarantineReason::UnsupportedKey, "The key is not UTF-8, so no task can name it. Rename the key.")
            }
            Self::Denied => (
                QuarantineReason::Denied,
                "The server does not let this user read the key. Grant it (~pattern in the ACL), or narrow the path.",
            ),
            Self::WrongType => (
                QuarantineReason::WrongValueType,
                "The key holds a list, a set, a hash or another structure, not a string. Store the task with SET.",
            ),
        }
    }

    pub(super) fn error(self, op: Op) -> StorageError {
        let (kind, reason) = match self {
            Self::NotUtf8 => (ErrorKind::Invalid, FailureReason::NoSuchObject),
            Self::Denied => (ErrorKind::Denied, FailureReason::AccessDenied),
            Self::WrongType => (ErrorKind::Invalid, FailureReason::WrongValueType),
        };
        StorageError::new(op, kind, reason)
    }
}

/// The etag of a whole value.
pub(super) fn etag_of(value: &[u8]) -> String {
    etag(value.len() as u64, &value[..value.len().min(END)], &value[value.len().saturating_sub(END)..])
}

fn etag(size: u64, head: &[u8], tail: &[u8]) -> String {
    let digest = Sha256::new().chain_update(head).chain_update(tail).finalize();
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{size:x}-{digest}")
}

/// Asks for what [`look`] needs of one key: three answers.
pub(super) fn ask(asked: &mut Pipeline, key: &[u8]) {
    asked.cmd("STRLEN").arg(key);
    asked.cmd("GETRANGE").arg(key).arg(0).arg(END - 1);
    asked.cmd("GETRANGE").arg(key).arg(-(END as i64)).arg(-1);
}

/// What is known of keys: one request for all of them, and one more where a key holds no string or
/// nothing. Keys that are gone are left out.
///
/// # Errors
/// The server does not answer, or denies each one.
pub(super) async fn look(live: &Live, op: Op, keys: Vec<Vec<u8>>) -> Result<Vec<ObjectMeta>, StorageError> {
    let mut objects = Vec::with_capacity(keys.len());
    let mut asked = Pipeline::with_capacity(keys.len() * 3);
    let mut texts = Vec::with_capacity(keys.len());
    for key in keys {
        match String::from_utf8(key) {
            Ok(key) => {
                ask(&mut asked, key.as_bytes());
                texts.push(key);
            }
            Err(error) => objects.push(faulty(shown(error.as_bytes()), Fault::NOT_UTF8)),
        }
    }
    if texts.is_empty() {
        return Ok(objects);
    }
    let mut answers = live.ask(op, &asked).await?;
    let (mut untold, mut denied, all) = (Vec::new(), 0, texts.len());
    for key in texts {
        match known(&mut answers) {
            Ok((0, _)) => untold.push(key),
            Ok((size, etag)) => objects.push(ObjectMeta { key, size, etag: Some(etag), modified_at: None }),
            Err(error) if error.reason == FailureReason::WrongValueType => untold.push(key),
            Err(error) if error.reason == FailureReason::AccessDenied => {
                denied += 1;
                if denied == all {
                    return Err(error);
                }
                objects.push(faulty(key, Fault::DENIED));
            }
            Err(error) => return Err(error),
        }
    }
    tell(live, op, untold, &mut objects).await?;
    Ok(objects)
}

/// Length and etag of the next key.
fn known(answers: &mut Answers) -> Result<(u64, String), StorageError> {
    let (size, head, tail) = (answers.number(), answers.bytes(), answers.bytes());
    let size = size?;
    Ok((size, etag(size, &head?, &tail?)))
}

/// Tells empty strings from what is gone and what is no string.
async fn tell(live: &Live, op: Op, keys: Vec<String>, objects: &mut Vec<ObjectMeta>) -> Result<(), StorageError> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut asked = Pipeline::with_capacity(keys.len());
    for key in &keys {
        asked.cmd("TYPE").arg(key);
    }
    let mut answers = live.ask(op, &asked).await?;
    for key in keys {
        match answers.text()?.as_str() {
            "none" => {}
            "string" => objects.push(ObjectMeta { key, size: 0, etag: Some(etag_of(&[])), modified_at: None }),
            other => objects.push(faulty(key, other)),
        }
    }
    Ok(())
}

fn faulty(key: String, fault: &str) -> ObjectMeta {
    ObjectMeta { key, size: 0, etag: Some(format!("{FAULTY}{fault}")), modified_at: None }
}

/// A key that is not text, with `\xff` for each byte that is none.
fn shown(key: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in key.utf8_chunks() {
        shown.push_str(chunk.valid());
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_tells_lengths_and_both_ends_apart() {
        let long = |head: char, middle: char, tail: char| format!("{head}{}{tail}", middle.to_string().repeat(500));
        let etags = ["", "{}", "[]", "{}}", &long('a', '-', 'b'), &long('b', '-', 'b'), &long('a', '-', 'a')];
        let mut etags: Vec<String> = etags.iter().map(|value| etag_of(value.as_bytes())).collect();
        etags.sort();
        etags.dedup();
        assert_eq!(etags.len(), 7);
    }

    #[test]
    fn a_key_that_is_not_text_is_shown_with_its_bytes() {
        assert_eq!(shown(b"tasks:\xff\xfe1"), "tasks:\\xff\\xfe1");
    }
}
