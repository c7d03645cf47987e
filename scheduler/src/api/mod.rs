//! The HTTP API: Label Studio's storage routes, and Longshore's own beside them.
//!
//! A resource is a file. Handlers read rows, decide and write rows in one transaction; what moves
//! data is enqueued and happens elsewhere. Who may call what stands in `auth` alone.

mod annotations;
mod auth;
mod bookmarks;
mod error;
mod extract;
mod known_tokens;
mod limits;
mod metrics;
mod openapi;
mod page;
mod personal_tokens;
mod projects;
mod quarantine;
mod query;
mod resolve;
mod router;
mod state;
mod storages;
mod syncs;
mod tasks;
mod tokens;

pub use resolve::{Origins, ResolveOptions};
pub use router::router;
pub use state::ApiState;
pub use storages::OpenStorage;
