//! How much one object may be.

/// Bounds on one object, so that no object can take a worker or a database transaction with it.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Bytes as stored. A worker holds several objects in memory at once; 64 MiB is far above a
    /// sensible task list, and a few dozen of them still fit into one machine.
    pub(crate) max_object_bytes: usize,
    /// Bytes once unpacked. JSON shrinks to a tenth or less, so that ordinary files of the size
    /// above would be refused below some multiple of it; without a bound, 64 MiB become 60 GiB.
    pub(crate) max_unpacked_bytes: usize,
    /// Bytes of one item. The binary form in the database may hold 256 MiB a value and takes up to six
    /// times the text (`[1,1,…]`): a larger item could be read here and then fail its whole page. Counted is what the
    /// database prints, for that is what the API and exports read: it writes numbers out and blanks between parts.
    pub(crate) max_item_bytes: usize,
    /// Bytes of all items of one object as the database prints them: what one import may grow to by numbers such
    /// as `1e131071`, which take 131,072 digits in an answer. As much as an object may unpack to.
    pub(crate) max_printed_bytes: usize,
    /// Items of one object. They are committed in one transaction, which must end well within a lease.
    pub(crate) max_items: usize,
    /// Lists and objects within each other, the item being the first. Readers of the tasks commonly stop
    /// near 128; hand-made labeling data stays below ten.
    pub(crate) max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            max_object_bytes: 64 * MIB,
            max_unpacked_bytes: 256 * MIB,
            max_printed_bytes: 256 * MIB,
            max_item_bytes: 32 * MIB,
            max_items: 100_000,
            max_depth: 100,
        }
    }
}
