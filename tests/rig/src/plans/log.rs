//! Reads plans from the server's log.

use anyhow::{Context, Result};
use serde_json::Value;

/// A statement and its plan.
#[derive(Debug, Clone)]
pub(super) struct ExplainedStatement {
    pub(super) query: String,
    /// Pages of tables and indexes that it touched, in memory or on disk.
    pub(super) pages: u64,
    /// Rows that its scans read, including those that a filter removed.
    pub(super) rows: u64,
    /// Tables that it read completely.
    pub(super) read_whole: Vec<String>,
    /// Its scans, with the names in the plan.
    pub(super) nodes: Vec<String>,
}

/// Reads every plan in a part of the log.
pub(super) fn read(log: &str) -> Result<Vec<ExplainedStatement>> {
    let mut plans = Vec::new();
    let mut lines = log.lines();
    while let Some(line) = lines.next() {
        if !line.ends_with("plan:") {
            continue;
        }
        // The following lines of a log entry are indented.
        let mut text = String::new();
        for line in lines.by_ref() {
            let Some(line) = line.strip_prefix('\t') else { break };
            text.push_str(line);
            if line == "}" {
                break;
            }
        }
        let plan: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        let number = |name: &str| plan["Plan"][name].as_u64().unwrap_or_default();
        let mut explained = ExplainedStatement {
            query: plan["Query Text"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
            pages: number("Shared Hit Blocks") + number("Shared Read Blocks"),
            rows: 0,
            read_whole: Vec::new(),
            nodes: Vec::new(),
        };
        explained.walk(&plan["Plan"]);
        plans.push(explained);
    }
    Ok(plans)
}

impl ExplainedStatement {
    fn walk(&mut self, node: &Value) {
        let text = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
        let kind = text("Node Type");
        let number = |name: &str| node[name].as_f64().unwrap_or_default();
        // A branch that did not run read no rows.
        let loops = number("Actual Loops");
        let has_run = loops > 0.0;
        if kind.ends_with("Scan") && !node["Relation Name"].is_null() {
            let rows =
                number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
            self.rows += (rows * loops) as u64;
        }
        if has_run && kind.ends_with("Seq Scan") {
            self.read_whole.push(text("Relation Name"));
        }
        if kind.contains("Scan") && kind != "CTE Scan" {
            let on = if node["Index Name"].is_null() { text("Relation Name") } else { text("Index Name") };
            self.nodes.push(format!("{kind} {on}"));
        }
        for child in node["Plans"].as_array().into_iter().flatten() {
            self.walk(child);
        }
    }
}
