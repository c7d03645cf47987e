//! All routes that need a token, and the document that describes them.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use super::error::ErrorBody;
use super::{ApiState, annotations, projects, quarantine, storages, syncs, tasks, tokens};

/// Where the document is.
pub(super) const DOCUMENT: &str = "/api/openapi.json";

/// Where the page is that shows it.
pub(super) const PAGE: &str = "/docs";

#[derive(OpenApi)]
#[openapi(
    info(title = "Longshore", description = "Storage sync for labeling. Paths may end in a slash or not."),
    components(schemas(ErrorBody)),
    modifiers(&Tokens),
    security(("token" = []), ("bearer" = []), ("api_key" = []))
)]
struct Document;

/// The three ways to send a token.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let header = |name: &str, description: &str| {
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, description)))
        };
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", header("Authorization", "The word Token, a space, and the token."));
        components.add_security_scheme("api_key", header("X-Api-Key", "The token alone."));
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        );
    }
}

/// Every route that needs a token.
pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(projects::routes())
        .merge(storages::routes())
        .merge(tasks::routes())
        .merge(annotations::routes())
        .merge(syncs::routes())
        .merge(quarantine::routes())
        .merge(tokens::routes())
}

/// The document alone.
#[cfg(test)]
pub(super) fn document() -> utoipa::openapi::OpenApi {
    routes().split_for_parts().1
}
