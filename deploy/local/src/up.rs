//! `longshore-local up`, `restart` and `down`: a stack that keeps running after the command.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};

use crate::fleet::Fleet;
use crate::ports;
use crate::run_dir::{RecordedProcess, RunDir, write_private};
use crate::stack::{Options, Stack};

/// Two, so that what only happens between workers also happens here.
const WORKERS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// The scheduler's own limit for its first token. It also refuses those that are easy to guess.
const SHORTEST_TOKEN: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    Started,
    AlreadyRunning,
}

/// What the user chooses. `None` keeps the port or token of the last start, or takes a free port and a random token.
#[derive(Clone, Default, Args)]
pub struct Choices {
    /// Port of the API. By default a free one, which stays the same across restarts.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Port of the S3 server. By default a free one, which stays the same across restarts.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    s3_port: Option<u16>,
    /// The first admin token: 16 or more characters that are hard to guess. By default a random one, which stays the same
    /// across restarts. Process lists show it until the command ends.
    #[arg(long)]
    token: Option<String>,
}

impl Choices {
    fn is_none(&self) -> bool {
        self.port.is_none() && self.s3_port.is_none() && self.token.is_none()
    }

    fn ports(&self) -> [(&'static str, &'static str, Option<u16>); 2] {
        [("scheduler", "--port", self.port), ("s3", "--s3-port", self.s3_port)]
    }

    /// Checks what is chosen, before a running stack is stopped for it. Its own ports are in use by itself.
    fn check(&self, run_dir: &RunDir) -> Result<()> {
        let own = self.ports().map(|(name, ..)| run_dir.kept_port(name));
        ensure!(self.port.is_none() || self.port != self.s3_port, "--port and --s3-port are the same");
        for (_, option, chosen) in self.ports() {
            if let Some(port) = chosen.filter(|_| !own.contains(&chosen)) {
                ensure_free(port, option)?;
            }
        }
        let is_short = self.token.as_ref().is_some_and(|token| token.len() < SHORTEST_TOKEN);
        ensure!(
            !is_short,
            "the token is too short: use {SHORTEST_TOKEN} or more characters, such as `openssl rand -hex 20` prints"
        );
        Ok(())
    }

    /// Keeps what is chosen for this start and later ones. The stack must be stopped.
    fn keep(&self, run_dir: &RunDir) -> Result<()> {
        self.check(run_dir)?;
        for (name, option, chosen) in self.ports() {
            // Not another one than before: storages and scripts have the address.
            if let Some(port) = chosen.or_else(|| run_dir.kept_port(name)) {
                ensure_free(port, option)?;
                run_dir.keep_port(name, port)?;
            }
        }
        match &self.token {
            Some(token) => run_dir.keep_secret("token", token),
            None => Ok(()),
        }
    }
}

fn ensure_free(port: u16, option: &str) -> Result<()> {
    ensure!(ports::is_free(port), "port {port} is in use; stop what listens there, or choose another with {option}");
    Ok(())
}

/// Starts servers, S3, scheduler and workers, writes the file `env`, and leaves all of them running.
///
/// If it fails or is killed, nothing keeps running. After a crash of the machine it uses the data in the folder again.
pub async fn up(dir: &Path, choices: &Choices) -> Result<StartOutcome> {
    if let Some(run_dir) = RunDir::find(dir) {
        let running = run_dir.processes();
        if !running.is_empty() && run_dir.env_file().is_file() {
            ensure!(
                choices.is_none(),
                "Longshore is running; use `longshore-local restart` to change ports or the token"
            );
            return Ok(StartOutcome::AlreadyRunning);
        }
        ensure!(
            running.is_empty(),
            "part of a stack is running in {}; run `longshore-local down` first",
            dir.display()
        );
    }
    choices.keep(&RunDir::open(dir)?)?;
    let stack = Stack::start(dir, Options::lasting()).await?;
    let fleet = Fleet::start(&stack, WORKERS).await?;

    let lines = fleet.environment(&stack).into_iter().map(|(key, value)| format!("{key}={}\n", quoted(&value)));
    write_private(&stack.run_dir().env_file(), &lines.collect::<String>())?;
    fleet.keep();
    stack.keep()?;
    Ok(StartOutcome::Started)
}

/// Stops all processes and starts them again on the same data, ports and token, or with what the user chooses now.
///
/// # Errors
/// There is no stack, or it cannot be stopped or started.
pub async fn restart(dir: &Path, choices: &Choices) -> Result<()> {
    let run_dir = RunDir::find(dir)
        .with_context(|| format!("there is no stack in {}; start one with `longshore-local up`", dir.display()))?;
    choices.check(&run_dir)?;
    stop_all(&run_dir).await?;
    up(dir, choices).await.map(drop)
}

/// Stops all processes, the last started first, and removes the folder with its data. Returns `false` if there was no
/// stack.
pub async fn down(dir: &Path) -> Result<bool> {
    let Some(run_dir) = RunDir::find(dir) else { return Ok(false) };
    stop_all(&run_dir).await?;
    run_dir.remove()?;
    Ok(true)
}

async fn stop_all(run_dir: &RunDir) -> Result<()> {
    fs::remove_file(run_dir.env_file()).ok();
    let mut running = run_dir.processes();
    running.sort_by_key(|process| rank(&process.name));
    for process in &running {
        stop(run_dir, process).await?;
    }
    Ok(())
}

/// The order of stopping: a process stops before the servers it uses. RabbitMQ deregisters from its name server `epmd`.
fn rank(name: &str) -> usize {
    let order = ["scheduler", "s3", "redis", "rabbitmq", "epmd", "postgres"];
    order.iter().position(|&each| each == name).map_or(0, |position| position + 1)
}

/// Sends the signal for a clean stop, then SIGKILL.
async fn stop(run_dir: &RunDir, process: &RecordedProcess) -> Result<()> {
    // On SIGTERM, PostgreSQL waits until every client has disconnected.
    let clean = if process.name == "postgres" { Signal::SIGINT } else { Signal::SIGTERM };
    for signal in [clean, Signal::SIGKILL] {
        match signal::kill(Pid::from_raw(process.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error).with_context(|| format!("stop {}", process.name)),
        }
        let ended = async {
            while run_dir.is_ours(process) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(PATIENCE, ended).await.is_ok() {
            return Ok(());
        }
    }
    bail!("{} (pid {}) does not stop", process.name, process.pid)
}

/// Quotes a value for a shell with single quotes, unless it needs no quotes.
fn quoted(value: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:@%,+=".contains(c);
    if value.chars().all(is_safe) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_shell_characters_is_quoted() {
        assert_eq!(quoted("postgres://u:p@127.0.0.1:5/db"), "postgres://u:p@127.0.0.1:5/db");
        assert_eq!(quoted("amqp://h/%2f?a=1&b=it's"), r"'amqp://h/%2f?a=1&b=it'\''s'");
    }

    #[test]
    fn a_process_stops_before_the_servers_it_uses() {
        let mut names = ["postgres", "epmd", "rabbitmq", "scheduler", "worker-1", "s3"];
        names.sort_by_key(|name| rank(name));
        assert_eq!(names, ["worker-1", "scheduler", "s3", "rabbitmq", "epmd", "postgres"]);
    }
}
