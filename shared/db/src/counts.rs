//! The counters of a page, a job or a sync.

use serde::Serialize;
use tokio_postgres::Row;

/// Declares the counters once: struct, sum, columns.
macro_rules! counts {
    ($($(#[$meta:meta])* $name:ident,)+ ; skipped { $($(#[$rule_meta:meta])* $rule:ident = $column:ident,)+ }) => {
        /// Counters of table `jobs`, one field per column. Never null; `record_page` adds to them.
        ///
        /// A page may commit in parts. Objects that a sync has counted already are not counted again, so this equation
        /// is exact: `matched = imported + existed + quarantined + still_quarantined + vanished`.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
        #[schema(description = "What it did so far, by counter.")]
        pub struct Counts {
            $($(#[$meta])* pub $name: i64,)+
            /// Keys that were listed and not imported, by the rule that skipped them.
            pub skipped: SkippedCounts,
        }

        /// Skipped keys by rule: columns of table `jobs` that begin with `skipped_`.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
        #[schema(description = "Keys that were listed and not imported, by the rule that skipped them.")]
        pub struct SkippedCounts { $($(#[$rule_meta])* pub $rule: i64,)+ }

        impl Counts {
            /// SQL for the columns summed over jobs `j`, each under its own name.
            pub(crate) const SUMS: &'static str = concat!("0",
                $(", coalesce(sum(j.", stringify!($name), "), 0)::bigint AS ", stringify!($name),)+
                $(", coalesce(sum(j.", stringify!($column), "), 0)::bigint AS ", stringify!($column),)+);

            /// SQL for the columns of one job `j`.
            pub(crate) const COLUMNS: &'static str =
                concat!("0", $(", j.", stringify!($name),)+ $(", j.", stringify!($column),)+);

            /// Reads the columns by name.
            pub(crate) fn of(row: &Row) -> Self {
                let skipped = SkippedCounts { $($rule: row.get(stringify!($column)),)+ };
                Self { $($name: row.get(stringify!($name)),)+ skipped }
            }
        }

        impl SkippedCounts {
            /// Adds a key that the rule of this name skipped.
            pub fn count(&mut self, rule: &str) {
                self.add(rule, 1);
            }

            /// Adds keys that the rule of this name skipped.
            pub fn add(&mut self, rule: &str, keys: i64) {
                match rule {
                    $(stringify!($rule) => self.$rule += keys,)+
                    _ => {}
                }
            }

            /// The rules that skipped keys, and how many.
            pub fn rules(&self) -> impl Iterator<Item = (&'static str, i64)> + use<> {
                [$((stringify!($rule), self.$rule)),+].into_iter().filter(|(_, keys)| *keys > 0)
            }
        }

        impl std::ops::AddAssign for Counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)+
                $(self.skipped.$rule += other.skipped.$rule;)+
            }
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
    /// Tasks deleted, by a deletion of tasks.
    deleted_tasks,
    /// Annotations deleted with their tasks.
    deleted_annotations,
    /// Ledger entries deleted with their tasks: the next sync imports these objects again.
    forgotten,
    /// Calls that failed and were retried later.
    failed,
    /// Bytes read from or written to the storage.
    bytes,
    ; skipped {
        /// Markers of folders.
        folder = skipped_folder,
        /// Markers and checksums of Hadoop, Spark and similar tools.
        hadoop = skipped_hadoop,
        /// Files that desktops and programs keep beside the data.
        desktop = skipped_desktop,
        /// Objects that exports of the same project wrote.
        export = skipped_export,
        /// Sub-folders that were not looked into, because the scan is not recursive. Their keys are not counted as listed.
        depth = skipped_depth,
        /// Keys outside of the prefix.
        prefix = skipped_prefix,
        /// Keys that the file filter does not match.
        regex = skipped_regex,
    }
}
