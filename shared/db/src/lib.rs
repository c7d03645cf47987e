//! Everything that is said to Postgres.
//!
//! A table has one file (or one file and a folder of its name) with its statements, one function a statement; only
//! that file writes the table. [`lifecycle`] puts them together to the transitions of a job. [`host`] is the seam to
//! the app that owns tasks and annotations, [`resolve`] and [`printed`] read across tables.
//!
//! `tokio-postgres` is named in this crate alone. The caller owns the transaction; a function that must run inside
//! one takes a [`Transaction`].

#![warn(missing_docs)]

pub mod annotations;
pub mod audit;
mod bounded;
mod client;
mod counts;
mod error;
pub mod exports;
pub mod host;
pub mod jobs;
pub mod lifecycle;
mod migrate;
pub mod objects;
pub mod outbox;
mod pool;
pub mod predictions;
pub mod printed;
pub mod projects;
pub mod quarantine;
mod raw_json;
pub mod resolve;
mod row;
mod seal;
mod share;
pub mod storages;
pub mod syncs;
pub mod tasks;
pub mod tokens;
mod wake;
pub mod workers;

pub use bounded::Bounded;
pub use client::{Client, GenericClient};
pub use counts::Counts;
pub use deadpool_postgres::Transaction;
pub use error::{Error, Result};
pub use pool::{Check, Db, Listener, PATIENCE, PoolStatus};
pub use raw_json::RawJson;
pub use seal::{Sealed, Sealer};
pub use share::Share;

#[cfg(test)]
mod tests;
