//! How many bytes an export reads for a page, and the memory for that.

const MIB: usize = 1024 * 1024;

/// Bytes of rows per page. Pages of ordinary annotations have fewer; a larger unit is a page by itself.
pub(super) const PAGE_BYTES: usize = 2 * MIB;

/// The largest unit in bytes, as the database prints it: an annotation with its task, or a task with its annotations.
/// An import creates none above 64 MiB. While it is read, memory holds it twice, so the default budget allows 48 MiB.
const MAX_UNIT_BYTES: usize = 64 * MIB;

/// The largest unit that several jobs may read at the same time, and the memory that each reserves for it, in bytes.
const LARGE_UNIT_BYTES: usize = 16 * MIB;
const LARGE_UNIT_MEMORY: u64 = 64 * MIB as u64;

/// How much memory a page gets: first the usual amount, then more if a single unit needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Usual,
    /// A unit of up to 16 MiB, which several jobs may read at the same time.
    Large,
    /// A unit up to the limit, with the whole budget.
    Largest,
}

impl Size {
    /// The next larger size; `None` after the largest.
    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::Usual => Some(Self::Large),
            Self::Large => Some(Self::Largest),
            Self::Largest => None,
        }
    }

    /// The maximum bytes of a unit, as the database prints it. `most` is the memory budget in bytes.
    pub(super) fn unit_bytes(self, most: u64) -> usize {
        let half = usize::try_from(most / 2).unwrap_or(usize::MAX);
        match self {
            Self::Usual => PAGE_BYTES,
            Self::Large => LARGE_UNIT_BYTES,
            Self::Largest => half.min(MAX_UNIT_BYTES),
        }
    }

    /// Bytes of memory for the rows and the bodies made of them. `most` is the memory budget. A body may have six bytes
    /// for each byte of its row: a page whose bodies need more memory than this is cut short.
    pub(super) fn memory(self, most: u64) -> u64 {
        match self {
            Self::Usual => 4 * PAGE_BYTES as u64,
            Self::Large => most.min(LARGE_UNIT_MEMORY),
            Self::Largest => most,
        }
    }
}
