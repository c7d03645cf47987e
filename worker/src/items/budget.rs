//! What reading an object may take: memory that is reserved for it, and an attempt that still wants the result.

use longshore_model::QuarantineReason;
use tokio_util::sync::CancellationToken;

use super::Fault;

/// The memory that one item takes beside its text: its place in lists that grow by doubling.
pub(super) const ITEM_BYTES: usize = 96;

/// The same for an annotation or a prediction in it: a list of one has room for four, of 56 bytes each, and the text of
/// an empty result is apart.
pub(super) const LABELS_BYTES: usize = 320;

/// What an item takes beside that once it says anything but its data.
pub(super) const ABOUT_BYTES: usize = 96;

/// What is left of the memory reserved for an object.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    all: usize,
    abandoned: CancellationToken,
}

impl Budget {
    /// So many bytes; once `abandoned` is cancelled, reading ends with any result.
    pub(crate) fn new(bytes: usize, abandoned: CancellationToken) -> Self {
        Self { left: bytes, all: bytes, abandoned }
    }

    /// What may still be taken.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Takes memory before it is allocated.
    ///
    /// # Errors
    /// There is not that much left, or no attempt waits for the result any more.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.left.checked_sub(bytes) {
            Some(left) if !self.abandoned.is_cancelled() => {
                self.left = left;
                Ok(())
            }
            _ => Err(self.used_up()),
        }
    }

    /// Gives back what was taken.
    pub(super) fn give(&mut self, bytes: usize) {
        self.left += bytes;
    }

    /// The fault of an object that needs more than there is.
    pub(super) fn used_up(&self) -> Fault {
        let detail = format!(
            "Reading the object takes more than {} bytes of memory. Split it into several objects, or raise \
             LONGSHORE_MEMORY_MB of the workers.",
            self.all
        );
        Fault::new(QuarantineReason::TooLarge, detail).for_memory()
    }
}
