//! Reads the items of an object in JSON mode.
//!
//! [`read`] is a pure function: it unpacks the object, finds the items and reads each. An object is imported as a whole
//! or not at all: one bad item makes the whole object [`Unusable`], with the position of the fault. Values keep their
//! original spelling.

mod budget;
mod columns;
mod data_key;
mod endings;
mod fields;
mod flat_export;
mod item;
mod label_studio;
mod labels;
mod layout;
mod limits;
mod lists;
mod members;
mod name;
mod native;
mod new_task;
mod numbers;
pub mod preview;
mod scan;
mod shorthand;
mod sniff;
mod text;
mod unpack;
mod unusable;
mod values;
mod warnings;

#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use data_key::DataKey;
pub use item::Item;
pub use labels::{AnnotationItem, PredictionDetails, PredictionItem};
pub use limits::Limits;
pub use new_task::new_task;
use numbers::Numbers;
pub use sniff::HEAD_BYTES;
pub use text::Text;
pub use unusable::{Fault, Unusable};
pub use warnings::{WarnedRows, Warnings};

use std::sync::Arc;

use bytes::Bytes;
use item::Reader;
use longshore_db::host::{SummaryDelta, TaskFormat};
use longshore_model::QuarantineReason;
use tokio_util::sync::CancellationToken;

/// What an object has.
#[derive(Debug, PartialEq)]
pub struct Contents {
    /// Its items, in order; none for an empty list.
    pub items: Vec<Item>,
    /// What they add to the summary of their project. Empty if the format has none.
    pub summary: SummaryDelta,
    /// What was left out of them.
    pub warnings: Warnings,
}

/// Reads the items of an object.
///
/// Takes memory from the budget before it is allocated.
///
/// # Errors
/// No part of the object can be imported; or the budget is too small to decide, see [`Unusable::for_memory`].
pub fn read(
    key: &str,
    bytes: Bytes,
    format: &TaskFormat,
    limits: &Limits,
    budget: &mut Budget,
) -> Result<Contents, Unusable> {
    let unpacked = unpack::unpack(key, bytes, limits, budget).map_err(|fault| fault.locate(&[]))?;
    let text = decode(unpacked)?;
    let (mut items, mut summary, mut warnings) = (Vec::new(), SummaryDelta::default(), Warnings::default());
    let numbers = if format.has_summary() { Numbers::OfPython } else { Numbers::OfDatabase };
    let mut reader = Reader { format, limits, budget, summary: &mut summary, warnings: &mut warnings };
    let split = layout::split(&text, limits, numbers, &mut |row, range| {
        reader.budget.take(budget::ITEM_BYTES)?;
        items.push(item::read(&text, row, range, &mut reader)?);
        Ok(())
    });
    let is_list = split.map_err(|fault| fault.locate(text.as_bytes()))?;
    if is_list || items.len() > 1 {
        items.iter_mut().for_each(|item| item.is_numbered = true);
    }
    Ok(Contents { items, summary, warnings })
}

/// The data of an object's items as JSON texts, for tests with unusual objects.
///
/// # Errors
/// The object cannot be imported; the error is the reason.
pub fn data_of_items(key: &str, bytes: &[u8]) -> Result<Vec<String>, QuarantineReason> {
    let limits = Limits::default();
    let mut budget = Budget::new(2 * limits.max_unpacked_bytes, CancellationToken::new());
    let bytes = Bytes::copy_from_slice(bytes);
    let contents =
        read(key, bytes, &TaskFormat::default(), &limits, &mut budget).map_err(|unusable| unusable.reason)?;
    Ok(contents.items.into_iter().map(|item| item.data.to_string()).collect())
}

/// Checks, by its key and size only, whether an object can be imported with this many bytes of memory.
///
/// # Errors
/// It cannot, for the reason that [`read`] would return. The object need not be fetched.
pub fn check(key: &str, size: u64, limits: &Limits, memory: u64) -> Result<(), Unusable> {
    unpack::check(key, size, limits).map_err(|fault| fault.locate(&[]))?;
    if size > memory {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        return Err(Budget::new(memory, CancellationToken::new()).used_up().locate(&[]));
    }
    Ok(())
}

/// Whether the key says that the object holds JSON, plain or compressed.
pub fn is_named_json(key: &str) -> bool {
    name::Name::of(key).0 == name::Name::Json
}

/// Whether the first [`HEAD_BYTES`] bytes of an object can spare reading the rest.
pub fn is_undecided(key: &str, size: u64) -> bool {
    size > HEAD_BYTES && matches!(name::Name::of(key).0, name::Name::Unknown(_))
}

/// Checks the first bytes of such an object.
///
/// # Errors
/// It holds no tasks, whatever follows.
pub fn check_head(key: &str, head: &[u8]) -> Result<(), Unusable> {
    sniff::check_head(&name::Name::of(key).0, head).map_err(|fault| fault.locate(head))
}

/// Whether reading these bytes unpacks them, which may be more work than their length suggests.
pub fn is_packed(key: &str, bytes: &[u8]) -> bool {
    unpack::is_packed(key, bytes)
}

/// The bytes as text. A UTF-8 byte order mark stays, so that offsets are those of the file.
fn decode(bytes: Vec<u8>) -> Result<Arc<String>, Unusable> {
    const ADVICE: &str = "The text is not UTF-8. Save the file in UTF-8.";
    // ASCII text in UTF-16 or UTF-32 without a byte order mark is valid UTF-8 with zero bytes. JSON has no zero bytes.
    if bytes.iter().take(2).any(|&byte| byte == 0) {
        return Err(Fault::new(QuarantineReason::NotUtf8, ADVICE).at(0).locate(&bytes));
    }
    String::from_utf8(bytes).map(Arc::new).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        Fault::new(QuarantineReason::NotUtf8, ADVICE).at(valid).locate(error.as_bytes())
    })
}
