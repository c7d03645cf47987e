//! A stack that stays: up and down.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};

use crate::fleet::Fleet;
use crate::place::{Place, Recorded, write_private};
use crate::stack::{Options, Stack};

/// Two, so that what only happens between workers happens here too.
const WORKERS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Up {
    Started,
    Already,
}

/// Starts servers, S3, scheduler and workers, writes the file `env`, and leaves all of it running.
///
/// Cut short it leaves nothing running. After a crash of the machine it goes on with the data in the folder (what
/// was in the S3 server is gone: it lives in memory).
pub async fn up(dir: &Path) -> Result<Up> {
    if let Some(place) = Place::find(dir) {
        let running = place.processes();
        if !running.is_empty() && place.env_file().is_file() {
            return Ok(Up::Already);
        }
        ensure!(running.is_empty(), "half of a stack runs in {}: `longshore-local down` first", dir.display());
    }
    let stack = Stack::start(dir, Options::lasting()).await?;
    let fleet = Fleet::start(&stack, WORKERS).await?;

    let lines = fleet.environment(&stack).into_iter().map(|(key, value)| format!("{key}={}\n", quoted(&value)));
    write_private(&stack.place().env_file(), &lines.collect::<String>())?;
    fleet.keep();
    stack.keep()?;
    Ok(Up::Started)
}

/// Stops everything, the last started first, and removes the folder with its data. `false`: there was nothing.
pub async fn down(dir: &Path) -> Result<bool> {
    let Some(place) = Place::find(dir) else { return Ok(false) };
    fs::remove_file(place.env_file()).ok();
    let mut running = place.processes();
    running.sort_by_key(|process| rank(&process.name));
    for process in &running {
        stop(&place, process).await?;
    }
    place.remove()?;
    Ok(true)
}

/// Those that use something stop before what they use. RabbitMQ says goodbye to its name server `epmd`.
fn rank(name: &str) -> usize {
    let order = ["scheduler", "s3", "redis", "rabbitmq", "epmd", "postgres"];
    order.iter().position(|&each| each == name).map_or(0, |position| position + 1)
}

/// Asks politely, then kills.
async fn stop(place: &Place, process: &Recorded) -> Result<()> {
    // To Postgres, SIGTERM means to wait until every client has gone.
    let polite = if process.name == "postgres" { Signal::SIGINT } else { Signal::SIGTERM };
    for signal in [polite, Signal::SIGKILL] {
        match signal::kill(Pid::from_raw(process.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error).with_context(|| format!("stop {}", process.name)),
        }
        let gone = async {
            while place.is_ours(process) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(PATIENCE, gone).await.is_ok() {
            return Ok(());
        }
    }
    bail!("{} (pid {}) doesn't end", process.name, process.pid)
}

/// As a shell reads it: as it is where that is safe, else in single quotes.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%,+=".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quoted("postgres://u:p@127.0.0.1:5/db"), "postgres://u:p@127.0.0.1:5/db");
        assert_eq!(quoted("amqp://h/%2f?a=1&b=it's"), r"'amqp://h/%2f?a=1&b=it'\''s'");
    }

    #[test]
    fn whoever_uses_something_stops_before_it() {
        let mut names = ["postgres", "epmd", "rabbitmq", "scheduler", "worker-1", "s3"];
        names.sort_by_key(|name| rank(name));
        assert_eq!(names, ["worker-1", "scheduler", "s3", "rabbitmq", "epmd", "postgres"]);
    }
}
