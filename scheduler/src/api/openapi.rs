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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn json() -> Value {
        serde_json::to_value(document()).unwrap()
    }

    #[test]
    fn the_document_spells_words_as_answers_do() {
        let document = json();
        let words = |name: &str| document["components"]["schemas"][name]["enum"].clone();
        assert_eq!(words("StorageKind")[0], "s3");
        assert_eq!(words("SyncStatus")[4], "completed_with_errors");
        assert_eq!(words("QuarantineReason")[1], "invalid_json");
    }

    #[test]
    fn every_operation_has_its_own_name_and_every_reference_a_schema() {
        fn walk(value: &Value, visit: &mut impl FnMut(&str, &Value)) {
            match value {
                Value::Object(fields) => fields.iter().for_each(|(name, field)| {
                    visit(name, field);
                    walk(field, visit);
                }),
                Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
                _ => {}
            }
        }
        let document = json();
        let (mut names, mut references) = (Vec::new(), Vec::new());
        walk(&document["paths"], &mut |name, field| match (name, field.as_str()) {
            ("operationId", Some(id)) => names.push(id.to_owned()),
            ("$ref", Some(reference)) => references.push(reference.to_owned()),
            _ => {}
        });
        assert!(names.len() > 30, "{names:?}");
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        for reference in references {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }
}
