//! What is known of values without reading them whole.

use longshore_model::FailureReason;
use redis::Pipeline;
use sha2::{Digest, Sha256};

use super::answers::Answers;
use super::connection::Live;
use crate::listed::describe;
use crate::{Listed, ListingFault, ObjectMeta, Op, StorageError};

/// Bytes at each end of a value that its etag covers: a thousand values cost no more than 128 KiB, and a
/// corrected value rarely keeps its length and both its ends.
const END: usize = 64;

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
pub(super) async fn look(live: &Live, op: Op, keys: Vec<Vec<u8>>) -> Result<Vec<Listed>, StorageError> {
    let mut objects = Vec::with_capacity(keys.len());
    let mut asked = Pipeline::with_capacity(keys.len() * 3);
    let mut texts = Vec::with_capacity(keys.len());
    for key in keys {
        match String::from_utf8(key) {
            Ok(key) => {
                ask(&mut asked, key.as_bytes());
                texts.push(key);
            }
            Err(error) => objects.push(ListingFault::KeyNotUtf8.at(describe(error.as_bytes()))),
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
            Ok((size, etag)) => objects.push(ObjectMeta { key, size, etag: Some(etag), modified_at: None }.into()),
            Err(error) if error.reason == FailureReason::WrongValueType => untold.push(key),
            Err(error) if error.reason == FailureReason::AccessDenied => {
                denied += 1;
                if denied == all {
                    return Err(error);
                }
                objects.push(ListingFault::KeyDenied.at(key));
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
async fn tell(live: &Live, op: Op, keys: Vec<String>, objects: &mut Vec<Listed>) -> Result<(), StorageError> {
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
            "string" => objects.push(ObjectMeta { key, size: 0, etag: Some(etag_of(&[])), modified_at: None }.into()),
            _ => objects.push(ListingFault::WrongValueType.at(key)),
        }
    }
    Ok(())
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
}
