//! Finds the items in a text: a list, several lists, one object, or several objects, one per line or not.

use std::ops::Range;

use longshore_model::QuarantineReason;

use super::numbers::Numbers;
use super::scan::Scanner;
use super::{Fault, Limits};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Finds the items of a text, each a checked JSON object, and passes each to `found`, in order.
///
/// The first character decides: `[` starts a list of items; `{` starts an item. More of the same may follow. Returns whether
/// the items are in lists.
pub(super) fn split(
    text: &str,
    limits: &Limits,
    numbers: Numbers,
    found: &mut dyn FnMut(usize, Range<usize>) -> Result<(), Fault>,
) -> Result<bool, Fault> {
    let mut scanner = Scanner::new(text.as_bytes(), limits.max_depth, limits.max_item_bytes, numbers);
    if text.starts_with(BYTE_ORDER_MARK) {
        scanner.move_to(text.as_bytes(), BYTE_ORDER_MARK.len()..text.len());
    }
    scanner.skip_blank();
    let mut items = Items { limits, count: 0, printed: 0, found };
    let first = scanner.peek();
    match first {
        None => return Err(Fault::new(QuarantineReason::Empty, "The object is blank. Upload it again.")),
        Some(b'[') => lists(&mut scanner, &mut items)?,
        Some(b'{') => objects(text, &mut scanner, &mut items)?,
        Some(_) => items.pass(&mut scanner)?,
    }
    Ok(first == Some(b'['))
}

/// The items that were found so far.
struct Items<'a> {
    limits: &'a Limits,
    count: usize,
    /// Bytes of all these items, as the database prints them.
    printed: usize,
    found: &'a mut dyn FnMut(usize, Range<usize>) -> Result<(), Fault>,
}

impl Items<'_> {
    /// The number of the next item.
    fn row(&self) -> usize {
        self.count
    }

    /// Checks the next item and passes it to `found`.
    fn pass(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        let range = self.check(scanner)?;
        self.give(range)
    }

    fn give(&mut self, range: Range<usize>) -> Result<(), Fault> {
        (self.found)(self.count, range)?;
        self.count += 1;
        Ok(())
    }

    /// Checks the next item and returns its range.
    fn check(&mut self, scanner: &mut Scanner<'_>) -> Result<Range<usize>, Fault> {
        let row = self.row();
        let start = scanner.offset();
        if row >= self.limits.max_items {
            let detail = format!("More than {row} items. Split the object into several.");
            return Err(Fault::new(QuarantineReason::TooManyItems, detail).at(start).in_row(row));
        }
        let is_object = scanner.peek() == Some(b'{');
        let range = scanner.value().map_err(|fault| fault.in_row(row))?;
        if !is_object {
            let detail = "A task must be a JSON object. Put the value into one, such as {\"text\": …}.";
            return Err(Fault::new(QuarantineReason::WrongType, detail).at(start).in_row(row));
        }
        let printed = range.len() + scanner.growth();
        if printed > self.limits.max_item_bytes {
            let detail = format!("The item has more than {} bytes. Make it smaller.", self.limits.max_item_bytes);
            return Err(Fault::new(QuarantineReason::TooLarge, detail).at(start).in_row(row));
        }
        self.printed += printed;
        if self.printed > self.limits.max_printed_bytes {
            let detail = format!(
                "The items together have more than {} bytes as the database prints them. Split the object into several.",
                self.limits.max_printed_bytes
            );
            return Err(Fault::new(QuarantineReason::TooLarge, detail).at(start).in_row(row));
        }
        Ok(range)
    }
}

/// Lists, one after the other.
fn lists(scanner: &mut Scanner<'_>, items: &mut Items<'_>) -> Result<(), Fault> {
    loop {
        list(scanner, items)?;
        scanner.skip_blank();
        match scanner.peek() {
            None => return Ok(()),
            Some(b'[') => {}
            Some(_) => return Err(scanner.unexpected("Nothing but another list is expected after a list")),
        }
    }
}

fn list(scanner: &mut Scanner<'_>, items: &mut Items<'_>) -> Result<(), Fault> {
    scanner.take(b'[');
    scanner.skip_blank();
    if scanner.take(b']') {
        return Ok(());
    }
    loop {
        items.pass(scanner)?;
        scanner.skip_blank();
        if scanner.take(b']') {
            return Ok(());
        }
        if !scanner.take(b',') {
            return Err(scanner.unexpected("A comma or ] is expected here").in_row(items.row()));
        }
        scanner.skip_blank();
    }
}

/// Objects, one after the other. Most are alone, or on a line of their own.
///
/// An object is looked for in its line first: if a line is cut off, the fault is there, and not somewhere in the next ones.
fn objects<'a>(text: &'a str, scanner: &mut Scanner<'a>, items: &mut Items<'_>) -> Result<(), Fault> {
    // Whether the objects so far each were in one line.
    let mut is_by_line = false;
    loop {
        let start = scanner.offset();
        let line = text[start..].find('\n').map_or(text.len(), |length| start + length);
        scanner.move_to(text.as_bytes(), start..line);
        let in_line = items.check(scanner);
        let is_cut = in_line.as_ref().err().is_some_and(Fault::is_invalid_json);
        if is_cut && line < text.len() {
            scanner.move_to(text.as_bytes(), start..text.len());
            match items.check(scanner) {
                Ok(range) => items.give(range)?,
                Err(_) if is_by_line => return in_line.map(drop),
                Err(fault) => return Err(fault),
            }
            is_by_line = false;
        } else {
            items.give(in_line?)?;
            is_by_line = true;
        }
        let end = scanner.offset();
        scanner.move_to(text.as_bytes(), end..text.len());
        scanner.skip_blank();
        match scanner.peek() {
            None => return Ok(()),
            Some(first) if first != b'{' && !text[end..scanner.offset()].contains('\n') => {
                let expected = "The end of the line or another object is expected after an object";
                return Err(scanner.unexpected(expected).in_row(items.row() - 1));
            }
            Some(_) => {}
        }
    }
}
