//! Checks V4 signed URLs as Google documents them, with no code of the signer in Longshore.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http::request::Parts;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use percent_encoding::percent_decode_str;

use super::oauth::{Oauth, Right, verify};

/// The longest lifetime in seconds: seven days.
const LONGEST: i64 = 604_800;

/// The refusal of a URL: status and code.
pub(super) type Refusal = (u16, &'static str);

/// Whether a request has a signature in its query.
pub(super) fn is_signed(parts: &Parts) -> bool {
    parts.uri.query().is_some_and(|query| query.contains("X-Goog-Signature="))
}

/// Checks the signed URL of a request and returns the account that signed it.
pub(super) fn check(oauth: &Oauth, parts: &Parts) -> Result<String, Refusal> {
    let malformed: Refusal = (400, "AuthenticationRequired");
    let mut parameters: Vec<&str> = parts.uri.query().unwrap_or_default().split('&').collect();
    let signature = parameters.iter().position(|pair| pair.starts_with("X-Goog-Signature=")).ok_or(malformed)?;
    let signature = unhex(&parameters.remove(signature)["X-Goog-Signature=".len()..]).ok_or(malformed)?;
    parameters.sort_unstable();
    let pairs: BTreeMap<&str, String> = parameters
        .iter()
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name, percent_decode_str(value).decode_utf8().ok()?.into_owned()))
        })
        .collect();
    let value = |name: &str| pairs.get(name).map(String::as_str).ok_or(malformed);

    if value("X-Goog-Algorithm")? != "GOOG4-RSA-SHA256" {
        return Err(malformed);
    }
    let (account, scope) = value("X-Goog-Credential")?.split_once('/').ok_or(malformed)?;
    let date = value("X-Goog-Date")?;
    let day = scope.strip_suffix("/auto/storage/goog4_request").ok_or(malformed)?;
    let signed_at = DateTime::strptime("%Y%m%dT%H%M%SZ", date).map_err(|_| malformed)?;
    let signed_at = Offset::UTC.to_timestamp(signed_at).map_err(|_| malformed)?.as_second();
    let seconds: i64 = value("X-Goog-Expires")?.parse().map_err(|_| malformed)?;
    if !date.starts_with(day) || !(1..=LONGEST).contains(&seconds) {
        return Err(malformed);
    }

    let names = value("X-Goog-SignedHeaders")?;
    if !names.split(';').any(|name| name == "host") {
        return Err(malformed);
    }
    let headers = canonical(names, &parts.headers).ok_or(malformed)?;
    let request = format!(
        "{}\n{}\n{}\n{headers}\n{names}\nUNSIGNED-PAYLOAD",
        parts.method,
        parts.uri.path(),
        parameters.join("&"),
    );
    let digest: String = digest(&SHA256, request.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let message = format!("GOOG4-RSA-SHA256\n{date}\n{scope}\n{digest}");
    if !verify(message.as_bytes(), &signature) {
        return Err((403, "SignatureDoesNotMatch"));
    }
    if oauth.now() > signed_at + seconds {
        return Err((400, "ExpiredToken"));
    }
    match oauth.has_right(account, Right::Get) {
        Some(true) => Ok(account.to_owned()),
        Some(false) => Err((403, "AccessDenied")),
        None => Err((403, "InvalidSecurity")),
    }
}

fn canonical(names: &str, headers: &HeaderMap) -> Option<String> {
    let mut lines = String::new();
    for name in names.split(';') {
        lines += &format!("{name}:{}\n", headers.get(name)?.to_str().ok()?.trim());
    }
    Some(lines)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
