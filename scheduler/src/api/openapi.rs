//! All routes that need a token, and the document that describes them.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodRouter, get};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::access::{Policies, Routes};
use super::error::ErrorBody;
use super::{ApiState, annotations, projects, quarantine, resolve, storages, sync_events, syncs, tasks, tokens};

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
fn routes() -> Routes {
    Routes::with_openapi(Document::openapi())
        .merge(projects::routes())
        .merge(storages::routes())
        .merge(tasks::routes())
        .merge(annotations::routes())
        .merge(syncs::routes())
        .merge(sync_events::routes())
        .merge(quarantine::routes())
        .merge(resolve::routes())
        .merge(tokens::routes())
}

/// Serves the document, which is written once: anybody may ask for it.
pub(super) fn served<S: Clone + Send + Sync + 'static>(
    document: &utoipa::openapi::OpenApi,
) -> serde_json::Result<MethodRouter<S>> {
    let json = Bytes::from(serde_json::to_vec(document)?);
    Ok(get(async move || ([(CONTENT_TYPE, "application/json")], json)))
}

/// The router of these routes, their document, and their policies.
pub(super) fn parts() -> (Router<ApiState>, utoipa::openapi::OpenApi, Arc<Policies>) {
    let (router, mut document, policies) = routes().into_parts();
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            add_refusals(path, operation);
        }
    }
    (router, document, policies)
}

/// Adds the errors that come from what surrounds every route.
fn add_refusals(path: &str, operation: &mut Operation) {
    let takes_body = operation.request_body.is_some();
    let has_place = path.contains('{');
    let refusals = [
        ("400", true, "The request cannot be read, or a field or a parameter is not as it must be."),
        ("401", true, "Missing or unknown token."),
        ("403", true, "The token may not do this."),
        ("404", has_place, "It is not there, or not this token's to see."),
        ("413", takes_body, "The body is too large."),
        ("415", takes_body, "The body is of another type than is read here."),
        ("422", path.contains("/resolve") || path.contains("/presign"), "The task's data is too large to be read."),
        ("429", true, "Too many requests or bytes at once; try again after the seconds of `Retry-After`."),
        ("503", true, "The database does not answer; try again in a moment."),
    ];
    for (status, is_possible, description) in refusals {
        if is_possible {
            let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
            let response = ResponseBuilder::new().description(description).content("application/json", body).build();
            operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
        }
    }
}

/// The document alone.
#[cfg(test)]
pub(super) fn document() -> utoipa::openapi::OpenApi {
    parts().1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn json() -> Value {
        serde_json::to_value(document()).unwrap()
    }

    #[tokio::test]
    async fn the_document_is_written_once_and_every_answer_shows_that() {
        use tower::ServiceExt as _;

        let router: Router = Router::new().route(DOCUMENT, served(&document()).unwrap());
        let asked = async || {
            let request = axum::extract::Request::get(DOCUMENT).body(axum::body::Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
            axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap()
        };
        let (first, second) = (asked().await, asked().await);
        assert_eq!(first.as_ptr(), second.as_ptr(), "the same bytes, and no copy of them");
        assert_eq!(serde_json::from_slice::<Value>(&first).unwrap(), json());
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
