//! The output of the demo: sections and aligned rows, without escape codes.

use std::io::Write;

use serde_json::{Map, Value};

/// Longest line, in characters; longer ones are cut.
const LINE: usize = 110;

/// Prints a line. If the reader has closed the pipe, the line is dropped.
pub(super) fn print_line(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Prints the title of a section.
pub(super) fn section(title: &str) {
    print_line(&format!("\n== {title}"));
}

/// Prints a label and a text.
pub(super) fn row(label: &str, text: &str) {
    print_line(&shortened(&format!("   {label:<22} {text}"), LINE));
}

/// Prints a command as a user would type it.
pub(super) fn command(arguments: &[String]) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,".contains(c);
    let words: Vec<String> = arguments
        .iter()
        .map(
            |word| if word.chars().all(is_plain) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) },
        )
        .collect();
    print_line(&shortened(&format!("   $ longshore {}", words.join(" ")), 2 * LINE));
}

/// Prints a JSON object without empty fields, down to two levels with one field per line.
pub(super) fn document(value: &Value) {
    let mut left_out = 0;
    let mut text = String::new();
    lay_out(&filled(value, &mut left_out), 2, "   ", &mut text);
    for line in text.lines() {
        print_line(&shortened(&format!("   {line}"), LINE));
    }
    print_line(&format!("   ({left_out} empty fields omitted)"));
}

/// Writes objects down to `depth` with one field per line, and all else in one line.
fn lay_out(value: &Value, depth: usize, indent: &str, text: &mut String) {
    let (Value::Object(fields), 1..) = (value, depth) else {
        text.push_str(&value.to_string());
        return;
    };
    text.push('{');
    for (position, (name, value)) in fields.iter().enumerate() {
        text.push_str(if position == 0 { "\n" } else { ",\n" });
        text.push_str(&format!("{indent}{}: ", Value::from(name.as_str())));
        lay_out(value, depth - 1, &format!("{indent}   "), text);
    }
    text.push_str(&format!("\n{}}}", indent.strip_suffix("   ").unwrap_or_default()));
}

/// The value without fields that are null, false, zero or empty; adds their number to `left_out`.
fn filled(value: &Value, left_out: &mut usize) -> Value {
    match value {
        Value::Object(fields) => {
            let mut rest = Map::new();
            for (name, value) in fields {
                if is_empty(value) {
                    *left_out += 1;
                } else {
                    rest.insert(name.clone(), filled(value, left_out));
                }
            }
            Value::Object(rest)
        }
        Value::Array(items) => items.iter().map(|item| filled(item, left_out)).collect(),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn shortened(line: &str, length: usize) -> String {
    if line.chars().count() <= length {
        return line.to_owned();
    }
    line.chars().take(length - 1).chain(['…']).collect()
}

/// A number with commas between thousands.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_grouped_and_lines_shortened() {
        assert_eq!([0, 12, 999, 1_000, 12_345_678].map(grouped), ["0", "12", "999", "1,000", "12,345,678"]);
        assert_eq!([shortened("abcd", 4), shortened("abcde", 4)], ["abcd", "abc…"]);
    }

    #[test]
    fn a_document_is_printed_two_levels_deep() {
        let mut text = String::new();
        lay_out(&json!({"a": 1, "b": {"c": {"d": [2]}, "e": "x"}}), 2, "   ", &mut text);
        let lines =
            ["{", "   \"a\": 1,", "   \"b\": {", "      \"c\": {\"d\":[2]},", "      \"e\": \"x\"", "   }", "}"];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn empty_fields_are_omitted_and_counted() {
        let mut left_out = 0;
        let filled = filled(&json!({"a": null, "b": {"c": [], "d": 1}, "e": [{"f": ""}], "g": false}), &mut left_out);
        assert_eq!((filled, left_out), (json!({"b": {"d": 1}, "e": [{}]}), 4));
    }
}
