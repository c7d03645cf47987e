//! How a listing writes names: the `url` encoding, and continuation tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What AWS escapes under `encoding-type=url`: all but letters, digits and `- _ . * /`.
/// The space is left for [`url`], which writes it as `+`.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

/// A name as AWS writes it into a listing under `encoding-type=url`.
pub(super) fn url(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string().replace(' ', "+")
}

/// The token to go on after a name. Base64 as on AWS: a client has to escape its `+`, `/` and `=`.
pub(super) fn token_after(name: &str) -> String {
    STANDARD.encode(name)
}

/// The name in a token, or `None` where it is none of ours.
pub(super) fn name_of(token: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(token).ok()?).ok()
}
