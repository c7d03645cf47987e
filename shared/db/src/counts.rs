//! What a page, a job or a sync did, in numbers.

use serde::Serialize;
use tokio_postgres::Row;

/// Declares the counters once: struct, sum, columns.
macro_rules! counts {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        /// Counters of table `jobs`, one field a column. Never null; `record_page` adds to them.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
        #[schema(description = "What it did so far, by counter.")]
        pub struct Counts { $($(#[$meta])* pub $name: i64,)+ }

        impl Counts {
            /// The columns summed over jobs, each under its own name.
            pub(crate) const SUMS: &'static str = concat!("0", $(", coalesce(sum(j.", stringify!($name), "), 0)::bigint AS ", stringify!($name)),+);

            /// The columns as they are.
            pub(crate) const COLUMNS: &'static str = concat!("0", $(", j.", stringify!($name)),+);

            /// Reads the columns by name.
            pub(crate) fn of(row: &Row) -> Self {
                Self { $($name: row.get(stringify!($name)),)+ }
            }
        }

        impl std::ops::AddAssign for Counts {
            fn add_assign(&mut self, other: Self) { $(self.$name += other.$name;)+ }
        }
    };
}

counts! {
    /// Pages committed.
    pages,
    /// Keys seen by import.
    listed,
    /// Keys that pass the filter: exactly the sum of the next five.
    matched,
    /// Objects whose items became tasks.
    imported,
    /// Objects already in the ledger.
    existed,
    /// Objects or units put into quarantine.
    quarantined,
    /// Objects in quarantine since an earlier sync and unchanged.
    still_quarantined,
    /// Objects deleted between listing and reading.
    vanished,
    /// Tasks made.
    created,
    /// Objects written by export.
    exported,
    /// Annotations whose object was already as it should be.
    unchanged,
    /// Objects removed after their annotation.
    deleted,
    /// Objects that stay although their annotation was deleted: the storage may not delete.
    kept,
    /// Calls that failed and were tried again later.
    failed,
    /// Bytes read from or written to the storage.
    bytes,
}
