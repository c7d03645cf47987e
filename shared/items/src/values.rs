//! Values of members, from their checked JSON texts.

/// The member, unless it is missing or null.
pub(super) fn given(member: Option<&str>) -> Option<&str> {
    member.filter(|json| *json != "null")
}

/// Whether labels are empty: the host treats all values as empty that are false in Python.
pub(super) fn is_blank(json: &str) -> bool {
    let blank_inside = |open, close| {
        json.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).is_some_and(|inside| inside.trim().is_empty())
    };
    let is_zero = || json.parse() == Ok(0.0);
    matches!(json, "null" | "false" | "\"\"") || blank_inside('[', ']') || blank_inside('{', '}') || is_zero()
}

/// A text; a number is accepted too, in its original spelling.
pub(super) fn version(member: Option<&str>) -> Result<Option<String>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map(Some).map_err(|_| json),
        Some(b'-' | b'0'..=b'9') => Ok(Some(json.to_owned())),
        _ => Err(json),
    }
}
