//! What a route asks of its callers, and what it costs to serve them.

use super::role::Role;
use crate::api::body_size::MaxBody;

/// How long the work of a route takes, which decides what its requests count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Work {
    /// A few database queries.
    Short,
    /// Statements over whole tables: the ledger of ten million objects takes minutes to delete.
    WholeTables,
    /// An event stream, which lasts as long as its sync.
    Stream,
}

/// What a route asks of its callers, and what it costs to serve them. Stated where the route is added to
/// [`Routes`](super::Routes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Policy {
    pub(super) role: Role,
    pub(super) takes_link: bool,
    pub(in crate::api) work: Work,
    pub(super) max_body: MaxBody,
}

impl From<Role> for Policy {
    /// Short work on a small body, for tokens with this role.
    fn from(role: Role) -> Self {
        Self { role, takes_link: false, work: Work::Short, max_body: MaxBody::SMALL }
    }
}

impl Policy {
    /// Also takes a resolve link in place of a token.
    pub(in crate::api) fn or_link(self) -> Self {
        Self { takes_link: true, ..self }
    }

    /// Takes annotations, documents or label configs.
    pub(in crate::api) fn with_large_body(self) -> Self {
        Self { max_body: MaxBody::LARGE, ..self }
    }

    pub(in crate::api) fn with_work(self, work: Work) -> Self {
        Self { work, ..self }
    }
}
