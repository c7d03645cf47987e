//! Values of members, from their checked JSON texts.

use super::members::{is_object, members};

/// The member, unless it is missing or null.
pub(super) fn given(member: Option<&str>) -> Option<&str> {
    member.filter(|json| *json != "null")
}

/// Whether labels are empty: the host treats all values as empty that are false in Python.
pub(super) fn is_blank(json: &str) -> bool {
    let blank_inside = |open, close| {
        json.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).is_some_and(|inside| inside.trim().is_empty())
    };
    matches!(json, "null" | "false" | "0" | "\"\"") || blank_inside('[', ']') || blank_inside('{', '}')
}

pub(super) fn boolean(member: Option<&str>) -> Result<bool, &str> {
    match given(member) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(other),
    }
}

pub(super) fn number(member: Option<&str>) -> Result<Option<f64>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let parsed = json.parse().ok().filter(|number: &f64| number.is_finite());
    parsed.map(Some).ok_or(json)
}

/// A user's ID, alone or in the object that the host exports.
pub(super) fn user(member: Option<&str>) -> Result<Option<i64>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let id = if is_object(json) { members(json, ["id"]).ok().and_then(|[id]| id) } else { Some(json) };
    id.and_then(|id| id.parse().ok()).map(Some).ok_or(json)
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

/// A value as Python's `str` shows it: texts as they are, numbers with a decimal point in their shortest form.
pub(super) fn python_text(json: &str) -> String {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()),
        Some(b'-' | b'0'..=b'9') => python_number(json),
        Some(b't') => "True".to_owned(),
        Some(b'f') => "False".to_owned(),
        Some(b'n') => "None".to_owned(),
        _ => json.to_owned(),
    }
}

/// A number as Python shows it: whole ones with all digits, others as doubles in the shortest form.
fn python_number(json: &str) -> String {
    if !json.contains(['.', 'e', 'E']) {
        return if json == "-0" { "0".to_owned() } else { json.to_owned() };
    }
    let Some(number) = json.parse::<f64>().ok().filter(|number| number.is_finite()) else { return json.to_owned() };
    // Rust prints the same shortest digits, with another form of the exponent.
    let scientific = format!("{number:e}");
    let exponent = scientific.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse().ok()?)));
    match exponent {
        Some((digits, exponent @ (..-4 | 16..))) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", i32::abs(exponent))
        }
        _ => format!("{number:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_python() {
        for (json, shown) in [
            ("7", "7"),
            ("-0", "0"),
            ("123456789012345678901", "123456789012345678901"),
            ("1.10", "1.1"),
            ("1E2", "100.0"),
            ("0.1234567890123456789", "0.12345678901234568"),
            ("1e16", "1e+16"),
            ("123456789012345.5", "123456789012345.5"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("-1.5e-7", "-1.5e-07"),
            ("1e100", "1e+100"),
            ("-0.0", "-0.0"),
        ] {
            assert_eq!(python_text(json), shown, "{json}");
        }
        assert_eq!(["true", "null", r#""a\u0062""#].map(python_text), ["True", "None", "ab"]);
    }
}
