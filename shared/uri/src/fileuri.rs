//! The query parameter `fileuri`: a URI in base64, as the host writes it.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use percent_encoding::percent_decode_str;

use super::ObjectUri;

/// Some clients omit padding, and some send too much.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Encodes a URI as the value of `fileuri`.
pub fn encode_fileuri(uri: &str) -> String {
    general_purpose::URL_SAFE.encode(uri)
}

/// The URI in a value of `fileuri`; `None` if it has none.
///
/// Accepts both base64 alphabets, with or without padding, and also an unencoded or percent-encoded URI, which older
/// clients send.
pub fn decode_fileuri(value: &str) -> Option<String> {
    let is_uri = |text: &String| ObjectUri::parse(text).is_some();
    let plain = || Some(value.to_owned()).filter(is_uri);
    let encoded = || percent_decode_str(value).decode_utf8().ok().map(std::borrow::Cow::into_owned).filter(is_uri);
    plain().or_else(|| base64(value).filter(is_uri)).or_else(encoded)
}

fn base64(value: &str) -> Option<String> {
    // Decoding a query turns `+` into a space.
    let value = value.trim_end_matches('=').replace(' ', "+");
    let alphabet = if value.contains(['+', '/']) { &STANDARD } else { &URL_SAFE };
    String::from_utf8(GeneralPurpose::new(alphabet, LENIENT).decode(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_clients_send_is_read() {
        let uri = "s3://b/k>>>???/é";
        let (safe, standard) = (encode_fileuri(uri), general_purpose::STANDARD.encode(uri));
        assert!(safe.contains('_') && standard.contains('/'), "{safe} {standard}");
        let percent = "s3%3A%2F%2Fb%2Fk%3E%3E%3E%3F%3F%3F%2F%C3%A9";
        for value in [&safe, safe.trim_end_matches('='), &standard, &standard.replace('+', " "), uri, percent] {
            assert_eq!(decode_fileuri(value).as_deref(), Some(uri), "{value}");
        }
        assert_eq!(decode_fileuri(&format!("{safe}==")).as_deref(), Some(uri));
    }

    #[test]
    fn a_key_that_looks_encoded_stays_as_it_is() {
        for uri in ["s3://b/a%20b", "s3://b/a+b c", "/data/local-files/?d=a%20b"] {
            assert_eq!(decode_fileuri(&encode_fileuri(uri)).as_deref(), Some(uri));
            assert_eq!(decode_fileuri(uri).as_deref(), Some(uri));
        }
    }

    #[test]
    fn a_value_without_an_object_uri_is_none() {
        for value in ["", "=", "aGVsbG8=", "http://x/y", "/w==", "s3%3A%2F%2Fb", "%ff", "é"] {
            assert_eq!(decode_fileuri(value), None, "{value}");
        }
    }
}
