//! The router: the routes that need a token, those that do not, and the layers around them.

use std::any::Any;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, Uri};
use axum::middleware::{from_fn_with_state, map_request, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use longshore_telemetry::add_security_headers;
use tower::ServiceBuilder;
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::{DefaultOnFailure, DefaultOnResponse, TraceLayer};
use tracing::Level;

use super::access::{attach_policy, authenticate};
use super::body_size::MaxBody;
use super::client_address::attach_address;
use super::error::ApiError;
use super::parameters::{Parameters, check_query};
use super::time_limit::in_time;
use super::{ApiState, body_limit, load, metrics, openapi, outage, personal_tokens, versions};

/// Bytes. Longer request IDs are replaced, because every log line of a request contains its ID.
const MAX_REQUEST_ID: usize = 128;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// All routes that the scheduler serves over HTTP.
///
/// `open` has the routes for health and metrics, which need no token and are not measured.
///
/// # Errors
/// The document of the API cannot be written.
pub fn router(state: ApiState, open: Router) -> serde_json::Result<Router> {
    let (routes, document, policies) = openapi::parts();
    let parameters = Arc::new(Parameters::of(&document)?);
    let checked = (state.host, Arc::clone(&parameters));
    let around_refresh = ServiceBuilder::new()
        .layer(Extension(MaxBody::TOKEN))
        .layer(from_fn_with_state(state.clone(), in_time))
        .layer(from_fn_with_state(checked, check_query));
    let refresh = post(personal_tokens::refresh).layer(around_refresh);
    let api = routes
        .route_layer(from_fn_with_state(state.clone(), body_limit::check_body))
        .route_layer(from_fn_with_state((state.host, parameters), check_query))
        .route_layer(from_fn_with_state(state.clone(), load::admit))
        // On routes only, so that every caller gets 404 for an unknown path.
        .route_layer(from_fn_with_state(state.clone(), authenticate))
        .route_layer(from_fn_with_state(state.clone(), in_time))
        .route_layer(from_fn_with_state(state.clone(), outage::record))
        .route_layer(from_fn_with_state(policies, attach_policy))
        .route(personal_tokens::REFRESH, refresh)
        .merge(openapi::served(&document)?)
        .merge(versions::routes())
        .fallback(async || ApiError::no_route())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        // For bodies that axum reads: forms. `extract` has already limited their size.
        .layer(DefaultBodyLimit::max(MaxBody::LARGE.0))
        // Outside of authentication, because browsers send preflight requests without a token.
        .layer(option_layer(state.resolve.allowed_origins.layer()))
        .layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
                .layer(
                    TraceLayer::new_for_http()
                        .make_span_with(span)
                        .on_response(DefaultOnResponse::new().level(Level::DEBUG))
                        // A 5xx has already been logged with its cause.
                        .on_failure(DefaultOnFailure::new().level(Level::DEBUG)),
                )
                .layer(PropagateRequestIdLayer::new(REQUEST_ID))
                .layer(from_fn_with_state(state.metrics.clone(), metrics::measure))
                .layer(CatchPanicLayer::custom(panicked)),
        )
        .layer(from_fn_with_state(state.clone(), attach_address))
        .with_state(state);
    // A layer runs after its router has chosen a route, so the layer that changes the path must be outside the router.
    let all = Router::new().fallback_service(open.merge(api));
    Ok(all.layer(map_request(normalize)).layer(map_response(add_security_headers)))
}

fn span(request: &Request) -> tracing::Span {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    tracing::info_span!("request", request.id = id, http.method = %request.method(), http.path = request.uri().path())
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "no message".to_owned(), |text| (*text).to_owned()),
    };
    ApiError::internal(format!("panic: {message}")).into_response()
}

/// Removes slashes from the end of the path, so that both spellings reach the same route, and removes a request ID that
/// would be unreadable in a log.
async fn normalize(mut request: Request) -> Request {
    if let Some(uri) = without_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    let is_unreadable = request
        .headers()
        .get(REQUEST_ID)
        .is_some_and(|id| id.len() > MAX_REQUEST_ID || !id.as_bytes().iter().all(|byte| byte.is_ascii_graphic()));
    if is_unreadable {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// The URI without slashes at the end of its path; `None` if there are none.
fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() || trimmed.len() == path.len() {
        return None;
    }
    let path_and_query = match uri.query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_answer_to_a_panic_is_an_error_body_without_its_message() {
        let response = panicked(Box::new("hunter2"));
        assert_eq!(response.status(), 500);
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("\"code\":\"internal\"") && !body.contains("hunter2"), "{body}");
    }

    #[test]
    fn a_slash_at_the_end_of_a_path_is_removed_and_the_query_stays() {
        let plain = |text: &str| without_slash(&text.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(plain("/api/storages/s3/?project=1").as_deref(), Some("/api/storages/s3?project=1"));
        assert_eq!(plain("/api/tasks/7//").as_deref(), Some("/api/tasks/7"));
        assert_eq!(plain("/api/storages/s3"), None);
        assert_eq!(plain("/"), None);
        assert_eq!(plain("/docs/").as_deref(), Some("/docs"));
    }
}
