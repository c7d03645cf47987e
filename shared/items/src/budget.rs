//! The budget for reading an object: its reserved memory, and whether an attempt still needs the result.

use longshore_db::host::Memory;
use longshore_model::QuarantineReason;
use tokio_util::sync::CancellationToken;

use super::Fault;

/// The bytes of memory that one item takes besides its text: an element in lists that grow by doubling.
pub(super) const ITEM_BYTES: usize = 96;

/// The same for an annotation or a prediction of an item: a list of one has capacity for four, each of 64 bytes, and
/// the text of an empty result is separate.
pub(super) const LABELS_BYTES: usize = 320;

/// The bytes that an item takes in addition if it has anything besides its data.
pub(super) const ABOUT_BYTES: usize = 96;

/// The rest of the memory that is reserved for an object.
#[derive(Debug)]
pub struct Budget {
    left: usize,
    all: usize,
    abandoned: CancellationToken,
}

impl Budget {
    /// A budget of this many bytes. Once `abandoned` is cancelled, reading ends early, with an arbitrary result.
    pub fn new(bytes: usize, abandoned: CancellationToken) -> Self {
        Self { left: bytes, all: bytes, abandoned }
    }

    /// The bytes that may still be taken.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Takes memory before it is allocated.
    ///
    /// # Errors
    /// The rest is smaller, or no attempt waits for the result any more.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.left.checked_sub(bytes) {
            Some(left) if !self.abandoned.is_cancelled() => {
                self.left = left;
                Ok(())
            }
            _ => Err(self.used_up()),
        }
    }

    /// Gives back bytes that were taken.
    pub(super) fn give(&mut self, bytes: usize) {
        self.left += bytes;
    }

    /// The fault of an object that needs more than its budget.
    pub(super) fn used_up(&self) -> Fault {
        let detail = format!(
            "Reading the object takes more than {} bytes of memory. Split it into several objects, or raise \
             LONGSHORE_MEMORY_MB of the workers.",
            self.all
        );
        Fault::new(QuarantineReason::TooLarge, detail).for_memory()
    }
}

impl Memory for Budget {
    type Error = Fault;

    fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        self.take(bytes)
    }

    fn give(&mut self, bytes: usize) {
        self.give(bytes);
    }
}
