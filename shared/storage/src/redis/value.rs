//! The metadata of values, without reading whole values.

use longshore_model::FailureReason;
use redis::Pipeline;
use sha2::{Digest, Sha256};

use super::answers::Answers;
use super::budget::AnswerSize;
use super::connection::LiveConnection;
use crate::listed::describe;
use crate::{ListedObject, ListingFault, ObjectMeta, Op, StorageError};

/// Bytes at each end of a value that its etag covers. A thousand values then cost at most 128 KiB, and a corrected
/// value rarely keeps its length and both ends.
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

/// Adds the commands that [`read_metadata`] needs for one key: three answers.
pub(super) fn push_commands(commands: &mut Pipeline, key: &[u8]) {
    commands.cmd("STRLEN").arg(key);
    commands.cmd("GETRANGE").arg(key).arg(0).arg(END - 1);
    commands.cmd("GETRANGE").arg(key).arg(-(END as i64)).arg(-1);
}

/// Returns the metadata of keys: one request for all of them, and one more if a key has no string or an empty one.
/// Missing keys are left out.
///
/// # Errors
/// The server does not answer, or denies all keys.
pub(super) async fn read_metadata(
    live: &LiveConnection,
    op: Op,
    keys: Vec<Vec<u8>>,
) -> Result<Vec<ListedObject>, StorageError> {
    let mut objects = Vec::with_capacity(keys.len());
    let mut commands = Pipeline::with_capacity(keys.len() * 3);
    let mut texts = Vec::with_capacity(keys.len());
    for key in keys {
        match String::from_utf8(key) {
            Ok(key) => {
                push_commands(&mut commands, key.as_bytes());
                texts.push(key);
            }
            Err(error) => objects.push(ListingFault::KeyNotUtf8.at(describe(error.as_bytes()))),
        }
    }
    if texts.is_empty() {
        return Ok(objects);
    }
    let mut answers = live.send(op, &commands, AnswerSize::strings(commands.len(), END as u64)).await?;
    let (mut unclear, mut denied, all) = (Vec::new(), 0, texts.len());
    for key in texts {
        match read_one(&mut answers) {
            Ok((0, _)) => unclear.push(key),
            Ok((size, etag)) => objects
                .push(ObjectMeta { key, size, etag: Some(etag), modified_at: None, ..ObjectMeta::default() }.into()),
            Err(error) if error.reason == FailureReason::WrongValueType => unclear.push(key),
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
    check_types(live, op, unclear, &mut objects).await?;
    Ok(objects)
}

/// Reads length and etag of the next key.
fn read_one(answers: &mut Answers) -> Result<(u64, String), StorageError> {
    let (size, head, tail) = (answers.number(), answers.bytes(), answers.bytes());
    let size = size?;
    Ok((size, etag(size, &head?, &tail?)))
}

/// Distinguishes empty strings from missing keys and from other types.
async fn check_types(
    live: &LiveConnection,
    op: Op,
    keys: Vec<String>,
    objects: &mut Vec<ListedObject>,
) -> Result<(), StorageError> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut commands = Pipeline::with_capacity(keys.len());
    for key in &keys {
        commands.cmd("TYPE").arg(key);
    }
    let mut answers = live.send(op, &commands, AnswerSize::lines(keys.len())).await?;
    for key in keys {
        match answers.text()?.as_str() {
            "none" => {}
            "string" => objects.push(
                ObjectMeta { key, size: 0, etag: Some(etag_of(&[])), modified_at: None, ..ObjectMeta::default() }
                    .into(),
            ),
            _ => objects.push(ListingFault::WrongValueType.at(key)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_depends_on_length_and_both_ends() {
        let long = |head: char, middle: char, tail: char| format!("{head}{}{tail}", middle.to_string().repeat(500));
        let etags = ["", "{}", "[]", "{}}", &long('a', '-', 'b'), &long('b', '-', 'b'), &long('a', '-', 'a')];
        let mut etags: Vec<String> = etags.iter().map(|value| etag_of(value.as_bytes())).collect();
        etags.sort();
        etags.dedup();
        assert_eq!(etags.len(), 7);
    }
}
