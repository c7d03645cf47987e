//! Forms in parts (`multipart/form-data`), as `curl -F` and browsers send them.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::unreadable;
use crate::api::error::ApiError;

/// The most fields in one request. A storage has about 40.
pub(super) const MOST_FIELDS: usize = 256;

/// The longest head of a part in bytes. Clients send up to 200.
const LONGEST_HEAD: usize = 4096;

/// The boundary among the parameters of the media type.
pub(super) fn boundary(parameters: &str) -> Option<String> {
    let mut named = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let (_, value) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let value = value.trim().trim_matches('"');
    (!value.is_empty() && value.len() <= 70).then(|| value.to_owned())
}

/// The parts of a form as texts, by name. A part with a file counts as the text of the file.
///
/// # Errors
/// The form is cut off, has too many parts, or one that is not text.
pub(super) fn fields(bytes: &[u8], boundary: &str) -> Result<Map<String, Value>, ApiError> {
    let wrong = |what: &str| unreadable(StatusCode::BAD_REQUEST, format!("Failed to parse the form: {what}."));
    let first = format!("--{boundary}").into_bytes();
    let between = [b"\r\n", &first[..]].concat();
    let mut rest = bytes.strip_prefix(&first[..]).ok_or_else(|| wrong("it does not begin with its boundary"))?;
    let mut fields = Map::new();
    while !rest.starts_with(b"--") {
        let part = rest.strip_prefix(b"\r\n").ok_or_else(|| wrong("a part does not begin with a line"))?;
        let head_length = find(&part[..part.len().min(LONGEST_HEAD)], b"\r\n\r\n");
        let head_length = head_length.ok_or_else(|| wrong("a part has no end of its head"))?;
        let (head, content) = part.split_at(head_length);
        let content = &content[4..];
        let length = find(content, &between).ok_or_else(|| wrong("it is cut off"))?;
        let name = name(head).ok_or_else(|| wrong("a part has no name"))?;
        let text = std::str::from_utf8(&content[..length]).map_err(|_| wrong("a part is not UTF-8"))?;
        fields.insert(name, text.into());
        if fields.len() > MOST_FIELDS {
            return Err(wrong("it has too many parts"));
        }
        rest = &content[length + between.len()..];
    }
    Ok(fields)
}

/// The name in the head of a part: `Content-Disposition: form-data; name="bucket"`.
fn name(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let line = head.split("\r\n").find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let mut parameters = line.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.eq_ignore_ascii_case("name"))?;
    Some(value.trim_matches('"').to_owned())
}

/// Where the wanted bytes begin. Each byte is compared with the start of the wanted ones, so the time is linear for texts that
/// rarely begin like them.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_fields_and_files_their_text() {
        let form = "--b1\r\nContent-Disposition: form-data; name=\"bucket\"\r\n\r\npets\r\n--b1\r\n\
                    content-disposition: form-data; name=\"key\"; filename=\"k.json\"\r\nContent-Type: application/json\r\n\
                    \r\n{\"a\":\r\n1}\r\n--b1--\r\n";
        let fields = fields(form.as_bytes(), "b1").unwrap();
        assert_eq!(Value::Object(fields), serde_json::json!({"bucket": "pets", "key": "{\"a\":\r\n1}"}));
        assert_eq!(boundary(" charset=utf-8; Boundary=b1"), Some("b1".to_owned()));
    }

    #[test]
    fn a_damaged_form_is_refused() {
        for form in [
            "",
            "--b1",
            "--b1\r\n",
            "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx",
            "--b1\r\nX: y\r\n\r\nx\r\n--b1--",
        ] {
            assert!(fields(form.as_bytes(), "b1").is_err(), "{form:?}");
        }
        let many: String = (0..300)
            .map(|n| format!("--b\r\nContent-Disposition: form-data; name=\"{n}\"\r\n\r\n\r\n"))
            .chain(["--b--".to_owned()])
            .collect();
        assert!(fields(many.as_bytes(), "b").is_err());
    }
}
