//! Signatures: Shared Key for requests, service SAS for URLs.
//!
//! The signature covers what is sent: the path as escaped in the URI, and the parameters before they are escaped.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::InvalidHeaderValue;
use http::{HeaderName, HeaderValue, Request, header};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::account::Account;
use super::container::Container;
use crate::wire::push_query;

/// The API version of our requests: the first with `startFrom` in listings.
pub(super) const VERSION: &str = "2026-02-06";

/// The version of presigned URLs: the first whose signed text has the current form, and older servers also support
/// it.
const SAS_VERSION: &str = "2020-12-06";

/// The headers that are signed by position, without their names, in this order.
const POSITIONAL_HEADERS: [HeaderName; 11] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    HeaderName::from_static("content-md5"),
    header::CONTENT_TYPE,
    header::DATE,
    header::IF_MODIFIED_SINCE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
];

/// Adds the version, the date and the `Authorization` header. All other headers must be set before.
pub(super) fn headers(
    request: &mut Request<Bytes>,
    account: &Account,
    now: Timestamp,
) -> Result<(), InvalidHeaderValue> {
    let date = httpdate::fmt_http_date(now.into());
    request.headers_mut().insert("x-ms-date", HeaderValue::from_str(&date)?);
    request.headers_mut().insert("x-ms-version", HeaderValue::from_static(VERSION));
    let signature = account.sign(&string_to_sign(request, &account.name));
    let mut value = HeaderValue::from_str(&format!("SharedKey {}:{signature}", account.name))?;
    value.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, value);
    Ok(())
}

fn string_to_sign(request: &Request<Bytes>, account: &str) -> String {
    let mut text = format!("{}\n", request.method());
    for name in &POSITIONAL_HEADERS {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // A length of zero is signed as an empty value.
        let value = if *name == header::CONTENT_LENGTH && value == "0" { "" } else { value };
        text.push_str(value);
        text.push('\n');
    }
    let mut extension_headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-ms-"))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    extension_headers.sort_unstable();
    for (name, value) in extension_headers {
        text.extend([name, ":", value.trim(), "\n"]);
    }
    text.extend(["/", account, request.uri().path()]);
    let query = request.uri().query().unwrap_or_default();
    let mut parameters: Vec<(String, Cow<'_, str>)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_ascii_lowercase(), percent_decode_str(value).decode_utf8_lossy()))
        .collect();
    parameters.sort_unstable();
    for (name, value) in &parameters {
        text.extend(["\n", name.as_str(), ":", value]);
    }
    text
}

/// Whether a signature for this blob is valid for no other blob.
///
/// The signed text has one line per field and escapes nothing. In an older form, which servers still accept, the
/// version is two lines below the blob. So a name with two line breaks can be read as a shorter name with its own
/// version and fields.
pub(super) fn is_unambiguous(key: &str) -> bool {
    key.matches('\n').count() < 2
}

/// The URL that reads a blob for `ttl` without other credentials; over TLS only, unless the endpoint has none. `None`
/// for a key that has no URI.
pub(super) fn url(
    container: &Container,
    account: &Account,
    key: &str,
    ttl: Duration,
    now: Timestamp,
) -> Option<String> {
    let uri = container.object(key)?;
    let expiry = format!("{:.0}", now.checked_add(ttl).ok()?);
    let protocol = if container.base.is_encrypted() { "https" } else { "https,http" };
    let resource = format!("/blob/{}/{}/{key}", account.name, container.name);
    // Permission, start, end, resource, stored policy, IP addresses, protocol, version, kind of resource, snapshot,
    // encryption scope, and five headers of the answer.
    let signed = ["r", "", &expiry, &resource, "", "", protocol, SAS_VERSION, "b", "", "", "", "", "", "", ""];
    let signature = account.sign(&signed.join("\n"));

    let mut url = uri.to_string();
    push_query(
        &mut url,
        &[("sv", SAS_VERSION), ("spr", protocol), ("se", &expiry), ("sr", "b"), ("sp", "r"), ("sig", &signature)],
    )?;
    Some(url)
}

#[cfg(test)]
mod tests;
