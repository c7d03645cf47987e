//! CORS as in S3: preflights, and response headers for allowed origins.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use s3s::Body;

/// Methods that pages of an allowed origin may use.
const METHODS: &str = "GET, HEAD";

/// The allowed origins.
#[derive(Default)]
pub(super) struct Cors(RwLock<BTreeSet<String>>);

/// The CORS headers of a request.
pub(super) struct Origin {
    origin: HeaderValue,
    method: Option<HeaderValue>,
    headers: Option<HeaderValue>,
}

impl Origin {
    /// `None` for a request without `Origin`.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        let header = |name| request.headers().get(name).cloned();
        Some(Self {
            origin: header(ORIGIN)?,
            method: header(ACCESS_CONTROL_REQUEST_METHOD),
            headers: header(ACCESS_CONTROL_REQUEST_HEADERS),
        })
    }
}

impl Cors {
    pub(super) fn allow(&self, origin: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(origin.to_owned());
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let allowed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        origin.to_str().is_ok_and(|origin| allowed.contains(origin) || allowed.contains("*"))
    }

    /// Answers a preflight, which is never signed.
    pub(super) fn preflight(&self, origin: Option<&Origin>) -> Response<Body> {
        let mut answer = Response::new(Body::empty());
        let allowed = origin.filter(|origin| {
            let is_read = origin.method.as_ref().is_some_and(|method| method == "GET" || method == "HEAD");
            is_read && self.allows(&origin.origin)
        });
        let Some(allowed) = allowed else {
            *answer.status_mut() = StatusCode::FORBIDDEN;
            return answer;
        };
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        if let Some(headers) = &allowed.headers {
            answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
        self.mark(Some(allowed), answer.headers_mut());
        answer
    }

    /// Adds the headers that let the page read the answer, if its origin is allowed.
    pub(super) fn mark(&self, origin: Option<&Origin>, headers: &mut HeaderMap) {
        let Some(origin) = origin.filter(|origin| self.allows(&origin.origin)) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ETag, Content-Length"));
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
}
