//! The counters of a page, a job or a sync.

use serde::Serialize;
use tokio_postgres::Row;

/// Declares the counters once: struct, sum, columns.
macro_rules! counts {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        /// Counters of table `jobs`, one field per column. Never null; `record_page` adds to them.
        ///
        /// A page may commit in parts. Objects that a sync has counted already are not counted again, so this equation
        /// is exact: `matched = imported + existed + quarantined + still_quarantined + vanished`.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
        #[schema(description = "What it did so far, by counter.")]
        pub struct Counts { $($(#[$meta])* pub $name: i64,)+ }

        impl Counts {
            /// SQL for the columns summed over jobs `j`, each under its own name.
            pub(crate) const SUMS: &'static str = concat!("0", $(", coalesce(sum(j.", stringify!($name), "), 0)::bigint AS ", stringify!($name)),+);

            /// SQL for the columns of one job `j`.
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
    /// Keys listed by import.
    listed,
    /// Keys that match the file filter: exactly the sum of the next five.
    matched,
    /// Objects whose items became tasks.
    imported,
    /// Objects already in the ledger.
    existed,
    /// Objects or units quarantined by this sync. Negative in a job that tries refused objects again: as many left the
    /// quarantine.
    quarantined,
    /// Objects in quarantine since an earlier sync and unchanged.
    still_quarantined,
    /// Objects deleted between listing and reading.
    vanished,
    /// Tasks created.
    created,
    /// Objects written by export.
    exported,
    /// Annotations or tasks whose object was already up to date. In an import, the tasks of the objects of `existed`, with
    /// Label Studio as the host.
    unchanged,
    /// Objects deleted because their annotation was deleted.
    deleted,
    /// Objects that stay although their annotation was deleted, because the storage may not delete objects.
    kept,
    /// Calls that failed and were retried later.
    failed,
    /// Bytes read from or written to the storage.
    bytes,
}
