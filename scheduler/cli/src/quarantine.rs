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
    /// Starts syncs that try objects again.
    Replay(Decision),
    /// Gives up objects: no sync tries them again unless they change.
    Discard(Decision),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Show only rows with a smaller ID, to get the next page.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Decision {
    /// IDs from `quarantine list`.
    #[arg(conflicts_with = "storage")]
    ids: Vec<i64>,
    /// All objects of this storage in state `open`.
    #[arg(long, value_name = "ID")]
    storage: Option<i64>,
    /// Only objects with this reason.
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
    /// The filter as query parameters of the API.
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
            Self::Replay(decision) => decision.run("replay", client, output).await,
            Self::Discard(decision) => decision.run("discard", client, output).await,
        }
    }
}

impl Decision {
    async fn run(self, action: &str, client: &Client, output: Output) -> Result<()> {
        if let Some(body) = self.body() {
            output.fields(&client.post(&format!("/api/quarantine/{action}"), &body).await?);
        }
        for id in self.ids {
            output.fields(&client.post(&format!("/api/quarantine/{id}/{action}"), &json!({})).await?);
        }
        Ok(())
    }

    /// The request body for all objects of a storage; `None` if single IDs are given.
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
    fn a_query_has_only_the_given_filters() {
        let filter = Filter { storage: Some(3), reason: Some(QuarantineReason::Empty), ..Filter::default() };
        assert_eq!(filter.query(), [("storage", "3".to_owned()), ("reason", "empty".to_owned())]);
        assert!(Filter::default().query().is_empty());
    }

    #[test]
    fn a_decision_is_about_a_storage_or_about_rows() {
        let mut decision = Decision { ids: Vec::new(), storage: Some(3), reason: None };
        assert_eq!(decision.body(), Some(json!({"storage": 3})));
        decision.reason = Some(QuarantineReason::NotUtf8);
        assert_eq!(decision.body(), Some(json!({"storage": 3, "reason": "not_utf8"})));
        assert_eq!(Decision { ids: vec![1], storage: None, reason: None }.body(), None);
    }
}
