//! Everything that is said to Postgres: a module a table, one function a statement.
//!
//! `tokio-postgres` is named in this crate alone. The caller owns the transaction; a function that
//! must run inside one takes a [`Transaction`].

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
