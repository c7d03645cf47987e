//! The demo: the main job on real servers and real input, checked against the buckets.
//!
//! It uses Longshore as anybody would, by its command line and its API, on a stack that ends with
//! it. `play` tells the story, `oracle` knows how it has to end.

mod images;
mod longshore;
mod oracle;
mod play;
mod report;
mod stage;
mod tasks;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use longshore_local::Place;
use oracle::Checks;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// Lines of a log that are shown after a failure.
const LAST_LINES: usize = 5;

/// Plays the demo in the folder `demo` of `dir`. The exit code says whether everything added up.
///
/// However it ends, what it started ends with it; after a failure the logs stay.
pub(crate) async fn run(dir: &Path) -> Result<ExitCode> {
    let root = dir.join("demo");
    if let Some(place) = Place::find(&root) {
        let running = place.processes();
        ensure!(running.is_empty(), "a demo runs in {} already (pid {})", root.display(), running[0].pid);
        place.remove()?;
    }
    let played = tokio::select! {
        played = play::play(&root) => played,
        interrupted = interrupted() => interrupted,
    };
    let place = Place::find(&root);
    match played {
        Ok(checks) if checks.off().is_empty() => {
            report::say(&format!("\nEverything adds up: {} of {} checks hold.", checks.len(), checks.len()));
            if let Some(place) = place {
                remove(&place).await?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        Ok(checks) => {
            let off = checks.off();
            report::say(&format!("\n{} of {} checks do not hold: {}", off.len(), checks.len(), off.join("; ")));
        }
        Err(error) => report::say(&format!("\nThe demo failed: {error:#}")),
    }
    if let Some(place) = place {
        show_logs(&place);
    }
    Ok(ExitCode::FAILURE)
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() -> Result<Checks> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    bail!("interrupted; everything that was started is stopped")
}

/// Removes the folder, in which the last helpers of a killed server may still be writing.
async fn remove(place: &Place) -> Result<()> {
    for _ in 0..20 {
        if place.remove().is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    place.remove()
}

/// Says where the logs are, and shows the last lines of each, those that tell of trouble before others.
fn show_logs(place: &Place) {
    report::section(&format!("Logs: {}", place.root().join("logs").display()));
    for name in ["scheduler", "worker-1", "worker-2"] {
        let log = std::fs::read_to_string(place.log(name)).unwrap_or_default();
        for line in last_trouble(&log) {
            report::say(&format!("   {name}: {line}"));
        }
    }
}

/// The last lines at level warn or error; without any, the last line.
fn last_trouble(log: &str) -> Vec<&str> {
    // As JSON, and as text.
    let words = [r#""level":"warn""#, r#""level":"error""#, " WARN ", " ERROR "];
    let is_trouble = |line: &&str| words.iter().any(|word| line.contains(word));
    let mut lines: Vec<&str> = log.lines().rev().filter(is_trouble).take(LAST_LINES).collect();
    lines.reverse();
    if lines.is_empty() { log.lines().next_back().into_iter().collect() } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_that_tell_of_trouble_are_shown_in_their_order() {
        let line = |level: &str, number: usize| format!("{{\"level\":\"{level}\",\"message\":\"{number}\"}}\n");
        let log: String = (0..20).map(|n| line(if n % 2 == 0 { "info" } else { "warn" }, n)).collect();
        let shown = last_trouble(&log);
        assert_eq!(shown.len(), LAST_LINES);
        assert!(shown[0].contains("11") && shown[4].contains("19"));
        assert_eq!(last_trouble("a\nb\n"), ["b"]);
        assert!(last_trouble("").is_empty());
    }
}
