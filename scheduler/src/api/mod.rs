//! The HTTP API: Label Studio's storage routes, and Longshore's own routes.
//!
//! There is one file per resource. A handler reads and writes rows in one transaction; work that moves data is enqueued
//! for workers. Only `access` decides who may call which route.

mod access;
mod actions;
mod annotations;
mod answer;
mod audit;
mod body_limit;
mod body_size;
mod boolean;
mod client_address;
mod dead_letters;
mod deletions;
mod denials;
mod error;
mod extract;
mod id_list;
mod json_field;
mod known_names;
mod load;
mod load_limits;
mod memory;
mod metrics;
mod offload;
mod openapi;
mod outage;
mod page;
mod page_cursors;
mod parameters;
mod personal_tokens;
mod predictions;
mod projects;
mod quarantine;
mod query;
mod resolve;
mod results;
mod router;
mod started;
mod state;
mod storages;
mod sync_events;
mod syncs;
mod tasks;
mod texts;
mod time_limit;
mod tokens;
mod versions;
mod whoami;

pub(crate) use access::LOOKUPS;
pub use access::LabelStudioAccess;
pub use client_address::{ForwardedHeader, Networks, TrustedProxies};
pub(crate) use denials::{Denials, DeniedRequests};
pub use load_limits::LoadLimits;
pub use resolve::{Origins, ResolveOptions};
pub use router::router;
pub use state::ApiState;
pub use storages::OpenStorage;

/// Database connections of the API. A request holds one for milliseconds. More would load Postgres without faster
/// answers; with fewer, a few slow statements would delay all requests.
pub(crate) const CONNECTIONS: usize = 20;
