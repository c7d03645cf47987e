//! `longshore quarantine`.

mod show;

use clap::{Args, Subcommand};
use longshore_model::QuarantineReason;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Result;
use crate::find;
use crate::labels::{self, Labelled};
use crate::named::Named;
use crate::show::{Output, rows_mut};
use crate::titles::optional_project;
use show::Show;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists quarantined objects, newest first.
    List(List),
    /// Shows one quarantined object, or counts objects by reason with examples and what to do.
    Show(Show),
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
    /// All objects of this storage in state `open`, by its ID or title.
    #[arg(long)]
    storage: Option<Named>,
    /// Only objects with this reason.
    #[arg(long, requires = "storage")]
    reason: Option<QuarantineReason>,
}

#[derive(Debug, Default, Args)]
pub(super) struct Filter {
    /// ID or title of a project.
    #[arg(long)]
    project: Option<Named>,
    /// ID or title of a storage.
    #[arg(long)]
    storage: Option<Named>,
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
    async fn query(&self, client: &Client) -> Result<Vec<(&'static str, String)>> {
        let project = optional_project(client, self.project.as_ref()).await?;
        let storage = find::optional_id(client, self.storage.as_ref()).await?;
        let ids = [("project", project), ("storage", storage), ("sync", self.sync)];
        let ids = ids.into_iter().filter_map(|(name, id)| Some((name, id?.to_string())));
        let state = self.state.clone().map(|state| ("state", state));
        let reason = self.reason.map(|reason| ("reason", reason.to_string()));
        Ok(ids.chain(state).chain(reason).collect())
    }
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        match self {
            Self::List(list) => {
                let mut query = list.filter.query(client).await?;
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
                let mut answer = client.get("/api/quarantine", &query).await?;
                labels::add(client, output, rows_mut(&mut answer), &[Labelled::Storage]).await;
                output.list(&answer, &columns);
                Ok(())
            }
            Self::Show(show) => show.run(client, output).await,
            Self::Replay(decision) => decision.run("replay", client, output).await,
            Self::Discard(decision) => decision.run("discard", client, output).await,
        }
    }
}

impl Decision {
    async fn run(self, action: &str, client: &Client, output: Output) -> Result<()> {
        let storage = find::optional_id(client, self.storage.as_ref()).await?;
        if let Some(body) = storage.map(|storage| self.body(storage)) {
            output.fields(&client.post(&format!("/api/quarantine/{action}"), &body).await?);
        }
        for id in self.ids {
            output.fields(&client.post(&format!("/api/quarantine/{id}/{action}"), &json!({})).await?);
        }
        Ok(())
    }

    /// The request body for all objects of a storage.
    fn body(&self, storage: i64) -> Value {
        let mut body = json!({"storage": storage});
        if let Some(reason) = self.reason {
            body["reason"] = reason.as_str().into();
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_may_be_about_one_reason() {
        let mut decision = Decision { ids: Vec::new(), storage: Some(Named::Id(3)), reason: None };
        assert_eq!(decision.body(3), json!({"storage": 3}));
        decision.reason = Some(QuarantineReason::NotUtf8);
        assert_eq!(decision.body(3), json!({"storage": 3, "reason": "not_utf8"}));
    }
}
