//! `longshore top`: the syncs that run now, again and again.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::find;
use crate::follow::{earlier_total, read};
use crate::named::Named;
use crate::pace::{Pace, duration};
use crate::show::{Output, print, rows, table};
use crate::sync_body::Sync;
use crate::text::{escaped, grouped};
use crate::titles::optional_project;

/// Most syncs that are shown, the most that the API returns at once.
const MOST_SYNCS: &str = "500";

/// Seconds between two looks: the API sums the counters of all jobs for each.
const DEFAULT_INTERVAL: u64 = 2;

const COLUMNS: &[(&str, &str)] = &[
    ("SYNC", "/sync"),
    ("STORAGE", "/storage"),
    ("TITLE", "/title"),
    ("DIRECTION", "/direction"),
    ("STATUS", "/status"),
    ("DONE", "/done_text"),
    ("PER SECOND", "/rate_text"),
    ("PROGRESS", "/progress_text"),
    ("LEFT", "/left_text"),
    ("RUNNING", "/running_text"),
    ("WAITING FOR", "/waiting_for"),
];

/// Shows running syncs with their rate and progress: on a terminal until Ctrl-C, elsewhere once.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Show them once and end. The default where standard output is not a terminal.
    #[arg(long, conflicts_with = "interval")]
    once: bool,
    /// Seconds between two looks; 2 on a terminal. With it, a pipe or file gets a look after the other as well.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: Option<u64>,
    /// Only syncs of this project, by its ID or title.
    #[arg(long)]
    project: Option<Named>,
    /// Only syncs of this storage, by its ID or title.
    #[arg(long)]
    storage: Option<Named>,
}

impl Top {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<ExitCode> {
        let mut filter = vec![("limit", MOST_SYNCS.to_owned())];
        let project = optional_project(client, self.project.as_ref()).await?;
        filter.extend(project.map(|id| ("project", id.to_string())));
        let storage = find::optional_id(client, self.storage.as_ref()).await?;
        filter.extend(storage.map(|id| ("storage", id.to_string())));
        let mut watch = Watch::new(client, filter);
        if self.once || (self.interval.is_none() && !std::io::stdout().is_terminal()) {
            let answer = watch.look().await?;
            output.one(&answer, text);
            return Ok(Exit::Success.into());
        }
        let pause = Duration::from_secs(self.interval.unwrap_or(DEFAULT_INTERVAL));
        tokio::select! {
            shown = show(&mut watch, output, pause) => shown?,
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(CliError::Input)?,
        }
        Ok(Exit::Success.into())
    }
}

/// Shows them until it fails. After a first answer, a scheduler that does not answer is waited for.
async fn show(watch: &mut Watch<'_>, output: Output, pause: Duration) -> Result<()> {
    let mut screen = Screen::new();
    let mut has_answered = false;
    loop {
        match watch.look().await {
            Ok(answer) if output.json => output.one(&answer, text),
            Ok(answer) => screen.show(&text(&answer)),
            Err(error) if has_answered && is_outage(&error) && output.json => {
                output.one(&error.to_json(), text);
            }
            Err(error) if has_answered && is_outage(&error) => {
                screen.show(error.to_string().lines().next().unwrap_or_default());
            }
            Err(error) => return Err(error),
        }
        has_answered = true;
        sleep(pause).await;
    }
}

/// Whether the scheduler or its database is unavailable, which ends by itself.
fn is_outage(error: &CliError) -> bool {
    match error {
        CliError::Unreachable { .. } => true,
        CliError::Api { body } => body["status_code"] == 503,
        _ => false,
    }
}

/// What is known about running syncs from earlier looks.
struct Watch<'a> {
    client: &'a Client,
    filter: Vec<(&'static str, String)>,
    started: Instant,
    paces: HashMap<i64, Pace>,
    totals: HashMap<i64, Option<u64>>,
    titles: HashMap<i64, Value>,
}

impl<'a> Watch<'a> {
    fn new(client: &'a Client, filter: Vec<(&'static str, String)>) -> Self {
        let (paces, totals, titles) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { client, filter, started: Instant::now(), paces, totals, titles }
    }

    /// The running syncs, newest first.
    async fn look(&mut self) -> Result<Value> {
        let mut syncs = Vec::new();
        for status in ["queued", "in_progress"] {
            let mut query = self.filter.clone();
            query.push(("status", status.to_owned()));
            for row in rows(&self.client.get("/api/syncs", &query).await?) {
                syncs.push(read(self.client, row)?);
            }
        }
        // A sync may have changed its status between the two requests.
        syncs.sort_by_key(|sync| std::cmp::Reverse(sync.id));
        syncs.dedup_by_key(|sync| sync.id);
        self.paces.retain(|id, _| syncs.iter().any(|sync| sync.id == *id));
        self.totals.retain(|id, _| syncs.iter().any(|sync| sync.id == *id));
        self.read_titles(&syncs).await?;
        let mut shown = Vec::new();
        for sync in &syncs {
            let total = match self.totals.get(&sync.id) {
                Some(total) => *total,
                None => {
                    let total = earlier_total(self.client, sync).await?;
                    *self.totals.entry(sync.id).or_insert(total)
                }
            };
            let pace = self.paces.entry(sync.id).or_default();
            pace.add(self.started.elapsed(), sync.done());
            shown.push(row(sync, pace, total, sync.storage.and_then(|id| self.titles.get(&id)), Timestamp::now()));
        }
        Ok(json!({"event": "top", "at": Timestamp::now(), "syncs": shown}))
    }

    /// Reads the titles of storages, if one is not known yet.
    async fn read_titles(&mut self, syncs: &[Sync]) -> Result<()> {
        let storages: Vec<i64> = syncs.iter().filter_map(|sync| sync.storage).collect();
        if storages.iter().all(|id| self.titles.contains_key(id)) {
            return Ok(());
        }
        for storage in find::list(self.client, None).await? {
            let id = find::name(&storage).as_i64().unwrap_or_default();
            self.titles.insert(id, storage["title"].clone());
        }
        for id in storages {
            self.titles.entry(id).or_insert(Value::Null);
        }
        Ok(())
    }
}

