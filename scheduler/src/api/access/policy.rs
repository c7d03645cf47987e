//! The policy of a route: which callers it accepts, and how its requests count towards limits.

use super::role::Role;
use crate::api::body_size::MaxBody;

/// How long the work of a route takes. Decides the time limit of its requests and how they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Work {
    /// A few database queries.
    Short,
    /// Statements over whole tables: the ledger of ten million objects takes minutes to delete.
    WholeTables,
    /// An event stream, which lasts as long as its sync.
    Stream,
}

/// Which callers a route accepts, and how its requests count towards limits. Given when the route is added to
/// [`Routes`](super::Routes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Policy {
    pub(super) role: Role,
    pub(super) takes_link: bool,
    pub(super) takes_host_user: bool,
    pub(in crate::api) work: Work,
    pub(super) max_body: MaxBody,
}

impl From<Role> for Policy {
    /// The policy for tokens with at least this role, a small body and short work.
    fn from(role: Role) -> Self {
        Self { role, takes_link: false, takes_host_user: false, work: Work::Short, max_body: MaxBody::SMALL }
    }
}

impl Policy {
    /// Also accepts a resolve link instead of a token.
    pub(in crate::api) fn or_link(self) -> Self {
        Self { takes_link: true, ..self }
    }

    /// Also accepts users of Label Studio, if it is the host. The handler asks it what they may do.
    pub(in crate::api) fn or_host_user(self) -> Self {
        Self { takes_host_user: true, ..self }
    }

    /// Accepts a large body: annotations, documents or label configs.
    pub(in crate::api) fn with_large_body(self) -> Self {
        Self { max_body: MaxBody::LARGE, ..self }
    }

    pub(in crate::api) fn with_work(self, work: Work) -> Self {
        Self { work, ..self }
    }
}
