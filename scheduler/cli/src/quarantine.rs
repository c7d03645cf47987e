//! `longshore quarantine`.

use clap::{Args, Subcommand};
use longshore_model::QuarantineReason;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Result;
use crate::show::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists quarantined objects, newest first.
    List(List),
    /// Lets the next sync try again.
    Replay(Decide),
    /// Gives objects up: no sync tries them again unless they change.
    Discard(Decide),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only rows with a smaller id: the next page.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Decide {
    /// Ids as `quarantine list` shows them.
    #[arg(conflicts_with = "storage")]
    ids: Vec<i64>,
    /// All open rows of this storage.
    #[arg(long, value_name = "ID")]
    storage: Option<i64>,
    /// Only those with this reason.
    #[arg(long, requires = "storage")]
    reason: Option<QuarantineReason>,
}

#[derive(Debug, Default, Args)]
struct Filter {
    #[arg(long, value_name = "ID")]
    project: Option<i64>,
    #[arg(long, value_name = "ID")]
    storage: Option<i64>,
    #[arg(long, value_name = "ID")]
    sync: Option<i64>,
    #[arg(long, value_parser = ["open", "replay", "discarded"])]
    state: Option<String>,
    /// A reason, such as `invalid_json`.
    #[arg(long)]
    reason: Option<QuarantineReason>,
}

impl Filter {
    /// What was given, under the API's names.
    fn query(&self) -> Vec<(&'static str, String)> {
        let ids = [("project", self.project), ("storage", self.storage), ("sync", self.sync)];
        let ids = ids.into_iter().filter_map(|(name, id)| Some((name, id?.to_string())));
        let state = self.state.clone().map(|state| ("state", state));
        let reason = self.reason.map(|reason| ("reason", reason.to_string()));
        ids.chain(state).chain(reason).collect()
    }
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        match self {
            Self::List(list) => {
                let mut query = list.filter.query();
                query.push(("limit", list.limit.to_string()));
                query.extend(list.before.map(|before| ("before", before.to_string())));
                let columns = [
                    ("ID", "/id"),
                    ("STORAGE", "/storage"),
                    ("SYNC", "/sync"),
                    ("STATE", "/state"),
                    ("REASON", "/reason"),
                    ("KEY", "/key"),
                    ("DETAIL", "/detail"),
                ];
                output.list(&client.get("/api/quarantine", &query).await?, &columns);
                Ok(())
            }
            Self::Replay(decide) => decide.run("replay", client, output).await,
            Self::Discard(decide) => decide.run("discard", client, output).await,
        }
    }
}

impl Decide {
    async fn run(self, what: &str, client: &Client, output: Output) -> Result<()> {
        if let Some(body) = self.body() {
            output.fields(&client.post(&format!("/api/quarantine/{what}"), &body).await?);
        }
        for id in self.ids {
            output.fields(&client.post(&format!("/api/quarantine/{id}/{what}"), &json!({})).await?);
        }
        Ok(())
    }

    /// The body of a decision about a storage's rows; `None` where single rows are named.
    fn body(&self) -> Option<Value> {
        let mut body = json!({"storage": self.storage?});
        if let Some(reason) = self.reason {
            body["reason"] = reason.as_str().into();
        }
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_says_only_what_was_given() {
        let filter = Filter { storage: Some(3), reason: Some(QuarantineReason::Empty), ..Filter::default() };
        assert_eq!(filter.query(), [("storage", "3".to_owned()), ("reason", "empty".to_owned())]);
        assert!(Filter::default().query().is_empty());
    }

    #[test]
    fn a_decision_is_about_a_storage_or_about_rows() {
        let mut decide = Decide { ids: Vec::new(), storage: Some(3), reason: None };
        assert_eq!(decide.body(), Some(json!({"storage": 3})));
        decide.reason = Some(QuarantineReason::NotUtf8);
        assert_eq!(decide.body(), Some(json!({"storage": 3, "reason": "not_utf8"})));
        assert_eq!(Decide { ids: vec![1], storage: None, reason: None }.body(), None);
    }
}
