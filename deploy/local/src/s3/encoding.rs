//! Names in a listing: the `url` encoding, and continuation tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters that AWS escapes under `encoding-type=url`: all but letters, digits and `- _ . * /`. The space is not
/// among them because [`url`] writes it as `+`.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

/// A name as AWS writes it into a listing under `encoding-type=url`.
pub(super) fn url(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string().replace(' ', "+")
}

/// The token that continues after a name. Base64, as on AWS: a client must escape `+`, `/` and `=`.
pub(super) fn token_after(name: &str) -> String {
    STANDARD.encode(name)
}

/// The name in a token; `None` if this server did not make the token.
pub(super) fn name_of(token: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(token).ok()?).ok()
}
