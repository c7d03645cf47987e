//! `longshore audit`.

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::client::Client;
use crate::error::Result;
use crate::find;
use crate::labels::{self, Labelled};
use crate::named::Named;
use crate::show::{Output, rows_mut};
use crate::titles::optional_project;
use crate::when::time;

/// Lists audit entries, newest first. Needs an admin token for all projects.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// What was done, such as `storage.update`; `request.denied` for requests that were denied access.
    #[arg(long)]
    action: Option<String>,
    #[arg(long, value_enum)]
    source: Option<Source>,
    /// ID of a token.
    #[arg(long = "by-token", value_name = "ID")]
    token_id: Option<i64>,
    /// Address of the caller, or its network as entries show it, such as `2001:db8::/64`.
    #[arg(long)]
    address: Option<String>,
    /// ID or title of a project.
    #[arg(long)]
    project: Option<Named>,
    /// ID or title of a storage. A deleted one has only its ID.
    #[arg(long)]
    storage: Option<Named>,
    #[arg(long, value_name = "ID")]
    sync: Option<i64>,
    /// Show only entries of this time or later: 2026-03-01T00:00:00Z, the day 2026-03-01, or 2h for two hours ago.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Show only entries of an earlier time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Show only entries with a smaller ID, to get the next page.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

/// Where a change came from.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Source {
    /// A caller of the API.
    Api,
    /// A role of the database.
    Sql,
    /// A message to `longshore.requests`.
    Amqp,
    /// The scheduler itself.
    Scheduler,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Sql => "sql",
            Self::Amqp => "amqp",
            Self::Scheduler => "scheduler",
        }
    }
}

impl Audit {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        let columns = [
            ("ID", "/id"),
            ("AT", "/at"),
            ("SOURCE", "/source"),
            ("TOKEN", "/token"),
            ("NAME", "/token_name"),
            ("ACTOR", "/actor"),
            ("ADDRESS", "/address"),
            ("ACTION", "/action"),
            ("PROJECT", "/project"),
            ("STORAGE", "/storage"),
            ("SYNC", "/sync"),
            ("DETAIL", "/detail"),
        ];
        let project = optional_project(client, self.project.as_ref()).await?;
        let storage = find::optional_id(client, self.storage.as_ref()).await?;
        let mut answer = client.get("/api/audit", &self.query(project, storage)).await?;
        labels::add(client, output, rows_mut(&mut answer), &[Labelled::Project, Labelled::Storage]).await;
        output.list(&answer, &columns);
        Ok(())
    }

    /// The filter as query parameters of the API.
    fn query(&self, project: Option<i64>, storage: Option<i64>) -> Vec<(&'static str, String)> {
        let ids = [
            ("token", self.token_id),
            ("project", project),
            ("storage", storage),
            ("sync", self.sync),
            ("before", self.before),
        ];
        let ids = ids.into_iter().filter_map(|(name, id)| Some((name, id?.to_string())));
        let times = [("since", self.since), ("until", self.until)];
        let times = times.into_iter().filter_map(|(name, time)| Some((name, time?.to_string())));
        let words = [
            ("action", self.action.clone()),
            ("source", self.source.map(|source| source.as_str().to_owned())),
            ("address", self.address.clone()),
        ];
        let words = words.into_iter().filter_map(|(name, word)| Some((name, word?)));
        ids.chain(times).chain(words).chain([("limit", self.limit.to_string())]).collect()
    }
}
