//! Finds the items in a text: objects and lists of objects, one after the other.

use std::ops::Range;

use longshore_model::QuarantineReason;

use super::numbers::Numbers;
use super::scan::Scanner;
use super::{Fault, Limits};

/// A UTF-8 byte order mark. Files with one each may be joined, so it may stand before any value.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Stands before each value of a JSON text sequence (RFC 7464).
const RECORD_SEPARATOR: &str = "\u{1e}";

/// Finds the items of a text, each a checked JSON object, and passes each to `found`, in order.
///
/// The text has objects, and lists of them, one after the other. Blanks, line ends or a comma may be between them. Returns
/// whether there is a list.
pub(super) fn split(
    text: &str,
    limits: &Limits,
    numbers: Numbers,
    found: &mut dyn FnMut(usize, Range<usize>) -> Result<(), Fault>,
) -> Result<bool, Fault> {
    let mut scanner = Scanner::new(text.as_bytes(), limits.max_depth, limits.max_item_bytes, numbers);
    let mut items = Items { limits, count: 0, printed: 0, found };
    let (mut lines, mut has_lists) = (Lines { text, end: 0, is_by_line: false }, false);
    skip_marks(&mut scanner);
    if scanner.peek().is_none() {
        return Err(Fault::new(QuarantineReason::Empty, "The object is blank. Upload it again."));
    }
    loop {
        let is_list = scanner.peek() == Some(b'[');
        match scanner.peek() {
            Some(b'[') => list(&mut scanner, &mut items)?,
            Some(b'{') => lines.object(&mut scanner, &mut items)?,
            // Not JSON, or a value that is no task.
            _ => items.pass(&mut scanner)?,
        }
        has_lists |= is_list;
        let end = scanner.offset();
        skip_marks(&mut scanner);
        if scanner.take(b',') {
            skip_marks(&mut scanner);
        }
        match scanner.peek() {
            None => return Ok(has_lists),
            Some(b'{' | b'[') => {}
            Some(_) if text[end..scanner.offset()].contains('\n') => {}
            Some(_) => {
                let fault = scanner.unexpected("The end of the line, or another object or list, is expected here");
                return Err(if is_list { fault } else { fault.in_row(items.row() - 1) });
            }
        }
    }
}

/// Skips what may stand between two values, but for a comma.
fn skip_marks(scanner: &mut Scanner<'_>) {
    loop {
        scanner.skip_blank();
        if !(scanner.take_all(BYTE_ORDER_MARK) || scanner.take_all(RECORD_SEPARATOR)) {
            return;
        }
    }
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

/// A list of items. A comma may follow the last one, as programs that write line by line leave it.
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
        if scanner.take(b']') {
            return Ok(());
        }
    }
}

/// Objects, of which most are alone, or on a line of their own.
struct Lines<'a> {
    text: &'a str,
    /// The end of the last line that was looked for.
    end: usize,
    /// Whether the last object was in one line.
    is_by_line: bool,
}

impl<'a> Lines<'a> {
    /// Passes the next object on.
    ///
    /// An object is looked for in its line first: if a line is cut off, the fault is there, and not somewhere in the next
    /// ones.
    fn object(&mut self, scanner: &mut Scanner<'a>, items: &mut Items<'_>) -> Result<(), Fault> {
        let (bytes, start) = (self.text.as_bytes(), scanner.offset());
        // Once for each line: a line may have 100,000 objects, and a long rest.
        if self.end <= start {
            self.end = self.text[start..].find('\n').map_or(bytes.len(), |length| start + length);
        }
        scanner.move_to(bytes, start..self.end);
        let in_line = items.check(scanner);
        let is_cut = self.end < bytes.len() && in_line.as_ref().err().is_some_and(Fault::is_invalid_json);
        let range = if is_cut {
            scanner.move_to(bytes, start..bytes.len());
            let whole = items.check(scanner);
            // If the lines before were whole, the fault of this one is the cut.
            if whole.is_err() && self.is_by_line { in_line? } else { whole? }
        } else {
            in_line?
        };
        self.is_by_line = !is_cut;
        scanner.move_to(bytes, range.end..bytes.len());
        items.give(range)
    }
}
