//! Prints results: tables and fields for users, or JSON. It never prints colors or escape codes.
//!
//! All that is printed goes through this file, which escapes what a terminal would read as a command or show in another
//! order. Texts in cells are escaped before, also their line breaks.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::Value;

use crate::error::CliError;
use crate::text::{escaped, safe_json, safe_lines};

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Whether to print results, progress and errors as JSON, one value per line.
    pub(crate) json: bool,
}

impl Output {
    /// Prints one answer, as JSON or as the text that `text` makes of it.
    pub(crate) fn one(self, answer: &Value, text: impl FnOnce(&Value) -> String) {
        if self.json {
            line(&safe_json(&answer.to_string()));
        } else {
            line(&safe_lines(&text(answer)));
        }
    }

    /// Prints a list of rows as a table. Each column is a heading and the JSON pointer of a field.
    pub(crate) fn list(self, answer: &Value, columns: &[(&str, &str)]) {
        self.one(answer, |answer| {
            let mut text = table(rows(answer), columns);
            for (field, flag) in [("next_before", "--before"), ("next_after", "--after"), ("next_skip", "--skip")] {
                if let Some(next) = answer[field].as_i64() {
                    text.push_str(&format!("\nFor the next page, add {flag} {next}"));
                }
            }
            text
        });
    }

    /// Prints one object, one line per field.
    pub(crate) fn fields(self, answer: &Value) {
        self.one(answer, fields);
    }
}

/// Prints lines to standard output, as one of several results.
pub(crate) fn print(text: &str) {
    line(&safe_lines(text));
}

/// Prints a line to standard output. Ignores errors: the reader of a pipe may have closed it.
fn line(text: &str) {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Prints an event as one line of JSON to standard error.
#[expect(clippy::print_stderr, reason = "this command prints to terminals and pipes")]
pub(crate) fn event(event: &Value) {
    eprintln!("{}", safe_json(&event.to_string()));
}

/// Prints an error and its cause to standard error.
#[expect(clippy::print_stderr, reason = "this command prints to terminals and pipes")]
pub(crate) fn print_error(error: &CliError, output: Output) {
    if output.json {
        return event(&error.to_json());
    }
    eprintln!("error: {}", safe_lines(&error.to_string()));
    if let Some(cause) = std::error::Error::source(error) {
        eprintln!("  {}", safe_lines(&cause.to_string()));
    }
}

/// Prints a line of progress to standard error.
#[expect(clippy::print_stderr, reason = "this command prints to terminals and pipes")]
pub(crate) fn note(text: &str) {
    eprintln!("{}", safe_lines(text));
}

/// The fields of answers that hold a list.
const LISTS: &[&str] = &["results", "syncs", "tasks", "quarantine", "audit", "dead_letters"];

/// The rows of a list: the answer itself, or a field of it.
pub(crate) fn rows(answer: &Value) -> &[Value] {
    let page = || LISTS.iter().find_map(|name| answer[name].as_array());
    answer.as_array().or_else(page).map_or(&[], Vec::as_slice)
}

/// The rows of a list that is a field of the answer, to change what is shown.
pub(crate) fn rows_mut(answer: &mut Value) -> &mut [Value] {
    if answer.is_array() {
        return answer.as_array_mut().map_or(&mut [], Vec::as_mut_slice);
    }
    match LISTS.iter().find(|name| answer[**name].is_array()) {
        Some(name) => answer[*name].as_array_mut().map_or(&mut [], Vec::as_mut_slice),
        None => &mut [],
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) => escaped(text),
        other => safe_json(&other.to_string()),
    }
}

pub(crate) fn table(rows: &[Value], columns: &[(&str, &str)]) -> String {
    if rows.is_empty() {
        return "(none)".to_owned();
    }
    let nothing = Value::Null;
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|(heading, _)| *heading));
    for row in rows {
        table.add_row(columns.iter().map(|(_, field)| cell(row.pointer(field).unwrap_or(&nothing))));
    }
    for (column, (_, field)) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if rows.iter().all(|row| row.pointer(field).is_some_and(Value::is_number)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn fields(object: &Value) -> String {
    let Some(object) = object.as_object() else { return cell(object) };
    let width = object.keys().map(String::len).max().unwrap_or_default();
    let lines: Vec<String> =
        object.iter().map(|(name, value)| format!("{:width$}  {}", escaped(name), cell(value))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_aligned_and_a_missing_field_is_a_dash() {
        let rows = [json!({"id": 7, "a": {"b": "x\ny"}}), json!({"id": 12, "a": {}})];
        let text = table(&rows, &[("ID", "/id"), ("KEY", "/a/b")]);
        assert_eq!(text, "ID  KEY\n 7  x\\ny\n12  -");
        let wide = [json!({"a": "画像", "b": "x"}), json!({"a": "cat", "b": "y"})];
        assert_eq!(table(&wide, &[("A", "/a"), ("B", "/b")]), "A     B\n画像  x\ncat   y");
        assert_eq!(table(&[], &[("ID", "/id")]), "(none)");
    }

    #[test]
    fn rows_are_the_answer_or_a_field_of_it() {
        assert_eq!(rows(&json!([1, 2])).len(), 2);
        assert_eq!(rows(&json!({"count": 3, "results": [1]})).len(), 1);
        assert!(rows(&json!({})).is_empty());
    }
}
