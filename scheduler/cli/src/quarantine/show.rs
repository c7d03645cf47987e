//! `longshore quarantine show`: one object, or all of them by reason.

use clap::Args;
use serde_json::{Value, json};

use super::Filter;
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::show::{Output, rows, table};
use crate::text::{escaped, grouped};

/// Most rows that are read to count reasons: a few seconds. The newest ones show what is wrong.
const MOST_ROWS: usize = 20_000;

/// Rows of one request, the most that the API returns.
const PAGE: &str = "1000";

/// Examples of each reason.
const EXAMPLES: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// ID from `quarantine list`. Without it, objects are counted by reason.
    #[arg(conflicts_with_all = ["project", "storage", "sync", "state", "reason"])]
    id: Option<i64>,
    #[command(flatten)]
    filter: Filter,
}

impl Show {
    pub(super) async fn run(self, client: &Client, output: Output) -> Result<()> {
        match self.id {
            Some(id) => {
                // The newest row before the next ID is this one, if it exists.
                let query = [("before", id.saturating_add(1).to_string()), ("limit", "1".to_owned())];
                let answer = client.get("/api/quarantine", &query).await?;
                let row = rows(&answer).first().filter(|row| row["id"] == id);
                let missing = || CliError::NotQuarantined { id };
                output.fields(row.ok_or_else(missing)?);
            }
            None => {
                let answer = self.groups(client).await?;
                output.one(&answer, text);
            }
        }
        Ok(())
    }

    /// Counts rows by reason, newest first. Bounded: `complete` is false if there are more rows.
    async fn groups(&self, client: &Client) -> Result<Value> {
        let mut query = self.filter.query(client).await?;
        query.push(("limit", PAGE.to_owned()));
        let (mut groups, mut count) = (Vec::new(), 0);
        let mut next = None;
        loop {
            let mut query = query.clone();
            query.extend(next.map(|id: i64| ("before", id.to_string())));
            let answer = client.get("/api/quarantine", &query).await?;
            let page = rows(&answer);
            page.iter().for_each(|row| add(&mut groups, row));
            count += page.len();
            next = answer["next_before"].as_i64();
            if next.is_none() || page.is_empty() || count >= MOST_ROWS {
                groups.sort_by_key(|group: &Value| std::cmp::Reverse(group["count"].as_u64()));
                return Ok(json!({"reasons": groups, "count": count, "complete": next.is_none()}));
            }
        }
    }
}

/// Adds a row to the group of its reason and state.
fn add(groups: &mut Vec<Value>, row: &Value) {
    let is_same = |group: &&mut Value| group["reason"] == row["reason"] && group["state"] == row["state"];
    if let Some(group) = groups.iter_mut().find(is_same) {
        group["count"] = json!(group["count"].as_u64().unwrap_or_default() + 1);
        if let Some(examples) = group["examples"].as_array_mut().filter(|examples| examples.len() < EXAMPLES) {
            examples.push(row["key"].clone());
        }
        return;
    }
    groups.push(json!({
        "reason": row["reason"], "state": row["state"], "count": 1, "examples": [row["key"]], "detail": row["detail"],
    }));
}

fn text(answer: &Value) -> String {
    let groups = rows(&answer["reasons"]);
    let mut text = table(groups, &[("REASON", "/reason"), ("STATE", "/state"), ("OBJECTS", "/count")]);
    for group in groups {
        let word = |name: &str| escaped(group[name].as_str().unwrap_or_default());
        text.push_str(&format!("\n\n{}: {}", word("reason"), word("detail")));
        for key in rows(&group["examples"]) {
            text.push_str(&format!("\n  {}", escaped(key.as_str().unwrap_or_default())));
        }
    }
    if answer["complete"] == false {
        let count = grouped(answer["count"].as_u64().unwrap_or_default());
        text.push_str(&format!(
            "\n\nThese are the newest {count} objects; there are more. Narrow with --storage or --sync."
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_by_reason_with_a_few_examples() {
        let mut groups = Vec::new();
        for n in 0..5 {
            let detail = format!("byte {n}");
            add(
                &mut groups,
                &json!({"key": format!("{n}\u{1b}"), "reason": "empty", "state": "open", "detail": detail}),
            );
        }
        add(&mut groups, &json!({"key": "z", "reason": "not_utf8", "state": "open", "detail": "d"}));
        let shown = text(&json!({"reasons": groups, "count": 6, "complete": false}));
        let expected = "REASON    STATE  OBJECTS\nempty     open         5\nnot_utf8  open         1\n\n\
                        empty: byte 0\n  0\\u{1b}\n  1\\u{1b}\n  2\\u{1b}\n\nnot_utf8: d\n  z\n\n\
                        These are the newest 6 objects; there are more. Narrow with --storage or --sync.";
        assert_eq!(shown, expected);
        assert_eq!(text(&json!({"reasons": [], "count": 0, "complete": true})), "(none)");
    }
}
