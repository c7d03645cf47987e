//! Answers that are not what the service said, as from a bad proxy.

use std::error::Error;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use s3s::Body;

use super::rules::Fault;

/// A proxy's own page with status 200.
pub(super) fn page(content_type: &'static str, body: &'static str, etag: Option<&'static str>) -> Response<Body> {
    let mut answer = Response::new(Body::from(Bytes::from_static(body.as_bytes())));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(etag) = etag {
        answer.headers_mut().insert(ETAG, HeaderValue::from_static(etag));
    }
    answer
}

/// The answer as the fault changes it; a fault of another kind does not.
pub(super) async fn apply(
    fault: Option<&Fault>,
    answer: Response<Body>,
) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
    if matches!(fault, Some(Fault::OtherEtag)) {
        let mut answer = answer;
        answer.headers_mut().insert(ETAG, HeaderValue::from_static("\"another\""));
        return Ok(answer);
    }
    let change: fn(Bytes) -> Bytes = match fault {
        Some(Fault::Truncated) => |body| body.slice(..body.len() / 2),
        Some(Fault::Altered) => |body| body.iter().map(|byte| if *byte == b'0' { b'9' } else { *byte }).collect(),
        Some(Fault::NoContinuationToken) => |body| without_token(&body),
        Some(Fault::Descending) => |body| descending(&body),
        _ => return Ok(answer),
    };
    let (mut head, body) = answer.into_parts();
    let body = change(body.collect().await?.to_bytes());
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Ok(Response::from_parts(head, Body::from(body)))
}

fn without_token(listing: &[u8]) -> Bytes {
    const OPEN: &str = "<NextContinuationToken>";
    const CLOSE: &str = "</NextContinuationToken>";

    let mut listing =
        String::from_utf8_lossy(listing).replace("<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>");
    if let (Some(start), Some(end)) = (listing.find(OPEN), listing.find(CLOSE)) {
        listing.replace_range(start..end + CLOSE.len(), "");
    }
    listing.into()
}

fn descending(listing: &[u8]) -> Bytes {
    const OPEN: &str = "<Contents>";
    const CLOSE: &str = "</Contents>";

    let text = String::from_utf8_lossy(listing);
    let (Some(start), Some(end)) = (text.find(OPEN), text.rfind(CLOSE)) else { return text.into_owned().into() };
    let (before, after) = (&text[..start], &text[end + CLOSE.len()..]);
    let mut objects: Vec<&str> = text[start..end + CLOSE.len()].split_inclusive(CLOSE).collect();
    objects.reverse();
    format!("{before}{}{after}", objects.concat()).into()
}
