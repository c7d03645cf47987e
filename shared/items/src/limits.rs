//! The limits on one object.

/// The limits on one object, so that no object can end a worker or break a database transaction.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Stored bytes. A worker holds several objects in memory at the same time; 64 MiB is much more than a sensible
    /// task list, and a few dozen of them still fit into one machine.
    pub max_object_bytes: usize,
    /// Unpacked bytes. JSON compresses to a tenth or less, so this is a multiple of the limit above; otherwise ordinary
    /// files of that size would be refused. Without a limit, 64 MiB could unpack to 60 GiB.
    pub max_unpacked_bytes: usize,
    /// Bytes of one item, as the database prints it. The binary form in the database has at most 256 MiB per value, and
    /// may take six times the bytes of the text (`[1,1,…]`): a larger item could be read here and then fail its whole
    /// page. The printed text counts, with blanks between parts and numbers written in full, because the API and
    /// exports read it.
    pub max_item_bytes: usize,
    /// Bytes of all items of one object, as the database prints them. The same as `max_unpacked_bytes`: without this
    /// limit, an import could grow by numbers such as `1e131071`, which the database prints with 131,072 digits.
    pub max_printed_bytes: usize,
    /// Items of one object. They are committed in one transaction, which must end well within a lease.
    pub max_items: usize,
    /// Nested lists and objects, including the item itself. Programs that read tasks often stop at about 128 levels;
    /// labeling data made by hand has fewer than ten.
    pub max_depth: usize,
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
