//! Whose token a request has, in Label Studio's words.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::access::{Caller, Role, Routes};
use super::extract::Json;

pub(super) fn routes() -> Routes {
    Routes::default().route(Role::Read, routes!(whoami))
}

/// The user of Label Studio that a token stands for. Longshore has no users, so it is the token itself.
#[derive(Debug, Serialize, ToSchema)]
struct WhoAmI {
    /// ID of the token.
    id: i64,
    /// Name of the token.
    username: String,
    first_name: &'static str,
    last_name: &'static str,
    email: &'static str,
    initials: String,
    phone: &'static str,
    avatar: Option<&'static str>,
    /// Always null: there are no organizations.
    active_organization: Option<i64>,
    allow_newsletters: bool,
}

/// Shows the token of the request as Label Studio shows a user.
#[utoipa::path(
    get, path = "/api/current-user/whoami", operation_id = "whoami", tag = "tokens",
    responses((status = 200, body = WhoAmI))
)]
async fn whoami(caller: Caller) -> Json<WhoAmI> {
    Json(WhoAmI {
        id: caller.id,
        initials: caller.name.chars().take(2).collect(),
        username: caller.name,
        first_name: "",
        last_name: "",
        email: "",
        phone: "",
        avatar: None,
        active_organization: None,
        allow_newsletters: false,
    })
}
