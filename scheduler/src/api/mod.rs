//! The HTTP API: Label Studio's storage routes, and Longshore's own beside them.
//!
//! A resource is a file. Handlers read rows, decide and write rows in one transaction; what moves
//! data is enqueued and happens elsewhere. Who may call what is decided in `access` alone.

mod access;
mod annotations;
mod answer;
mod body_limit;
mod body_size;
mod error;
mod extract;
mod id_list;
mod load;
mod load_limits;
mod memory;
mod metrics;
mod offload;
mod openapi;
mod page;
mod page_cursors;
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
mod time_limit;
mod tokens;

pub(crate) use access::LOOKUPS;
pub use load_limits::LoadLimits;
pub use resolve::{Origins, ResolveOptions};
pub use router::router;
pub use state::ApiState;
pub use storages::OpenStorage;

/// Database connections of the API: requests hold one for milliseconds each. More would load Postgres without
/// answering sooner; fewer would let a few slow statements hold up the others.
pub(crate) const CONNECTIONS: usize = 20;
