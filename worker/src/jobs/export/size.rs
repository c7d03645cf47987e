//! How much of a page of export is read at once, and the memory for that.

const MIB: usize = 1024 * 1024;

/// Bytes of rows per page. Pages of usual annotations stay below; a larger unit is a page by itself.
pub(super) const PAGE_BYTES: usize = 2 * MIB;

/// The largest unit, as the database prints it: an annotation with its task, or a task with its annotations. An import
/// makes none above 64 MiB. It is held twice while it is read, so the default budget allows 48 MiB.
const MAX_UNIT_BYTES: usize = 64 * MIB;

/// The largest unit that is read beside others, and what that may take.
const LARGE_UNIT_BYTES: usize = 16 * MIB;
const LARGE_UNIT_MEMORY: u64 = 64 * MIB as u64;

/// How a page is read: first as usual, then for the sake of one unit that is larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Usual,
    /// Up to 16 MiB, several jobs at once.
    Large,
    /// Anything up to the limit, with the whole budget.
    Largest,
}

impl Size {
    /// With more memory, if there is a way.
    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::Usual => Some(Self::Large),
            Self::Large => Some(Self::Largest),
            Self::Largest => None,
        }
    }

    /// Bytes that a unit may have as the database prints it.
    pub(super) fn unit_bytes(self, most: u64) -> usize {
        let half = usize::try_from(most / 2).unwrap_or(usize::MAX);
        match self {
            Self::Usual => PAGE_BYTES,
            Self::Large => LARGE_UNIT_BYTES,
            Self::Largest => half.min(MAX_UNIT_BYTES),
        }
    }

    /// Memory for the rows, and for the bodies made of them. A body has up to six bytes for one of its row: a page
    /// whose bodies need more than this is cut short.
    pub(super) fn memory(self, most: u64) -> u64 {
        match self {
            Self::Usual => 4 * PAGE_BYTES as u64,
            Self::Large => most.min(LARGE_UNIT_MEMORY),
            Self::Largest => most,
        }
    }
}
