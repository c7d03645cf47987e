//! Follows a sync to its end: with a progress bar on a terminal, otherwise with a line every two seconds. Both say what
//! the sync waits for.
//!
//! It polls instead of holding an event stream open, so that a lost answer or a restart of the scheduler does not
//! matter.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use longshore_model::SyncStatus;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::{CliError, Result};
use crate::pace::{Pace, duration};
use crate::show::{Output, event, note, rows};
use crate::sync_body::{Sync, waiting_line};
use crate::text::grouped;

/// Time between the first polls, so that a short sync shows progress.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Time between later polls. The scheduler sums the counters of all jobs for each of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Time between lines if there is no bar.
const LINE_PAUSE: Duration = Duration::from_secs(2);

/// Failed polls in a row before following ends: about a minute, enough for a restart of the scheduler. A scheduler that
/// answers that its database is unavailable is followed without a limit: it says since when.
const MAX_MISSES: u32 = 60;

/// Shows the progress of a sync until it ends. Returns the last answer.
///
/// `total` is the number of objects, if the caller knows it. Otherwise it is taken from an earlier sync.
pub(crate) async fn follow(client: &Client, output: Output, id: i64, total: Option<u64>) -> Result<(Value, Sync)> {
    let started = Instant::now();
    let mut pace = Pace::default();
    let mut display: Option<Display> = None;
    let mut unavailable = Unavailable::new(output);
    let mut misses = 0;
    let mut pause = FIRST_PAUSE;
    loop {
        let answer = match client.get(&format!("/api/syncs/{id}"), &[]).await {
            Err(error @ CliError::Unreachable { .. }) if misses < MAX_MISSES => {
                misses += 1;
                unavailable.show(display.as_mut(), "scheduler", &error);
                sleep(LONGEST_PAUSE).await;
                continue;
            }
            Err(CliError::Api { body }) if body["status_code"] == 503 => {
                unavailable.show(display.as_mut(), "database", &CliError::Api { body });
                sleep(LONGEST_PAUSE).await;
                continue;
            }
            answer => answer?,
        };
        (misses, unavailable) = (0, Unavailable::new(output));
        let sync = read(client, &answer)?;
        pace.add(started.elapsed(), sync.done());
        let display = match &mut display {
            Some(display) => display,
            None => {
                let total = match total {
                    Some(total) => Some(total),
                    // Only for the bar: without it, a spinner shows progress.
                    None => earlier_total(client, &sync).await.unwrap_or_default(),
                };
                display.insert(Display::new(total, output))
            }
        };
        if !sync.status.is_live() {
            display.end(&sync);
            return Ok((answer, sync));
        }
        display.show(&sync, &pace);
        sleep(pause).await;
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
}

/// Parses a sync from an answer.
pub(crate) fn read(client: &Client, answer: &Value) -> Result<Sync> {
    Sync::read(answer).map_err(|_| client.not_longshore())
}

/// The number of tasks that a deletion takes, or of objects of the last completed sync of this storage.
pub(crate) async fn earlier_total(client: &Client, sync: &Sync) -> Result<Option<u64>> {
    if let Some(deletion) = sync.deletion {
        return Ok(Some(deletion.tasks));
    }
    let Some(storage) = sync.storage else { return Ok(None) };
    let query = [("storage", storage.to_string()), ("limit", "20".to_owned())];
    let answer = client.get("/api/syncs", &query).await?;
    let earlier = rows(&answer).iter().filter_map(|row| read(client, row).ok());
    Ok(earlier
        .filter(|row| row.id < sync.id && row.deletion.is_none())
        .find(|row| matches!(row.status, SyncStatus::Completed | SyncStatus::CompletedWithErrors))
        .map(|row| row.done())
        .filter(|done| *done > 0))
}

/// Counters, rate and time left in one line.
fn line(sync: &Sync, pace: &Pace, total: Option<u64>) -> String {
    let mut line = sync.progress();
    if let Some(rate) = pace.rate() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive rate for users")]
        let rate = rate.round() as u64;
        line.push_str(&format!(" · {}/s", grouped(rate)));
    }
    if let Some(eta) = total.and_then(|total| pace.eta(total)) {
        line.push_str(&format!(" · ETA {}", duration(eta)));
    }
    line
}

/// Progress for programs: the fields of each such event.
fn progress(sync: &Sync, pace: &Pace, total: Option<u64>) -> Value {
    let eta = total.and_then(|total| pace.eta(total)).map(|eta| eta.as_secs());
    json!({
        "event": "progress", "sync": sync.id, "status": sync.status, "done": sync.done(), "total": total,
        "per_second": pace.rate(), "eta_seconds": eta, "counts": sync.all_counts, "waiting_for": sync.waiting_for,
        "waiting_since": sync.waiting_since, "waiting_error": sync.waiting_error,
    })
}

