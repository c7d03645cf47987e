//! The demo: the main job on real servers, checked against the buckets.
//!
//! It uses Longshore as a user does, with the command line and the API, on a stack that ends with the demo. `scenario`
//! has the steps, `checks` the expected results.

mod beside;
mod checks;
mod images;
mod interrupt;
mod longshore;
mod report;
mod scenario;
mod stack;
mod tasks;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use longshore_local::RunDir;
use tokio::time::sleep;

/// Lines of each log that are shown after a failure.
const LAST_LINES: usize = 5;

/// What the demo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demo {
    /// Longshore with its own tables.
    Alone,
    /// Longshore beside a Label Studio.
    BesideLabelStudio {
        /// Whether it runs on until Ctrl-C after its checks.
        stays: bool,
    },
}

/// Runs a demo in the folder `demo` of `dir`. The exit code says whether all checks passed.
///
/// All programs that it started end with it. After a failure the logs stay.
pub(crate) async fn run(dir: &Path, demo: Demo) -> Result<ExitCode> {
    let root = dir.join("demo");
    if let Some(run_dir) = RunDir::find(&root) {
        let running = run_dir.processes();
        ensure!(running.is_empty(), "a demo is already running in {} (pid {})", root.display(), running[0].pid);
        run_dir.remove()?;
    }
    let outcome = match demo {
        Demo::Alone => tokio::select! {
            outcome = scenario::run(&root) => outcome,
            interrupted = interrupt::error() => interrupted,
        },
        Demo::BesideLabelStudio { stays: true } => beside::run(&root, true).await,
        Demo::BesideLabelStudio { stays: false } => tokio::select! {
            outcome = beside::run(&root, false) => outcome,
            interrupted = interrupt::error() => interrupted,
        },
    };
    let run_dir = RunDir::find(&root);
    match outcome {
        Ok(checks) if checks.failures().is_empty() => {
            report::print_line(&format!("\nAll checks passed: {} of {}.", checks.len(), checks.len()));
            if let Some(run_dir) = run_dir {
                remove(&run_dir).await?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        Ok(checks) => {
            let failures = checks.failures();
            report::print_line(&format!(
                "\n{} of {} checks failed: {}",
                failures.len(),
                checks.len(),
                failures.join("; ")
            ));
        }
        Err(error) => report::print_line(&format!("\nThe demo failed: {error:#}")),
    }
    if let Some(run_dir) = run_dir {
        show_logs(&run_dir);
    }
    Ok(ExitCode::FAILURE)
}

/// Removes the run directory. It retries, because helpers of a killed server may still be writing.
async fn remove(run_dir: &RunDir) -> Result<()> {
    for _ in 0..20 {
        if run_dir.remove().is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    run_dir.remove()
}

/// Prints where the logs are, and the last lines of each: warnings and errors if there are any.
fn show_logs(run_dir: &RunDir) {
    report::section(&format!("Logs: {}", run_dir.root().join("logs").display()));
    for name in ["label-studio", "nginx", "scheduler", "worker-1", "worker-2"] {
        let log = std::fs::read_to_string(run_dir.log(name)).unwrap_or_default();
        for line in last_warnings(&log) {
            report::print_line(&format!("   {name}: {line}"));
        }
    }
}

/// The last lines at level warn or error, or the last line if there are none.
fn last_warnings(log: &str) -> Vec<&str> {
    // In JSON logs and in text logs.
    let words = [r#""level":"warn""#, r#""level":"error""#, " WARN ", " ERROR "];
    let is_warning = |line: &&str| words.iter().any(|word| line.contains(word));
    let mut lines: Vec<&str> = log.lines().rev().filter(is_warning).take(LAST_LINES).collect();
    lines.reverse();
    if lines.is_empty() { log.lines().next_back().into_iter().collect() } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_warnings_of_a_log_are_shown_in_order() {
        let line = |level: &str, number: usize| format!("{{\"level\":\"{level}\",\"message\":\"{number}\"}}\n");
        let log: String = (0..20).map(|n| line(if n % 2 == 0 { "info" } else { "warn" }, n)).collect();
        let shown = last_warnings(&log);
        assert_eq!(shown.len(), LAST_LINES);
        assert!(shown[0].contains("11") && shown[4].contains("19"));
        assert_eq!(last_warnings("a\nb\n"), ["b"]);
        assert!(last_warnings("").is_empty());
    }
}
