//! `longshore doctor`: runs all checks of a storage.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Result;
use crate::exit::Exit;
use crate::find;
use crate::named::Named;
use crate::show::Output;
use crate::text::escaped;

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    which: Which,
    /// Site whose pages load presigned URLs. Checks CORS as their browsers do.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
}

/// The storage: as an argument, or as an option.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// ID or title of an import or export storage.
    #[arg(value_name = "STORAGE")]
    named: Option<Named>,
    /// The same as an option.
    #[arg(long = "storage", value_name = "STORAGE")]
    option: Option<Named>,
}

impl Doctor {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<ExitCode> {
        // The command line requires one of them.
        let Some(name) = self.which.named.or(self.which.option) else { return Ok(ExitCode::from(Exit::Usage)) };
        let found = find::find(client, &name).await?;
        let answer = client.post(&format!("{}/doctor", found.path), &json!({"origin": self.origin})).await?;
        let is_ok = answer["ok"].as_bool().ok_or_else(|| client.not_longshore())?;
        output.one(&answer, |answer| text(found.id, answer));
        Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// One line per check. Below a failed one, what to do and text to paste.
fn text(id: i64, answer: &Value) -> String {
    let word = |value: &Value| escaped(value.as_str().unwrap_or_default());
    let mut lines = vec![format!("Storage {id}: {} {}", word(&answer["kind"]), word(&answer["direction"]))];
    for step in answer["steps"].as_array().into_iter().flatten() {
        let result = match (step["code"].as_str(), step["note"].as_str()) {
            (Some(code), _) => format!("[{}] {}", escaped(code), word(&step["advice"])),
            (None, note) => escaped(note.unwrap_or_default()),
        };
        lines.push(
            format!("{:<7}  {:<11}  {result}", word(&step["outcome"]), word(&step["step"])).trim_end().to_owned(),
        );
        for snippet in step["snippets"].as_array().into_iter().flatten() {
            lines.push(String::new());
            lines.push(format!("    {}:", word(&snippet["title"])));
            let text = snippet["text"].as_str().unwrap_or_default();
            lines.extend(text.lines().map(|line| format!("      {}", escaped(line))));
            lines.push(String::new());
        }
    }
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_a_failed_one_has_advice_and_text_to_paste() {
        let answer = json!({"kind": "s3", "direction": "import", "ok": false, "steps": [
            {"step": "resolve", "outcome": "ok", "note": "h is known", "code": null, "advice": null, "snippets": []},
            {"step": "list", "outcome": "failed", "note": null, "code": "access_denied", "advice": "Grant LIST.",
             "snippets": [{"title": "IAM policy", "text": "{\n  \u{1b}[31m\n}"}]},
            {"step": "get", "outcome": "skipped", "note": "a step before it has failed", "snippets": []},
        ]});
        let expected = "Storage 7: s3 import\n\
                        ok       resolve      h is known\n\
                        failed   list         [access_denied] Grant LIST.\n\n    IAM policy:\n      {\n        \\u{1b}[31m\n      }\n\n\
                        skipped  get          a step before it has failed";
        assert_eq!(text(7, &answer), expected);
    }
}
