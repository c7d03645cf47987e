//! A signed URL as a browser gets it: without credentials, from a page of another origin.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, RANGE,
};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri};
use longshore_model::{FailureReason, Secret};

use super::snippet::Need;
use super::{Check, Examination, in_time};
use crate::{ErrorKind, ObjectMeta, Op, Storage, StorageError};

const MINUTE: Duration = Duration::from_secs(60);

/// What browsers refuse is no failure of the storage, so it has no reason of its own.
const NO_CORS: &str = "cors_refused";

const FIRST_BYTE: &str = "bytes=0-0";

impl Examination<'_> {
    /// Signs a URL and fetches it as a page would.
    pub(super) async fn sign(&mut self, storage: &dyn Storage, object: Option<&ObjectMeta>) {
        if !self.settings.presign {
            for check in [Check::Presign, Check::Fetch, Check::Cors] {
                self.skipped(check, "pre-signed URLs are off: objects come through Longshore");
            }
            return;
        }
        // The rules of a bucket are the same for a key that is not there.
        let nothing = format!("{}longshore-doctor", self.settings.connection.prefix());
        let key = object.map_or(nothing.as_str(), |object| object.key.as_str());
        let ttl = MINUTE * u32::from(self.settings.presign_ttl.max(1));
        let url = match in_time(Op::Presign, storage.presign(key, ttl)).await {
            Ok(url) => url,
            Err(error) if error.reason == FailureReason::NoSignedUrls => {
                for check in [Check::Presign, Check::Fetch, Check::Cors] {
                    self.skipped(check, "there are no signed URLs here: objects come through Longshore");
                }
                return;
            }
            Err(error) => return self.failed(Check::Presign, &error),
        };
        self.ok(Check::Presign, format!("valid for {} minutes", ttl.as_secs() / 60));
        if object.is_some() {
            self.fetch(&url).await;
        } else {
            self.skipped(Check::Fetch, "there is no object with content on the first page");
        }
        match self.origin.map(str::to_owned) {
            Some(origin) => self.cors(&url, &origin).await,
            None => self.skipped(Check::Cors, "say whose pages fetch: --origin https://labels.example.com"),
        }
    }

    async fn fetch(&mut self, url: &Secret) {
        let answer = self.send(Method::GET, url, &[(RANGE, FIRST_BYTE)]).await;
        match answer {
            Ok((StatusCode::OK | StatusCode::PARTIAL_CONTENT, _)) => {
                self.ok(Check::Fetch, "the signed URL reads the object");
            }
            Ok((status, _)) => {
                let reason = match status.as_u16() {
                    401 | 403 => FailureReason::AccessDenied,
                    404 => FailureReason::NoSuchObject,
                    300..=399 => FailureReason::WrongRegion,
                    429 | 500..=599 => FailureReason::Unavailable,
                    _ => FailureReason::BadAnswer,
                };
                self.failed(Check::Fetch, &StorageError::new(Op::Get, ErrorKind::Denied, reason));
            }
            Err(error) => self.failed(Check::Fetch, &error),
        }
    }

    /// Asks first and then fetches, as a browser does for a page's request with a header of its own.
    async fn cors(&mut self, url: &Secret, origin: &str) {
        let preflight =
            [(ORIGIN, origin), (ACCESS_CONTROL_REQUEST_METHOD, "GET"), (ACCESS_CONTROL_REQUEST_HEADERS, "range")];
        let asked = self.send(Method::OPTIONS, url, &preflight).await;
        let fetched = self.send(Method::GET, url, &[(ORIGIN, origin), (RANGE, FIRST_BYTE)]).await;
        let (asked, fetched) = match (asked, fetched) {
            (Ok(asked), Ok(fetched)) => (asked, fetched),
            (Err(error), _) | (_, Err(error)) => return self.failed(Check::Cors, &error),
        };
        if may_read(&asked, &fetched.1, origin) {
            return self.ok(Check::Cors, format!("pages of {origin} may read"));
        }
        let advice =
            format!("Allow GET and HEAD from {origin} in the CORS rules: browsers refuse its pages otherwise.");
        self.failed_as(Check::Cors, NO_CORS, advice, Some(Need::Cors));
    }

    /// Status and headers of the answer to a request without credentials.
    async fn send(
        &self,
        method: Method,
        url: &Secret,
        headers: &[(HeaderName, &str)],
    ) -> Result<(StatusCode, HeaderMap), StorageError> {
        let unsendable = |error: http::Error| {
            StorageError::caused(Op::Get, ErrorKind::Invalid, FailureReason::InvalidSettings, error)
        };
        let uri = Uri::try_from(url.expose()).map_err(|error| unsendable(error.into()))?;
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Bytes::new()).map_err(unsendable)?;
        in_time(Op::Get, self.wire.browse(Op::Get, request)).await
    }
}

/// Whether a page of this origin gets what it fetches: after the answer that came before, and that to the
/// request itself.
fn may_read((status, asked): &(StatusCode, HeaderMap), fetched: &HeaderMap, origin: &str) -> bool {
    status.is_success() && allows(asked, origin) && allows_get(asked) && allows(fetched, origin)
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim()
}

fn allows(headers: &HeaderMap, origin: &str) -> bool {
    matches!(text(headers, ACCESS_CONTROL_ALLOW_ORIGIN), allowed if allowed == "*" || allowed == origin)
}

fn allows_get(headers: &HeaderMap) -> bool {
    text(headers, ACCESS_CONTROL_ALLOW_METHODS).split(',').any(|method| matches!(method.trim(), "GET" | "*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://labels.example.com";

    fn headers(origin: &str, methods: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [(ACCESS_CONTROL_ALLOW_ORIGIN, origin), (ACCESS_CONTROL_ALLOW_METHODS, methods)] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        headers
    }

    #[test]
    fn a_page_may_read_what_both_answers_allow_its_origin() {
        for (status, asked, fetched, expected) in [
            (200, (ORIGIN, "GET, HEAD"), ORIGIN, true),
            (204, ("*", "GET"), "*", true),
            (200, ("*", "*"), ORIGIN, true),
            (403, (ORIGIN, "GET"), ORIGIN, false),
            (200, ("", "GET"), ORIGIN, false),
            (200, ("https://others.example.com", "GET"), ORIGIN, false),
            (200, (ORIGIN, "PUT, HEAD"), ORIGIN, false),
            (200, (ORIGIN, ""), ORIGIN, false),
            (200, (ORIGIN, "GET"), "", false),
            (200, (ORIGIN, "GET"), "https://others.example.com", false),
        ] {
            let asked_headers = headers(asked.0, asked.1);
            let asked_answer = (StatusCode::from_u16(status).unwrap(), asked_headers);
            let may = may_read(&asked_answer, &headers(fetched, ""), ORIGIN);
            assert_eq!(may, expected, "{status} {asked:?} {fetched}");
        }
    }
}
