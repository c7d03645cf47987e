//! JSON values as Python's `str` shows them, and texts as its `strip` cuts them: Label Studio stores some of them so.

use std::collections::HashMap;

use crate::json_parts::{each_element, each_member};

/// A value of checked JSON as text: strings as they are, numbers with a decimal point in their shortest form, and strings
/// inside of lists and objects in quotes.
pub fn text(json: &str) -> String {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()),
        Some(b'-' | b'0'..=b'9') => number(json),
        Some(b't') => "True".to_owned(),
        Some(b'f') => "False".to_owned(),
        Some(b'n') => "None".to_owned(),
        Some(b'[') => list(json),
        Some(b'{') => object(json),
        _ => json.to_owned(),
    }
}

/// A text without blanks around it.
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// A text without blanks before it.
pub fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

/// A text without blanks after it.
pub fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_blank)
}

/// Whether Python takes a letter for a blank: four separators of ASCII, too.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\x1c'..='\x1f')
}

/// The same inside of a list or an object.
fn inner(json: &str) -> String {
    if json.starts_with('"') { quoted(&text(json)) } else { text(json) }
}

fn list(json: &str) -> String {
    let mut parts = Vec::new();
    let walked = each_element(json, |element| {
        parts.push(inner(element));
        true
    });
    if walked.is_ok() { format!("[{}]", parts.join(", ")) } else { json.to_owned() }
}

/// The last of repeated members counts, at the place of the first.
fn object(json: &str) -> String {
    let (mut values, mut places) = (Vec::new(), HashMap::new());
    let walked = each_member(json, |name, value| {
        let place = *places.entry(name.to_owned()).or_insert(values.len());
        match values.get_mut(place) {
            Some((_, known)) => *known = value,
            None => values.push((quoted(name), value)),
        }
    });
    let parts: Vec<String> = values.iter().map(|(name, value)| format!("{name}: {}", inner(value))).collect();
    if walked.is_ok() { format!("{{{}}}", parts.join(", ")) } else { json.to_owned() }
}

/// A text in quotes, as Python's `repr` shows it, but for letters that cannot be printed beyond ASCII.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for letter in text.chars() {
        match letter {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            letter if letter == quote => shown.extend(['\\', letter]),
            letter if letter.is_ascii_control() => shown.push_str(&format!("\\x{:02x}", u32::from(letter))),
            letter => shown.push(letter),
        }
    }
    shown.push(quote);
    shown
}

/// A number: whole ones with all digits, others as doubles in the shortest form.
fn number(json: &str) -> String {
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
            assert_eq!(text(json), shown, "{json}");
        }
        assert_eq!(["true", "null", r#""a\u0062""#].map(text), ["True", "None", "ab"]);
    }

    #[test]
    fn the_separators_of_ascii_are_blanks() {
        assert_eq!(trim("\u{1f}\u{a0}\tv \u{1c}w\u{2003}\n"), "v \u{1c}w");
        assert_eq!((trim_start(" v "), trim_end(" v ")), ("v ", " v"));
        assert_eq!(trim("\u{200b}"), "\u{200b}");
    }

    #[test]
    fn lists_and_objects_look_as_in_python() {
        for (json, shown) in [
            ("[]", "[]"),
            (r#"[1,"a", null,[true]]"#, "[1, 'a', None, [True]]"),
            (r#"{"a":1.0,"b":{},"a":"x"}"#, "{'a': 'x', 'b': {}}"),
            (r#"["it's", "\"", "'\"", "\\\n\u0001é"]"#, r#"["it's", '"', '\'"', '\\\n\x01é']"#),
        ] {
            assert_eq!(text(json), shown, "{json}");
        }
    }
}
