//! All routes that need a token, the document that describes them, and the page that shows it.
//!
//! Handlers describe what is special about them; `complete` adds what many have in common, from tables.

mod answers;
mod complete;
mod events;
mod examples;
mod flat;
mod headers;
mod kinds;
mod page;
mod refusals;
mod unused;
mod walk;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodRouter, get};
use serde_json::Value;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::access::{Policies, Routes};
use super::error::ErrorBody;
use super::{
    ApiState, actions, annotations, audit, dead_letters, personal_tokens, predictions, projects, quarantine, resolve,
    storages, sync_events, syncs, tasks, tokens, whoami,
};

/// The path of the document.
const DOCUMENT: &str = "/api/openapi.json";

/// The path of the page that shows the document.
const PAGE: &str = "/docs";

#[derive(OpenApi)]
#[openapi(
    info(title = "Longshore", description = "Syncs object storages with labeling apps. A slash at the end of a path makes no difference."),
    servers((url = "/", description = "The scheduler that serves this document.")),
    tags(
        (name = "projects", description = "Projects own storages and tasks."),
        (name = "storages", description = "Storages of all kinds."),
        (name = "import storages", description = "Buckets, containers, folders and databases whose objects become tasks."),
        (name = "export storages", description = "Buckets, containers, folders and databases to which annotations are exported."),
        (name = "syncs", description = "A sync is one run of one storage: progress, cancel, retry."),
        (name = "quarantine", description = "Objects that could not be imported and annotations that could not be exported, with the reason."),
        (name = "tasks", description = "Tasks of imports and scripts, in Label Studio's format."),
        (name = "annotations", description = "Annotations, which exports write to storages."),
        (name = "predictions", description = "Predictions of tasks, from imports and scripts."),
        (name = "resolve", description = "Turns a URI in the data of a task into something that a browser can load."),
        (name = "audit", description = "Who changed what, and whose requests were denied."),
        (name = "dead letters", description = "Messages that the broker or a consumer gave up."),
        (name = "tokens", description = "API tokens: each has a role, and access to some or all projects."),
    ),
    // This route is in another router, because its caller has no token yet.
    paths(personal_tokens::refresh),
    components(schemas(ErrorBody)),
    modifiers(&Access),
    security(("token" = []), ("bearer" = []), ("api_key" = []))
)]
struct Document;

/// The three ways to send a token, and resolve links, which need none.
struct Access;

impl Modify for Access {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let header = |name: &str, description: &str| {
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, description)))
        };
        let signature = "The signature of a resolve link, together with its `project`, `token` and `expires`.";
        let link = SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description("signature", signature)));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The token as `Bearer`."));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", header("Authorization", "The word `Token`, a space, and the token."));
        components.add_security_scheme("api_key", header("X-Api-Key", "The token alone."));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        components.add_security_scheme("link", link);
    }
}

/// Every route that needs a token.
fn routes() -> Routes {
    Routes::with_openapi(Document::openapi())
        .merge(projects::routes())
        .merge(storages::routes())
        .merge(tasks::routes())
        .merge(actions::routes())
        .merge(annotations::routes())
        .merge(predictions::routes())
        .merge(syncs::routes())
        .merge(sync_events::routes())
        .merge(quarantine::routes())
        .merge(resolve::routes())
        .merge(audit::routes())
        .merge(dead_letters::routes())
        .merge(tokens::routes())
        .merge(whoami::routes())
}

/// The router of these routes, the document of their handlers, and their policies.
pub(super) fn parts() -> (Router<ApiState>, utoipa::openapi::OpenApi, Arc<Policies>) {
    routes().into_parts()
}

/// The routes of the document and its page, which need no token. Both texts are made once, at the start.
///
/// # Errors
/// The document cannot be written as JSON.
pub(super) fn served<S: Clone + Send + Sync + 'static>(
    document: &utoipa::openapi::OpenApi,
) -> serde_json::Result<Router<S>> {
    let document = complete::completed(document)?;
    Ok(Router::new().route(DOCUMENT, served_json(&document)?).route(PAGE, page::served(&document, DOCUMENT)))
}

fn served_json<S: Clone + Send + Sync + 'static>(document: &Value) -> serde_json::Result<MethodRouter<S>> {
    let json = Bytes::from(serde_json::to_vec(document)?);
    Ok(get(async move || ([(CONTENT_TYPE, "application/json")], json)))
}

/// The document as the handlers describe it.
#[cfg(test)]
pub(super) fn document() -> utoipa::openapi::OpenApi {
    parts().1
}

#[cfg(test)]
mod tests;
