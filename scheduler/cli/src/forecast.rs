//! What a sync would do, as the API says it when a storage is saved or validated, or in a dry run.

use serde_json::{Value, json};

use crate::client::Client;
use crate::error::{Result, field_and_option};
use crate::show::{Output, event, note, rows};
use crate::text::{counted, escaped, grouped};

/// The query of a request that saves or validates a storage.
pub(crate) const fn query(is_strict: bool) -> &'static str {
    if is_strict { "?strict=true" } else { "" }
}

/// Prints a saved storage: its fields, then what a sync would do and the warnings, to standard error.
pub(crate) fn print_saved(answer: &Value, output: Output) {
    let mut storage = answer.clone();
    if !output.json
        && let Some(fields) = storage.as_object_mut()
    {
        fields.remove("report");
        fields.remove("warnings");
    }
    output.fields(&storage);
    if !output.json {
        print_notes(answer);
    }
}

/// Prints the result of a validation.
pub(crate) fn print_validated(answer: &Value, output: Output) {
    output.one(answer, |_| "The connection works.".to_owned());
    if !output.json {
        print_notes(answer);
    }
}

/// Judges all keys of a storage as a sync would, and prints the counts so far and the result.
pub(crate) async fn dry_run(client: &Client, path: &str, output: Output) -> Result<()> {
    let mut last = Value::Null;
    client
        .post_for_events(&format!("{path}/dry-run"), |line| {
            if line["done"] != true && output.json {
                let (looked_at, matched) = (&line["looked_at"], &line["matched"]);
                event(&json!({"event": "progress", "looked_at": looked_at, "matched": matched}));
            } else if line["done"] != true {
                note(&format!("{} keys, {} match", number(&line["looked_at"]), number(&line["matched"])));
            }
            last = line;
        })
        .await?;
    if last["done"] != true {
        return Err(client.not_longshore());
    }
    let forecast = last["forecast"].clone();
    output.one(&last, |_| summary(&forecast["report"]).join("\n"));
    if !output.json {
        print_warnings(&forecast);
    }
    Ok(())
}

fn print_notes(answer: &Value) {
    for line in summary(&answer["report"]) {
        note(&line);
    }
    print_warnings(answer);
}

fn print_warnings(answer: &Value) {
    for warning in rows(&answer["warnings"]) {
        let text = |name: &str| escaped(warning[name].as_str().unwrap_or_default());
        let option = warning["field"].as_str().map(|field| format!(" field: {}", field_and_option(field)));
        note(&format!("warning: {} [{}]{}", text("detail"), text("code"), option.unwrap_or_default()));
    }
}

/// A report in lines; none if there is no report.
fn summary(report: &Value) -> Vec<String> {
    let Some(looked_at) = report["looked_at"].as_u64() else { return Vec::new() };
    let all = if report["complete"] == true { "all" } else { "the first" };
    let refused: u64 = rows(&report["refused"]).iter().filter_map(|group| group["keys"].as_u64()).sum();
    let taken = report["matched"].as_u64().unwrap_or_default().saturating_sub(refused);
    let mut lines = vec![match looked_at {
        0 => "A sync would take nothing: no key is there.".to_owned(),
        _ => format!("A sync would take {} of {all} {}.", grouped(taken), counted(looked_at, "key")),
    }];
    for (list, what) in [("skipped", "skipped"), ("refused", "quarantined")] {
        for group in rows(&report[list]) {
            let examples: Vec<String> =
                rows(&group["examples"]).iter().map(|key| escaped(key.as_str().unwrap_or_default())).collect();
            lines.push(format!(
                "  {what}: {} by {}, such as {}",
                number(&group["keys"]),
                escaped(group["rule"].as_str().unwrap_or_default()),
                examples.join(", ")
            ));
        }
    }
    if !report["first_task"].is_null() {
        lines.push(format!("  first task: {}", escaped(&report["first_task"].to_string())));
    }
    lines.extend(report["first_object"]["detail"].as_str().map(|detail| {
        let key = report["first_object"]["key"].as_str().unwrap_or_default();
        format!("  first object: {}: {}", escaped(key), escaped(detail))
    }));
    lines.extend(report["error"].as_str().map(|error| format!("  not complete: {}", escaped(error))));
    lines
}

fn number(value: &Value) -> String {
    grouped(value.as_u64().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_line_and_one_for_each_rule() {
        let report = json!({
            "looked_at": 1200, "complete": false, "matched": 2, "refused": [], "error": null, "first_task": {"data": {}},
            "skipped": [{"rule": "regex", "keys": 1198, "examples": ["a\u{1b}", "b"]}],
            "first_object": {"key": "k", "detail": null},
        });
        assert_eq!(
            summary(&report),
            [
                "A sync would take 2 of the first 1,200 keys.",
                "  skipped: 1,198 by regex, such as a\\u{1b}, b",
                "  first task: {\"data\":{}}",
            ]
        );
        assert!(summary(&Value::Null).is_empty(), "an export has none");
    }
}
