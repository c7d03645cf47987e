//! Objects as users store them, and the result of reading each.

mod content;
mod faults;
mod label_studio;
pub(super) mod packed;
mod properties;
mod shapes;

use bytes::Bytes;
use longshore_db::host::TaskFormat;
use tokio_util::sync::CancellationToken;

use super::{Budget, Item, Limits, Unusable};

/// Reads an object with more memory than it can use.
fn read(key: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Item>, Unusable> {
    read_within(1 << 30, key, bytes, limits)
}

fn read_within(memory: usize, key: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Item>, Unusable> {
    let mut budget = Budget::new(memory, CancellationToken::new());
    super::read(key, Bytes::copy_from_slice(bytes), &TaskFormat::default(), limits, &mut budget)
        .map(|found| found.items)
}

/// The items of an uncompressed JSON object.
fn items(text: &str) -> Result<Vec<Item>, Unusable> {
    read("tasks/1.json", text.as_bytes(), &Limits::default())
}

/// The row and data of every item.
fn data(text: &str) -> Vec<(i32, String)> {
    let items = items(text).expect("a usable object");
    items.into_iter().map(|item| (item.row_index, item.data.to_string())).collect()
}

/// Why the text cannot be used: reason, offset, row.
fn fault(text: &str) -> (&'static str, Option<u64>, Option<i32>) {
    place(items(text))
}

fn place(read: Result<Vec<Item>, Unusable>) -> (&'static str, Option<u64>, Option<i32>) {
    let unusable = read.expect_err("an unusable object");
    (unusable.reason.as_str(), unusable.byte_offset, unusable.row_index)
}
