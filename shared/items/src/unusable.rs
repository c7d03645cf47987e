//! Why an object cannot be imported, and the position of the fault.

use std::borrow::Cow;

use longshore_model::QuarantineReason;

/// Characters of an excerpt before the fault, and after it.
const BEFORE: usize = 40;
const AFTER: usize = 80;

/// The fault of an object that cannot be imported, for its row in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Unusable {
    pub reason: QuarantineReason,
    /// What is wrong and what to do about it.
    pub detail: String,
    /// Offset of the fault in the unpacked bytes; `None` if it has no position.
    pub byte_offset: Option<u64>,
    /// Number of the faulty item, from 0; `None` if no single item is at fault.
    pub row_index: Option<i32>,
    /// The text around the fault: one line of at most 120 characters.
    pub excerpt: Option<String>,
    /// Whether the object may be usable with more memory.
    pub for_memory: bool,
}

impl Unusable {
    /// What is wrong, in which item, and what to do about it.
    pub fn text(&self) -> String {
        let place = self.row_index.map(|row| format!(" This is in item {row}, counted from 0."));
        format!("{}{}", self.detail, place.unwrap_or_default())
    }
}

/// A fault, without the text around it.
#[derive(Debug)]
pub struct Fault {
    reason: QuarantineReason,
    detail: Cow<'static, str>,
    offset: Option<usize>,
    row: Option<usize>,
    for_memory: bool,
}

impl Fault {
    pub(super) fn new(reason: QuarantineReason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), offset: None, row: None, for_memory: false }
    }

    /// Sets the offset of the fault in the unpacked bytes.
    pub(super) fn at(self, offset: usize) -> Self {
        Self { offset: Some(offset), ..self }
    }

    /// Moves the offset of the fault, if it has one.
    pub(super) fn moved_to(self, offset: usize) -> Self {
        Self { offset: self.offset.map(|_| offset), ..self }
    }

    /// Marks the fault as caused by too little memory.
    pub(super) fn for_memory(self) -> Self {
        Self { for_memory: true, ..self }
    }

    /// Whether the text is not JSON.
    pub(super) fn is_invalid_json(&self) -> bool {
        self.reason == QuarantineReason::InvalidJson
    }

    /// Sets the faulty item.
    pub(super) fn in_row(self, row: usize) -> Self {
        Self { row: Some(row), ..self }
    }

    /// Adds the text around the fault.
    pub(super) fn locate(self, unpacked: &[u8]) -> Unusable {
        Unusable {
            reason: self.reason,
            detail: self.detail.into_owned(),
            byte_offset: self.offset.map(|offset| offset as u64),
            row_index: self.row.map(|row| i32::try_from(row).unwrap_or(i32::MAX)),
            excerpt: self.offset.map(|offset| excerpt(unpacked, offset)),
            for_memory: self.for_memory,
        }
    }
}

/// The text around an offset in one line. Unprintable characters are escaped, and bytes that are not UTF-8 replaced.
fn excerpt(bytes: &[u8], offset: usize) -> String {
    let offset = offset.min(bytes.len());
    // A character has up to four bytes. If the cut divides one, it is removed together with the surplus characters.
    let before = escape(&bytes[offset.saturating_sub(4 * (BEFORE + 1))..offset]);
    let after = escape(&bytes[offset..bytes.len().min(offset + 4 * (AFTER + 1))]);
    let surplus = before.chars().count().saturating_sub(BEFORE);
    before.chars().skip(surplus).chain(after.chars().take(AFTER)).collect()
}

fn escape(bytes: &[u8]) -> String {
    let mut escaped = String::new();
    for char in String::from_utf8_lossy(bytes).chars() {
        if char.is_control() {
            escaped.extend(char.escape_default());
        } else {
            escaped.push(char);
        }
    }
    escaped
}
