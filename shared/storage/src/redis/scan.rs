//! Listing by `SCAN`: without order, with repeats, and with a cursor that means something to one run
//! of the server only.

use std::collections::BTreeSet;

use redis::{Pipeline, Value};

use super::answers::bad_answer;
use super::connection::{Live, Run};
use super::value;
use crate::{ListPage, ListRequest, Op, StorageError};

/// Rounds for one page. Where few keys start with the prefix most rounds bring none: a page of none
/// after a hundred thousand keys lets a job stop in between.
const ROUNDS: usize = 100;

/// Where a scan starts and ends.
const EDGE: &str = "0";

/// One page.
pub(super) async fn page(live: &Live, request: ListRequest<'_>) -> Result<ListPage, StorageError> {
    let limit = usize::from(request.limit.clamp(1, 1_000));
    let mut at = resume(&live.run, request.cursor).to_owned();
    let mut keys = BTreeSet::new();
    for _ in 0..ROUNDS {
        let (next, found) = once(live, &at, request.prefix, limit - keys.len()).await?;
        keys.extend(found);
        at = next;
        // A server gives about as many as it is asked for: the rest is not worth a round.
        if at == EDGE || keys.len() * 2 >= limit {
            break;
        }
    }
    let objects = value::look(live, Op::List, keys.into_iter().collect()).await?;
    let next = (at != EDGE).then(|| format!("{}:{at}", live.run));
    Ok(ListPage { objects, prefixes: Vec::new(), next })
}

/// One round: where to go on, and some keys that start with the prefix.
pub(super) async fn once(
    live: &Live,
    at: &str,
    prefix: &str,
    count: usize,
) -> Result<(String, Vec<Vec<u8>>), StorageError> {
    let mut asked = Pipeline::new();
    asked.cmd("SCAN").arg(at);
    if !prefix.is_empty() {
        asked.arg("MATCH").arg(pattern(prefix));
    }
    asked.arg("COUNT").arg(count);
    let mut answers = live.ask(Op::List, &asked).await?;
    let wrong = || bad_answer(Op::List);
    let Value::Array(parts) = answers.next()? else { return Err(wrong()) };
    let Ok([next, keys]) = <[Value; 2]>::try_from(parts) else { return Err(wrong()) };
    let (Value::BulkString(next), Value::Array(keys)) = (next, keys) else { return Err(wrong()) };
    let next = String::from_utf8(next).ok().filter(|next| next.bytes().all(|b| b.is_ascii_digit()));
    let keys = keys.into_iter().map(|key| if let Value::BulkString(key) = key { Some(key) } else { None });
    let keys = keys.collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    Ok((next.ok_or_else(wrong)?, keys))
}

/// Where to go on. A cursor of another run of the server would skip keys: the scan begins again, and
/// what was imported already is known by its key.
fn resume<'a>(run: &Run, cursor: Option<&'a str>) -> &'a str {
    match cursor.and_then(|cursor| cursor.split_once(':')) {
        Some((tag, at)) if run.continues(tag) => at,
        _ => EDGE,
    }
}

/// A glob that matches what starts with the text, whatever characters it has.
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
    fn characters_of_globs_are_escaped_in_a_prefix() {
        assert_eq!(pattern("a*b?[c]\\"), "a\\*b\\?\\[c\\]\\\\*");
        assert_eq!(pattern("tasks:"), "tasks:*");
    }

    #[test]
    fn a_cursor_is_good_for_the_run_of_the_server_that_gave_it_and_no_other() {
        let run = Run::Named("abc".into());
        assert_eq!(resume(&run, Some("iabc:17")), "17");
        for cursor in [None, Some("iabd:17"), Some("c3:17"), Some("17"), Some("")] {
            assert_eq!(resume(&run, cursor), "0", "{cursor:?}");
        }
        let run = Run::Counted(7);
        assert_eq!([resume(&run, Some("c6:17")), resume(&run, Some("c7:17"))], ["17", "17"]);
        assert_eq!([resume(&run, Some("c8:17")), resume(&run, Some("iabc:17"))], ["0", "0"]);
    }
}
