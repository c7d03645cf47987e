//! The items of an object: what JSON mode makes of its bytes.
//!
//! [`read`] is a pure function: unpack, find where the items lie, take each apart. An object is all
//! or nothing, so that no import is ever left half done: one bad item makes the whole object
//! [`Unusable`], with the place of the fault. Values keep the spelling they came with.

mod budget;
mod item;
mod layout;
mod limits;
mod members;
mod scan;
mod text;
mod unpack;
mod unusable;

#[cfg(test)]
mod tests;

pub(crate) use budget::Budget;
pub(crate) use item::Item;
pub(crate) use limits::Limits;
pub(crate) use unusable::Unusable;

use std::sync::Arc;

use bytes::Bytes;
use longshore_model::QuarantineReason;
use tokio_util::sync::CancellationToken;
use unusable::Fault;

/// Reads the items of an object, in order; none for an empty list.
///
/// What it holds is taken from the budget before it is allocated.
///
/// # Errors
/// The object as a whole cannot be imported, and nothing of it may be; or the budget is too small to know, see
/// [`Unusable::for_memory`].
pub(crate) fn read(key: &str, bytes: Bytes, limits: &Limits, budget: &mut Budget) -> Result<Vec<Item>, Unusable> {
    let unpacked = unpack::unpack(key, bytes, limits, budget).map_err(|fault| fault.locate(&[]))?;
    let text = decode(unpacked)?;
    let mut items = Vec::new();
    let split = layout::split(&text, limits, &mut |row, range| {
        budget.take(budget::ITEM_BYTES)?;
        items.push(item::read(&text, row, range, budget)?);
        Ok(())
    });
    split.map_err(|fault| fault.locate(text.as_bytes()))?;
    Ok(items)
}

/// The data of an object's items as JSON texts, for tests that give the reader unusual objects.
///
/// # Errors
/// Why the object cannot be imported.
pub fn data_of_items(key: &str, bytes: &[u8]) -> Result<Vec<String>, QuarantineReason> {
    let limits = Limits::default();
    let mut budget = Budget::new(2 * limits.max_unpacked_bytes, CancellationToken::new());
    let items = read(key, Bytes::copy_from_slice(bytes), &limits, &mut budget).map_err(|unusable| unusable.reason)?;
    Ok(items.into_iter().map(|item| item.data.to_string()).collect())
}

/// Whether an object can be imported with this many bytes of memory, as far as its key and size say.
///
/// # Errors
/// It cannot, for the reason that [`read`] would give; the object need not be fetched.
pub(crate) fn check(key: &str, size: u64, limits: &Limits, memory: u64) -> Result<(), Unusable> {
    unpack::check(key, size, limits).map_err(|fault| fault.locate(&[]))?;
    if size > memory {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        return Err(Budget::new(memory, CancellationToken::new()).used_up().locate(&[]));
    }
    Ok(())
}

/// Whether reading these bytes unpacks them, which may be more work than their number says.
pub(crate) fn is_packed(key: &str, bytes: &[u8]) -> bool {
    unpack::is_packed(key, bytes)
}

/// The bytes as text. A mark at the start that says "UTF-8" stays, so that offsets are those of the file.
fn decode(bytes: Vec<u8>) -> Result<Arc<String>, Unusable> {
    const ADVICE: &str = "The text is not UTF-8. Save the file in UTF-8.";
    // UTF-16 and UTF-32 without a mark are valid UTF-8 where all is ASCII; JSON itself has no zero bytes.
    if bytes.iter().take(2).any(|&byte| byte == 0) {
        return Err(Fault::new(QuarantineReason::NotUtf8, ADVICE).at(0).locate(&bytes));
    }
    String::from_utf8(bytes).map(Arc::new).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        Fault::new(QuarantineReason::NotUtf8, ADVICE).at(valid).locate(error.as_bytes())
    })
}
