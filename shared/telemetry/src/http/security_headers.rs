//! Headers that tell browsers what they must not do with an answer.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Marks an answer that pages of other sites may embed: an object for a labeling app. An extension of the answer.
#[derive(Debug, Clone, Copy)]
pub struct Embeddable;

/// For every answer. Browsers must not guess another type than the stated one, and must not send the URL to other
/// sites, because the URL of a resolve link opens its object.
const ALWAYS: [(HeaderName, HeaderValue); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// For answers that are no objects: pages of other sites must not show them in a frame, and nothing in them may load
/// or run.
const UNLESS_EMBEDDABLE: [(HeaderName, HeaderValue); 2] = [
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
];

/// Adds the headers that the answer does not have yet. If it has no rule for caches, none may store it.
pub async fn add_security_headers(mut answer: Response) -> Response {
    let is_embeddable = answer.extensions().get::<Embeddable>().is_some();
    let framing = UNLESS_EMBEDDABLE.into_iter().filter(|_| !is_embeddable);
    let caching = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in ALWAYS.into_iter().chain(framing).chain([caching]) {
        answer.headers_mut().entry(name).or_insert(value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[tokio::test]
    async fn an_answer_keeps_its_own_headers_and_an_object_may_be_embedded() {
        let plain = add_security_headers(Response::new(Body::empty())).await;
        assert_eq!(plain.headers()[header::X_FRAME_OPTIONS], "DENY");
        assert_eq!(plain.headers()[header::CACHE_CONTROL], "no-store");
        let mut object = Response::new(Body::empty());
        object.extensions_mut().insert(Embeddable);
        object.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=60"));
        let object = add_security_headers(object).await;
        assert_eq!(object.headers()[header::CACHE_CONTROL], "private, max-age=60");
        assert_eq!(object.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!object.headers().contains_key(header::X_FRAME_OPTIONS));
        assert!(!object.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    }
}
