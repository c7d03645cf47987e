//! Parts of a shared text. All parts share one copy of it.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A part of a shared text. It keeps the whole text in memory.
#[derive(Clone)]
pub struct Text {
    whole: Arc<String>,
    start: u32,
    end: u32,
}

impl Text {
    /// A part of a text. The text must have less than 4 GiB, which the limits ensure, and the range must be on
    /// character boundaries.
    pub(super) fn part(whole: &Arc<String>, range: Range<usize>) -> Self {
        let short = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        Self { whole: Arc::clone(whole), start: short(range.start), end: short(range.end) }
    }

    /// The part of the whole text that `slice` is.
    pub(super) fn of_slice(whole: &Arc<String>, slice: &str) -> Self {
        let start = slice.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
        Self::part(whole, start..start + slice.len())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        let end = text.len();
        Self::part(&Arc::new(text), 0..end)
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, out)
    }
}
