//! Every statement that Longshore sends to Postgres.
//!
//! Each table has one file, or one file and a folder of the same name: its row types and its statements, one function
//! per statement. Only that file writes the table. [`lifecycle`] combines these functions to the transitions of a job.
//! [`host`] is the interface to the app that owns tasks and annotations. [`resolve`] and [`printed`] read several
//! tables.
//!
//! No other crate of the product uses `tokio-postgres`. The caller owns the transaction; a function that must run
//! inside one takes a [`Transaction`].
//!
//! # Statements and their plans
//!
//! Each statement must have a good plan without statistics: in a first import, tables grow a thousandfold after
//! Postgres last analyzed them. So rows are looked up one by one (`LATERAL (… LIMIT 1)`), sets of keys are arrays,
//! pages compare
//! `(project_id, id)` in the order of that index, and `LIMIT (SELECT $1)` hides the number of rows from the planner.
//! `tests/it/plans.rs` runs the hot statements on 100,000 ledger rows, with plans for each set of values and for all,
//! and with the statistics of full, empty and foreign tables. `longshore-bench --plans 10000000` does so at ten
//! million.
//!
//! Statements of every request, job or page are prepared once per database connection. Two groups are not, because
//! Postgres would keep a plan that it made for a tiny table: lists with optional filters, and look-ups of a page's
//! keys or IDs.

#![warn(missing_docs)]

mod address;
pub mod annotations;
pub mod audit;
mod bounded;
pub mod check;
mod client;
mod counts;
mod error;
pub mod exclusive;
mod explain;
pub mod exports;
pub mod host;
pub mod job_warnings;
pub mod jobs;
pub mod lifecycle;
mod migrate;
pub mod objects;
mod outage;
pub mod outbox;
pub mod own_exports;
mod pool;
pub mod predictions;
pub mod printed;
pub mod projects;
pub mod quarantine;
mod raw_json;
pub mod resolve;
pub mod rights;
mod row;
pub mod scanned_keys;
mod seal;
mod share;
pub mod storages;
pub mod syncs;
pub mod tasks;
pub mod tokens;
mod wake;
pub mod workers;

pub use address::{Address, InvalidAddress};
pub use bounded::Bounded;
pub use client::{Client, GenericClient};
pub use counts::{Counts, SkippedCounts};
pub use deadpool_postgres::Transaction;
pub use error::{Error, Result};
pub use outage::Outage;
pub use pool::{Check, Db, Listener, PATIENCE, PoolStatus};
pub use raw_json::RawJson;
pub use seal::{SealedSecrets, Sealer};
pub use share::Share;

#[cfg(test)]
mod tests;
