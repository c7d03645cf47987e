//! The HTTP API: Label Studio's storage routes, and Longshore's own beside them.
//!
//! A resource is a file. Handlers read rows, decide and write rows in one transaction; what moves
//! data is enqueued and happens elsewhere. Who may call what stands in `auth` alone.

mod annotations;
mod answer;
mod auth;
mod bookmarks;
mod error;
mod extract;
mod id_list;
mod known_tokens;
mod limits;
mod load;
mod memory;
mod metrics;
mod offload;
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
mod sync_events;
mod syncs;
mod tasks;
mod texts;
mod tokens;

pub(crate) use known_tokens::LOOKUPS;
pub use load::LoadLimits;
pub use resolve::{Origins, ResolveOptions};
pub use router::router;
pub use state::ApiState;
pub use storages::OpenStorage;

/// Database connections of the API: requests hold one for milliseconds each. More would load Postgres without
/// answering sooner; fewer would let a few slow statements hold up the others.
pub(crate) const CONNECTIONS: usize = 20;
