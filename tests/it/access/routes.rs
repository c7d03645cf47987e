//! All routes of the API, with the role that each requires.

/// The role that a route requires. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Read,
    Sync,
    Admin,
}
use Role::{Admin, Read, Sync};

/// What an admin of another project gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherProject {
    /// 404, as if it did not exist.
    NotFound,
    /// 400, as if the project in the body did not exist.
    NoProject,
    /// An answer without data of the project.
    Nothing,
    /// 403, because it concerns more than one project.
    Forbidden,
    /// The same answer for all callers.
    Everybody,
}
use OtherProject::{Everybody, Forbidden, NoProject, NotFound, Nothing};

pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) needs: Role,
    pub(crate) elsewhere: OtherProject,
}

const fn route(method: &'static str, path: &'static str, needs: Role, elsewhere: OtherProject) -> Route {
    Route { method, path, needs, elsewhere }
}

/// Every route except health, metrics and documentation.
pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/api/projects", Read, Nothing),
    route("POST", "/api/projects", Admin, Forbidden),
    route("GET", "/api/projects/{id}", Read, NotFound),
    route("PATCH", "/api/projects/{id}", Admin, NotFound),
    route("DELETE", "/api/projects/{id}", Admin, NotFound),
    route("DELETE", "/api/projects/{id}/tasks", Admin, NotFound),
    route("POST", "/api/projects/{id}/import", Sync, NotFound),
    route("POST", "/api/dm/actions", Admin, NotFound),
    route("GET", "/api/storages", Read, Nothing),
    route("GET", "/api/storages/types", Read, Everybody),
    route("GET", "/api/storages/{kind}", Read, NotFound),
    route("POST", "/api/storages/{kind}", Admin, NoProject),
    route("POST", "/api/storages/{kind}/validate", Admin, NoProject),
    route("POST", "/api/storages/{kind}/files", Admin, NoProject),
    route("GET", "/api/storages/{kind}/{id}", Read, NotFound),
    route("PATCH", "/api/storages/{kind}/{id}", Admin, NotFound),
    route("PUT", "/api/storages/{kind}/{id}", Admin, NotFound),
    route("DELETE", "/api/storages/{kind}/{id}/tasks", Admin, NotFound),
    route("DELETE", "/api/storages/{kind}/{id}", Admin, NotFound),
    route("POST", "/api/storages/{kind}/{id}/doctor", Admin, NotFound),
    route("POST", "/api/storages/{kind}/{id}/dry-run", Sync, NotFound),
    route("POST", "/api/storages/{kind}/{id}/sync", Sync, NotFound),
    route("GET", "/api/storages/export", Read, Nothing),
    route("GET", "/api/storages/export/types", Read, Everybody),
    route("GET", "/api/storages/export/{kind}", Read, NotFound),
    route("POST", "/api/storages/export/{kind}", Admin, NoProject),
    route("POST", "/api/storages/export/{kind}/validate", Admin, NoProject),
    route("GET", "/api/storages/export/{kind}/{id}", Read, NotFound),
    route("PATCH", "/api/storages/export/{kind}/{id}", Admin, NotFound),
    route("PUT", "/api/storages/export/{kind}/{id}", Admin, NotFound),
    route("DELETE", "/api/storages/export/{kind}/{id}", Admin, NotFound),
    route("POST", "/api/storages/export/{kind}/{id}/doctor", Admin, NotFound),
    route("POST", "/api/storages/export/{kind}/{id}/sync", Sync, NotFound),
    route("GET", "/api/tasks", Read, NotFound),
    route("POST", "/api/tasks", Sync, NoProject),
    route("GET", "/api/tasks/{id}", Read, NotFound),
    route("PATCH", "/api/tasks/{id}", Sync, NotFound),
    route("GET", "/api/tasks/{id}/annotations", Read, NotFound),
    route("POST", "/api/tasks/{id}/annotations", Sync, NotFound),
    route("GET", "/api/annotations/{id}", Read, NotFound),
    route("PATCH", "/api/annotations/{id}", Sync, NotFound),
    route("DELETE", "/api/annotations/{id}", Sync, NotFound),
    route("GET", "/api/predictions", Read, NotFound),
    route("POST", "/api/predictions", Sync, NotFound),
    route("GET", "/api/predictions/{id}", Read, NotFound),
    route("PATCH", "/api/predictions/{id}", Sync, NotFound),
    route("DELETE", "/api/predictions/{id}", Sync, NotFound),
    route("DELETE", "/api/tasks/{id}", Sync, NotFound),
    route("GET", "/api/syncs", Read, Nothing),
    route("GET", "/api/syncs/{id}", Read, NotFound),
    route("GET", "/api/syncs/{id}/events", Read, NotFound),
    route("POST", "/api/syncs/{id}/cancel", Sync, NotFound),
    route("POST", "/api/syncs/{id}/retry", Sync, NotFound),
    route("GET", "/api/quarantine", Read, Nothing),
    route("POST", "/api/quarantine/replay", Sync, Nothing),
    route("POST", "/api/quarantine/discard", Sync, Nothing),
    route("POST", "/api/quarantine/{id}/replay", Sync, NotFound),
    route("POST", "/api/quarantine/{id}/discard", Sync, NotFound),
    route("POST", "/api/resolve", Read, NotFound),
    route("GET", "/tasks/{id}/resolve", Read, NotFound),
    route("GET", "/tasks/{id}/presign", Read, NotFound),
    route("GET", "/projects/{id}/resolve", Read, NotFound),
    route("GET", "/projects/{id}/presign", Read, NotFound),
    // Disabled here for all callers.
    route("GET", "/data/local-files", Read, Forbidden),
    route("GET", "/api/audit", Admin, Forbidden),
    route("GET", "/api/dead-letters", Admin, Forbidden),
    route("DELETE", "/api/dead-letters", Admin, Forbidden),
    route("GET", "/api/tokens", Admin, Forbidden),
    route("POST", "/api/tokens", Admin, Forbidden),
    route("DELETE", "/api/tokens/{id}", Admin, Forbidden),
    route("GET", "/api/current-user/whoami", Read, Everybody),
];
