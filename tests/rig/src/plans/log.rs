//! Plans as the server writes them into its log.

use anyhow::{Context, Result};
use serde_json::Value;

/// A statement that was run, and how.
#[derive(Debug, Clone)]
pub(super) struct Explained {
    pub(super) query: String,
    /// Pages of tables and indexes touched, in memory or not.
    pub(super) pages: u64,
    /// Rows that scans went through, those included that a filter threw away.
    pub(super) rows: u64,
    /// Tables read from end to end.
    pub(super) read_whole: Vec<String>,
    /// Scans, as the plan names them.
    pub(super) nodes: Vec<String>,
}

/// Reads every plan of a part of the log.
pub(super) fn read(log: &str) -> Result<Vec<Explained>> {
    let mut plans = Vec::new();
    let mut lines = log.lines();
    while let Some(line) = lines.next() {
        if !line.ends_with("plan:") {
            continue;
        }
        // What goes on over several lines is indented.
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
        let mut explained = Explained {
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

impl Explained {
    fn walk(&mut self, node: &Value) {
        let text = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
        let kind = text("Node Type");
        let number = |name: &str| node[name].as_f64().unwrap_or_default();
        // A branch that was not entered touched nothing.
        let loops = number("Actual Loops");
        let entered = loops > 0.0;
        if kind.ends_with("Scan") && !node["Relation Name"].is_null() {
            let rows =
                number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
            self.rows += (rows * loops) as u64;
        }
        if entered && kind.ends_with("Seq Scan") {
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
