//! Fetches a presigned URL as a browser does: without credentials, from a page of another origin.

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

/// Code of a CORS refusal. It is not a failure of the storage, so it is not a `FailureReason`.
const NO_CORS: &str = "cors_refused";

const FIRST_BYTE: &str = "bytes=0-0";

impl Examination<'_> {
    /// Presigns a URL and fetches it as a web page would.
    pub(super) async fn sign(&mut self, storage: &dyn Storage, object: Option<&ObjectMeta>) {
        if !self.settings.presign {
            for check in [Check::Presign, Check::Fetch, Check::Cors] {
                self.skip(check, "presigned URLs are off: Longshore streams the objects");
            }
            return;
        }
        // The CORS rules of a bucket apply to a missing key as well.
        let missing = format!("{}longshore-doctor", self.settings.connection.prefix());
        let key = object.map_or(missing.as_str(), |object| object.key.as_str());
        let ttl = MINUTE * u32::from(self.settings.presign_ttl.max(1));
        let url = match in_time(Op::Presign, storage.presign(key, ttl)).await {
            Ok(url) => url,
            Err(error) if error.reason == FailureReason::NoSignedUrls => {
                for check in [Check::Presign, Check::Fetch, Check::Cors] {
                    self.skip(check, "this storage has no presigned URLs: Longshore streams the objects");
                }
                return;
            }
            Err(error) => return self.fail(Check::Presign, &error),
        };
        self.pass(Check::Presign, format!("valid for {} minutes", ttl.as_secs() / 60));
        if object.is_some() {
            self.fetch(&url).await;
        } else {
            self.skip(Check::Fetch, "the first page has no object with content");
        }
        match self.origin.map(str::to_owned) {
            Some(origin) => self.cors(&url, &origin).await,
            None => self.skip(
                Check::Cors,
                "name the origin of the pages that fetch objects: --origin https://labels.example.com",
            ),
        }
    }

    async fn fetch(&mut self, url: &Secret) {
        let answer = self.send(Method::GET, url, &[(RANGE, FIRST_BYTE)]).await;
        match answer {
            Ok((StatusCode::OK | StatusCode::PARTIAL_CONTENT, _)) => {
                self.pass(Check::Fetch, "the presigned URL reads the object");
            }
            Ok((status, _)) => {
                let reason = match status.as_u16() {
                    401 | 403 => FailureReason::AccessDenied,
                    404 => FailureReason::NoSuchObject,
                    300..=399 => FailureReason::WrongRegion,
                    429 | 500..=599 => FailureReason::Unavailable,
                    _ => FailureReason::BadAnswer,
                };
                self.fail(Check::Fetch, &StorageError::new(Op::Get, ErrorKind::Denied, reason));
            }
            Err(error) => self.fail(Check::Fetch, &error),
        }
    }

    /// Sends a preflight request and then fetches, as a browser does for a request with a header that needs
    /// permission.
    async fn cors(&mut self, url: &Secret, origin: &str) {
        let preflight =
            [(ORIGIN, origin), (ACCESS_CONTROL_REQUEST_METHOD, "GET"), (ACCESS_CONTROL_REQUEST_HEADERS, "range")];
        let preflight_answer = self.send(Method::OPTIONS, url, &preflight).await;
        let fetched = self.send(Method::GET, url, &[(ORIGIN, origin), (RANGE, FIRST_BYTE)]).await;
        let (preflight_answer, fetched) = match (preflight_answer, fetched) {
            (Ok(preflight_answer), Ok(fetched)) => (preflight_answer, fetched),
            (Err(error), _) | (_, Err(error)) => return self.fail(Check::Cors, &error),
        };
        if may_read(&preflight_answer, &fetched.1, origin) {
            return self.pass(Check::Cors, format!("pages of {origin} may read objects"));
        }
        let advice =
            format!("Allow GET and HEAD from {origin} in the bucket's CORS rules: otherwise browsers block its pages.");
        self.fail_as(Check::Cors, NO_CORS, advice, Some(Need::Cors));
    }

    /// Sends a request without credentials, and returns status and headers of the answer.
    async fn send(
        &self,
        method: Method,
        url: &Secret,
        headers: &[(HeaderName, &str)],
    ) -> Result<(StatusCode, HeaderMap), StorageError> {
        let invalid = |error: http::Error| {
            StorageError::with_source(Op::Get, ErrorKind::Invalid, FailureReason::InvalidSettings, error)
        };
        let uri = Uri::try_from(url.expose()).map_err(|error| invalid(error.into()))?;
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Bytes::new()).map_err(invalid)?;
        in_time(Op::Get, self.wire.browse(Op::Get, request)).await
    }
}

/// Whether a page of this origin may read what it fetches, by the answers to the preflight and to the request.
fn may_read((status, preflight): &(StatusCode, HeaderMap), fetched: &HeaderMap, origin: &str) -> bool {
    status.is_success() && allows(preflight, origin) && allows_get(preflight) && allows(fetched, origin)
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
