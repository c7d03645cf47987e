//! The policy of a route: which callers it accepts, and how its requests count towards limits.

use axum::http::StatusCode;

use super::role::Role;
use crate::api::body_size::MaxBody;
use crate::api::error::ApiError;

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

/// What a host with its own tables owns. Longshore neither makes nor shows it then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum HostOwned {
    Projects,
    /// The settings of storages. Longshore shows them.
    Storages,
    Tasks,
    /// Files by project or path. The host's own routes have the same names.
    Files,
}

impl HostOwned {
    /// The answer where Label Studio is the host: what to do instead.
    pub(super) fn refusal(self) -> ApiError {
        let detail = match self {
            Self::Projects => {
                "Projects are in Label Studio. Read, create, change and delete them there, on its pages or at its \
                 `/api/projects/`."
            }
            Self::Storages => {
                "Storages are set up in Label Studio. Create, change and delete them there, on the page `Cloud Storage` \
                 of the project or at its `/api/storages/`."
            }
            Self::Tasks => {
                "Tasks and annotations are in Label Studio. Read, create, change and delete them there, on its pages or \
                 at its `/api/tasks/` and `/api/annotations/`."
            }
            Self::Files => {
                "Label Studio itself serves this route. Send the request to it, or use `/tasks/{id}/resolve/` here."
            }
        };
        ApiError::Route { status: StatusCode::NOT_FOUND, code: "owned_by_label_studio", detail: detail.to_owned() }
    }
}

/// Which callers a route accepts, and how its requests count towards limits. Given when the route is added to
/// [`Routes`](super::Routes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Policy {
    pub(super) role: Role,
    pub(super) takes_link: bool,
    pub(super) takes_host_user: bool,
    pub(super) host_owned: Option<HostOwned>,
    pub(in crate::api) work: Work,
    pub(super) max_body: MaxBody,
}

impl From<Role> for Policy {
    /// The policy for tokens with at least this role, a small body and short work.
    fn from(role: Role) -> Self {
        Self {
            role,
            takes_link: false,
            takes_host_user: false,
            host_owned: None,
            work: Work::Short,
            max_body: MaxBody::SMALL,
        }
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

    /// Exists only with the native host: another host owns what the route is about.
    pub(in crate::api) fn native_only(self, owned: HostOwned) -> Self {
        Self { host_owned: Some(owned), ..self }
    }

    /// Accepts a large body: annotations, documents or label configs.
    pub(in crate::api) fn with_large_body(self) -> Self {
        Self { max_body: MaxBody::LARGE, ..self }
    }

    pub(in crate::api) fn with_work(self, work: Work) -> Self {
        Self { work, ..self }
    }
}