/// A time in which the sync could not be read.
struct Unavailable {
    since: Option<Timestamp>,
    printed: Option<Instant>,
    output: Output,
}

impl Unavailable {
    const fn new(output: Output) -> Self {
        Self { since: None, printed: None, output }
    }

    /// Says what the sync, or its display, waits for: beside the bar, or as a line every few seconds.
    fn show(&mut self, display: Option<&mut Display>, what: &str, error: &CliError) {
        let since = *self.since.get_or_insert_with(Timestamp::now);
        // The hint is for people who type a command, not for those who wait.
        let error = error.to_string();
        let error = error.lines().next().unwrap_or_default();
        let line = waiting_line(what, Some(since), Some(error), Timestamp::now());
        if self.output.json {
            if self.printed.is_none_or(|printed| printed.elapsed() >= LINE_PAUSE) {
                self.printed = Some(Instant::now());
                event(
                    &json!({"event": "waiting", "waiting_for": what, "waiting_since": since, "waiting_error": error}),
                );
            }
            return;
        }
        match display {
            Some(display) => display.print(line),
            None if self.printed.is_none_or(|printed| printed.elapsed() >= LINE_PAUSE) => {
                self.printed = Some(Instant::now());
                note(&line);
            }
            None => {}
        }
    }
}

/// Where progress is shown.
struct Display {
    bar: ProgressBar,
    total: Option<u64>,
    /// Whether to print lines, because no bar can be drawn.
    is_lines: bool,
    /// Whether these lines are JSON.
    is_json: bool,
    last: Option<Instant>,
}

impl Display {
    fn new(total: Option<u64>, output: Output) -> Self {
        if output.json {
            return Self { bar: ProgressBar::hidden(), total, is_lines: true, is_json: true, last: None };
        }
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style("{bar:20} {percent:>3}% {wide_msg}")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {elapsed} {wide_msg}")),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        Self { is_lines: bar.is_hidden(), is_json: false, bar, total, last: None }
    }

    fn show(&mut self, sync: &Sync, pace: &Pace) {
        if self.is_json {
            if self.last.is_none_or(|last| last.elapsed() >= LINE_PAUSE) {
                self.last = Some(Instant::now());
                event(&progress(sync, pace, self.total));
            }
            return;
        }
        let mut line = line(sync, pace, self.total);
        let waiting = sync.waiting(Timestamp::now());
        let is_shown = sync.done() > 0 || waiting.is_some();
        if let Some(waiting) = waiting {
            line = format!("{line} · {waiting}");
        }
        if !self.is_lines {
            self.bar.set_position(sync.done().min(self.total.unwrap_or(u64::MAX)));
        }
        if is_shown || !self.is_lines {
            self.print(line);
        }
    }

    /// Shows a text beside the bar, or prints it as a line unless the last line was printed just before.
    fn print(&mut self, line: String) {
        if !self.is_lines {
            self.bar.set_message(line);
            self.bar.tick();
        } else if self.last.is_none_or(|last| last.elapsed() >= LINE_PAUSE) {
            self.last = Some(Instant::now());
            note(&line);
        }
    }

    /// Leaves the finished bar on the screen. A spinner is removed, because the summary shows the same.
    fn end(&self, sync: &Sync) {
        let Some(total) = self.total.filter(|_| !self.is_lines) else {
            self.bar.finish_and_clear();
            return;
        };
        let is_done = matches!(sync.status, SyncStatus::Completed | SyncStatus::CompletedWithErrors);
        self.bar.set_position(if is_done { total } else { sync.done().min(total) });
        self.bar.abandon_with_message(sync.progress());
        // The bar does not end with a line break.
        note("");
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync_body::tests::sync;

    #[test]
    fn progress_for_programs_has_all_counters_and_the_time_left() {
        let mut pace = Pace::default();
        pace.add(Duration::ZERO, 1);
        pace.add(Duration::from_secs(2), 5_001);
        let event = progress(&sync("in_progress"), &pace, Some(10_001));
        assert_eq!((&event["event"], &event["sync"], &event["done"]), (&json!("progress"), &json!(7), &json!(5_001)));
        assert_eq!((&event["per_second"], &event["eta_seconds"]), (&json!(2_500.0), &json!(2)));
        assert_eq!((&event["counts"]["from_a_later_version"], &event["waiting_for"]), (&json!(9), &Value::Null));
    }

    #[test]
    fn a_line_shows_counters_rate_and_time_left() {
        let sync = sync("in_progress");
        let mut pace = Pace::default();
        pace.add(Duration::ZERO, 1);
        let counted = sync.progress();
        assert_eq!(line(&sync, &pace, Some(10_001)), counted);
        pace.add(Duration::from_secs(2), 5_001);
        assert_eq!(line(&sync, &pace, None), format!("{counted} · 2,500/s"));
        assert_eq!(line(&sync, &pace, Some(10_001)), format!("{counted} · 2,500/s · ETA 2.0 s"));
    }
}
