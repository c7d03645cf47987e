//! Finds the items in a text: a list, one object, or one object per line.

use std::ops::Range;

use longshore_model::QuarantineReason;

use super::numbers::Numbers;
use super::scan::Scanner;
use super::{Fault, Limits};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Finds the items of a text, each a checked JSON object, and passes each to `found`, in order.
///
/// The first character decides: `[` starts a list of items; `{` starts the only item or the first line. Returns whether it
/// is a list.
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
        Some(b'[') => list(&mut scanner, &mut items)?,
        Some(b'{') => object_or_lines(text, &mut scanner, &mut items)?,
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

fn list(scanner: &mut Scanner<'_>, items: &mut Items<'_>) -> Result<(), Fault> {
    scanner.take(b'[');
    scanner.skip_blank();
    if !scanner.take(b']') {
        loop {
            items.pass(scanner)?;
            scanner.skip_blank();
            if scanner.take(b']') {
                break;
            }
            if !scanner.take(b',') {
                return Err(scanner.unexpected("A comma or ] is expected here").in_row(items.row()));
            }
            scanner.skip_blank();
        }
    }
    scanner.skip_blank();
    match scanner.peek() {
        None => Ok(()),
        Some(_) => Err(scanner.unexpected("Nothing is expected after the list")),
    }
}

fn object_or_lines<'a>(text: &'a str, scanner: &mut Scanner<'a>, items: &mut Items<'_>) -> Result<(), Fault> {
    let start = scanner.offset();
    let first = items.check(scanner)?;
    let end = scanner.offset();
    scanner.skip_blank();
    if scanner.peek().is_none() {
        return items.give(first);
    }
    if text[start..end].contains('\n') {
        let expected = "Nothing is expected after an object of several lines: put each object on its own line, or \
                        all of them in a list";
        return Err(scanner.unexpected(expected).in_row(items.row() + 1));
    }
    items.printed = 0;
    lines(text, start, scanner, items)
}

fn lines<'a>(text: &'a str, start: usize, scanner: &mut Scanner<'a>, items: &mut Items<'_>) -> Result<(), Fault> {
    let mut next = start;
    for line in text[start..].split_inclusive('\n') {
        let range = next..next + line.trim_end_matches('\n').len();
        next += line.len();
        scanner.move_to(text.as_bytes(), range);
        scanner.skip_blank();
        if scanner.peek().is_none() {
            continue;
        }
        items.pass(scanner)?;
        scanner.skip_blank();
        if scanner.peek().is_some() {
            return Err(scanner.unexpected("The end of the line is expected after its object").in_row(items.row() - 1));
        }
    }
    Ok(())
}
