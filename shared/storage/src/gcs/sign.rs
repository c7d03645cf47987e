//! V4 signatures of URLs, made locally with a service account's key.

use std::fmt::Write;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use percent_encoding::utf8_percent_encode;

use super::key_file::{ServiceAccount, SigningError};
use crate::wire::QUERY;

const ALGORITHM: &str = "GOOG4-RSA-SHA256";

/// The URL that reads an object for `ttl` without other credentials; `path` is already escaped.
pub(super) fn url(
    account: &ServiceAccount,
    scheme: &str,
    host: &str,
    path: &str,
    ttl: Duration,
    now: Timestamp,
) -> Result<String, SigningError> {
    let time = now.strftime("%Y%m%dT%H%M%SZ");
    // With `auto`, Cloud Storage finds the bucket's region itself.
    let scope = format!("{}/auto/storage/goog4_request", now.strftime("%Y%m%d"));
    let credential = format!("{}/{scope}", account.email);
    let credential = utf8_percent_encode(&credential, QUERY);
    // In the order of the parameter names, as the signature requires.
    let query = format!(
        "X-Goog-Algorithm={ALGORITHM}&X-Goog-Credential={credential}&X-Goog-Date={time}&X-Goog-Expires={}&X-Goog-SignedHeaders=host",
        ttl.as_secs()
    );
    let request = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
    let digest = hex(digest(&SHA256, request.as_bytes()).as_ref());
    let signature = account.sign(format!("{ALGORITHM}\n{time}\n{scope}\n{digest}").as_bytes())?;
    Ok(format!("{scheme}://{host}{path}?{query}&X-Goog-Signature={}", hex(&signature)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
pub(super) mod tests;
