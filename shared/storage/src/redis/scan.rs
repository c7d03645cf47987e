//! Listing with `SCAN`: without order, with repeated keys, and with a cursor that is valid for one run of the server
//! only.

use std::collections::BTreeSet;

use redis::{Pipeline, Value};

use super::answers::bad_answer;
use super::budget::AnswerSize;
use super::connection::{LiveConnection, ServerRun};
use super::value;
use crate::{ListPage, ListRequest, Op, StorageError};

/// `SCAN` calls per page. If few keys have the prefix, most calls return none: an empty page after about a hundred
/// thousand keys lets a job stop in between.
const ROUNDS: usize = 100;

/// The most that a server may answer to `SCAN`. It returns about as many keys as requested, at most 1,000; while its
/// hash table grows or shrinks, a few times as many. Keys of more than 2 KiB cannot be imported.
const LARGEST_PAGE: AnswerSize = AnswerSize { bytes: 16 * 1024 * 1024, elements: 100_000 };

/// The cursor of a scan's start and end.
const EDGE: &str = "0";

/// Reads one page.
pub(super) async fn page(live: &LiveConnection, request: ListRequest<'_>) -> Result<ListPage, StorageError> {
    let limit = usize::from(request.limit.clamp(1, 1_000));
    let mut at = resume(&live.run, request.cursor).to_owned();
    let mut keys = BTreeSet::new();
    for _ in 0..ROUNDS {
        let (next, found) = next_keys(live, &at, request.prefix, limit - keys.len()).await?;
        keys.extend(found);
        at = next;
        // The server returns about as many keys as requested; few missing keys are not worth another call.
        if at == EDGE || keys.len() * 2 >= limit {
            break;
        }
    }
    let objects = value::read_metadata(live, Op::List, keys.into_iter().collect()).await?;
    let next = (at != EDGE).then(|| format!("{}:{at}", live.run));
    Ok(ListPage { objects, next, ..ListPage::default() })
}

/// Makes one `SCAN` call. Returns the next cursor and some keys with the prefix.
pub(super) async fn next_keys(
    live: &LiveConnection,
    at: &str,
    prefix: &str,
    count: usize,
) -> Result<(String, Vec<Vec<u8>>), StorageError> {
    let mut commands = Pipeline::new();
    commands.cmd("SCAN").arg(at);
    if !prefix.is_empty() {
        commands.arg("MATCH").arg(pattern(prefix));
    }
    commands.arg("COUNT").arg(count);
    let mut answers = live.send(Op::List, &commands, LARGEST_PAGE).await?;
    let wrong = || bad_answer(Op::List);
    let Value::Array(parts) = answers.next()? else { return Err(wrong()) };
    let Ok([next, keys]) = <[Value; 2]>::try_from(parts) else { return Err(wrong()) };
    let (Value::BulkString(next), Value::Array(keys)) = (next, keys) else { return Err(wrong()) };
    let next = String::from_utf8(next).ok().filter(|next| next.bytes().all(|b| b.is_ascii_digit()));
    let keys = keys.into_iter().map(|key| if let Value::BulkString(key) = key { Some(key) } else { None });
    let keys = keys.collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    Ok((next.ok_or_else(wrong)?, keys))
}

/// The cursor to continue from. A cursor of another run of the server would skip keys, so the scan starts again; keys
/// that were already imported are recognized in the ledger.
fn resume<'a>(run: &ServerRun, cursor: Option<&'a str>) -> &'a str {
    match cursor.and_then(|cursor| cursor.split_once(':')) {
        Some((tag, at)) if run.continues(tag) => at,
        _ => EDGE,
    }
}

/// A glob that matches every key with this prefix, with all special characters escaped.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for char in prefix.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glob_characters_in_a_prefix_are_escaped() {
        assert_eq!(pattern("a*b?[c]\\"), "a\\*b\\?\\[c\\]\\\\*");
        assert_eq!(pattern("tasks:"), "tasks:*");
    }

    #[test]
    fn a_cursor_is_valid_only_for_the_server_run_that_issued_it() {
        let run = ServerRun::Id("abc".into());
        assert_eq!(resume(&run, Some("iabc:17")), "17");
        for cursor in [None, Some("iabd:17"), Some("c3:17"), Some("17"), Some("")] {
            assert_eq!(resume(&run, cursor), "0", "{cursor:?}");
        }
        let run = ServerRun::ConnectionNumber(7);
        assert_eq!([resume(&run, Some("c6:17")), resume(&run, Some("c7:17"))], ["17", "17"]);
        assert_eq!([resume(&run, Some("c8:17")), resume(&run, Some("iabc:17"))], ["0", "0"]);
    }
}
