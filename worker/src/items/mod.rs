//! The items of an object: what JSON mode makes of its bytes.
//!
//! [`read`] is a pure function: unpack, find where the items lie, take each apart. An object is all
//! or nothing, so that no import is ever left half done: one bad item makes the whole object
//! [`Unusable`], with the place of the fault. Values keep the spelling they came with.

mod item;
mod layout;
mod limits;
mod members;
mod scan;
mod unpack;
mod unusable;

#[cfg(test)]
mod tests;

pub(crate) use item::Item;
pub(crate) use limits::Limits;
pub(crate) use unusable::Unusable;

use longshore_model::QuarantineReason;
use unusable::Fault;

/// Reads the items of an object, in order; none for an empty list.
///
/// # Errors
/// The object as a whole cannot be imported. Nothing of it may be.
pub(crate) fn read(key: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Item>, Unusable> {
    let unpacked = unpack::unpack(key, bytes, limits).map_err(|fault| fault.locate(&[]))?;
    let text = decode(&unpacked).map_err(|fault| fault.locate(&unpacked))?;
    let items = layout::split(text, limits).and_then(|ranges| {
        let numbered = ranges.into_iter().enumerate();
        numbered.map(|(row, range)| item::read(text, row, range)).collect()
    });
    items.map_err(|fault| fault.locate(&unpacked))
}

/// The data of an object's items as JSON texts, for tests that give the reader what nobody would store.
///
/// # Errors
/// Why the object cannot be imported.
pub fn data_of_items(key: &str, bytes: &[u8]) -> Result<Vec<String>, QuarantineReason> {
    let items = read(key, bytes, &Limits::default()).map_err(|unusable| unusable.reason)?;
    Ok(items.into_iter().map(|item| item.data).collect())
}

/// Whether an object can be worth reading, as far as its key and size say.
///
/// # Errors
/// It cannot, for the reason that [`read`] would give; the object need not be fetched.
pub(crate) fn check(key: &str, size: u64, limits: &Limits) -> Result<(), Unusable> {
    unpack::check(key, size, limits).map(drop).map_err(|fault| fault.locate(&[]))
}

/// The bytes as text. A mark at the start that says "UTF-8" stays, so that offsets are those of the file.
fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    const ADVICE: &str = "The text is not UTF-8. Save the file in UTF-8.";
    // UTF-16 and UTF-32 without a mark are valid UTF-8 where all is ASCII; JSON itself has no zero bytes.
    if bytes.iter().take(2).any(|&byte| byte == 0) {
        return Err(Fault::new(QuarantineReason::NotUtf8, ADVICE).at(0));
    }
    std::str::from_utf8(bytes).map_err(|error| Fault::new(QuarantineReason::NotUtf8, ADVICE).at(error.valid_up_to()))
}