/// A sync: numbers for programs, and texts for people.
fn row(sync: &Sync, pace: &Pace, total: Option<u64>, title: Option<&Value>, now: Timestamp) -> Value {
    let running = sync.started_at.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let mean = running.filter(|time| !time.is_zero()).map(|time| sync.done() as f64 / time.as_secs_f64());
    // After one look there is only the mean since the start.
    let rate = if pace.is_measured() { Some(pace.rate().unwrap_or_default()) } else { mean };
    let eta = total.and_then(|total| pace.eta(total));
    json!({
        "sync": sync.id, "storage": sync.storage, "title": title, "direction": sync.direction, "status": sync.status,
        "done": sync.done(), "total": total, "per_second": rate, "eta_seconds": eta.map(|eta| eta.as_secs()),
        "running_seconds": running.map(|time| time.as_secs()), "waiting_for": sync.waiting_for, "counts": sync.all_counts,
    })
}

/// The table for people.
fn text(answer: &Value) -> String {
    let mut syncs = rows(&answer["syncs"]).to_vec();
    for sync in &mut syncs {
        let seconds = |name: &str| sync[name].as_u64().map(|seconds| duration(Duration::from_secs(seconds)));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "shown"
        )]
        let (rate, share) = (
            sync["per_second"].as_f64().map(|rate| grouped(rate.round() as u64)),
            sync["total"]
                .as_u64()
                .zip(sync["done"].as_u64())
                .map(|(total, done)| format!("{:.0}%", (done as f64 / total.max(1) as f64).min(1.0) * 100.0)),
        );
        let texts = [
            ("done_text", sync["done"].as_u64().map(grouped)),
            ("rate_text", rate),
            ("progress_text", share),
            ("left_text", seconds("eta_seconds")),
            ("running_text", seconds("running_seconds")),
        ];
        for (name, text) in texts {
            sync[name] = json!(text);
        }
    }
    if syncs.is_empty() { "No sync is running.".to_owned() } else { table(&syncs, COLUMNS) }
}

/// Where the table is shown: in place on a terminal, below the last one elsewhere.
struct Screen {
    lines: MultiProgress,
    shown: Vec<ProgressBar>,
}

impl Screen {
    fn new() -> Self {
        Self { lines: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()), shown: Vec::new() }
    }

    fn show(&mut self, text: &str) {
        if self.lines.is_hidden() {
            return print(text);
        }
        let lines: Vec<&str> = text.lines().collect();
        for bar in self.shown.drain(lines.len().min(self.shown.len())..) {
            bar.finish_and_clear();
            self.lines.remove(&bar);
        }
        while self.shown.len() < lines.len() {
            let style = ProgressStyle::with_template("{wide_msg}").expect("the template is well-formed");
            self.shown.push(self.lines.add(ProgressBar::new_spinner().with_style(style)));
        }
        for (bar, line) in self.shown.iter().zip(lines) {
            bar.set_message(escaped(line));
            bar.tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync_body::tests::sync;

    #[test]
    fn a_row_has_the_mean_rate_first_and_then_the_current_one() {
        let sync = sync("in_progress");
        let now = "2026-01-01T00:00:05Z".parse().unwrap();
        let mut pace = Pace::default();
        pace.add(Duration::ZERO, 1);
        let first = row(&sync, &pace, Some(10_002), Some(&json!("Pets")), now);
        assert_eq!((&first["per_second"], &first["running_seconds"]), (&json!(1_000.2), &json!(5)));
        pace.add(Duration::from_secs(2), 5_001);
        let later = row(&sync, &pace, Some(10_002), Some(&json!("Pets")), now);
        assert_eq!((&later["per_second"], &later["eta_seconds"]), (&json!(2_500.0), &json!(2)));
        let shown = text(&json!({"syncs": [later]}));
        for word in ["7", "Pets", "5,001", "2,500", "50%", "in_progress"] {
            assert!(shown.contains(word), "{word} in {shown}");
        }
        assert_eq!(text(&json!({"syncs": []})), "No sync is running.");
    }
}
