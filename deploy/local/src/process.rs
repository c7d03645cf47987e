//! A process of the stack: started, watched, signalled, killed, started again.
//!
//! Built on the standard library's child instead of tokio's, which belongs to the runtime that spawned it: tests
//! share one stack among many runtimes.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};

use crate::place::Place;

/// How often a condition outside this program is looked at.
const POLL: Duration = Duration::from_millis(25);
/// A clean stop that takes longer is a hang. RabbitMQ's takes 6 s, and several times that on a busy machine.
const POLITE: Duration = Duration::from_secs(60);

/// One program with its log and pid file. Dropped, it is killed, unless [`Process::keep`] was called.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    pid_file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    command: Command,
    child: Option<Child>,
    kept: bool,
}

impl Process {
    /// Starts `command` in a process group of its own, out of reach of the terminal's Ctrl-C.
    ///
    /// Its output is appended to the log `name`, its pid written to the pid file `name`. The environment is ours
    /// with the changes that `command` makes.
    #[expect(clippy::needless_pass_by_value, reason = "from now on the command is started through the process alone")]
    pub fn spawn(place: &Place, name: &str, command: Command) -> Result<Self> {
        let mut command = recorded(&command, &place.pid_file(name));
        let log = place.log(name);
        let out =
            File::options().create(true).append(true).open(&log).with_context(|| format!("open log of {name}"))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).current_dir(place.root()).process_group(0);
        let process = Self {
            name: name.to_owned(),
            log,
            pid_file: place.pid_file(name),
            state: Mutex::new(State { command, child: None, kept: false }),
        };
        process.start()?;
        Ok(process)
    }

    /// Starts it again, exactly as before. Nothing happens if it runs.
    pub fn start(&self) -> Result<()> {
        let mut state = self.state();
        if running(&mut state) {
            return Ok(());
        }
        state.child = Some(state.command.spawn().with_context(|| format!("start {}", self.name))?);
        Ok(())
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `None` when it isn't running.
    pub fn pid(&self) -> Option<u32> {
        let mut state = self.state();
        running(&mut state).then(|| state.child.as_ref().map(Child::id)).flatten()
    }

    /// Everything it has written so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends a signal to the program. Nothing happens if it isn't running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.send(signal, signal::kill)
    }

    /// SIGKILL to the program and the helpers in its process group; returns when it is gone.
    pub async fn kill(&self) -> Result<()> {
        self.send(Signal::SIGKILL, signal::killpg)?;
        self.wait().await;
        Ok(())
    }

    /// Asks it to end with `signal` and waits until it has; after a minute it's killed, which is an error.
    pub async fn stop(&self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        match timeout(POLITE, self.wait()).await {
            Ok(status) => Ok(status),
            Err(_) => {
                self.kill().await?;
                bail!("{} didn't end within {} s of {signal}: killed", self.name, POLITE.as_secs())
            }
        }
    }

    /// Waits until it ends by itself.
    pub async fn wait(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            sleep(POLL).await;
        }
    }

    /// How it ended, if it has.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.state().child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Waits until `answers` says yes. An error carries the end of the log; a process that ends is one at once.
    pub async fn until_ready<F>(&self, patience: Duration, answers: impl Fn() -> F + Send + Sync) -> Result<()>
    where
        F: Future<Output = bool> + Send,
    {
        let ready = async {
            while !answers().await {
                if let Some(status) = self.exited() {
                    bail!("{} ended ({status}) before it was ready. {}", self.name, self.last_words());
                }
                sleep(POLL).await;
            }
            Ok(())
        };
        match timeout(patience, ready).await {
            Ok(done) => done,
            Err(_) => bail!("{} isn't ready after {} s. {}", self.name, patience.as_secs(), self.last_words()),
        }
    }

    /// Lets it outlive this one.
    pub fn keep(&self) {
        self.state().kept = true;
    }

    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(15).collect();
        let end: Vec<&str> = lines.into_iter().rev().collect();
        format!("{} ends with:\n{}", self.log.display(), end.join("\n"))
    }

    /// Under the lock, so that the pid cannot have been reaped and given to another program meanwhile.
    fn send(&self, signal: Signal, how: fn(Pid, Signal) -> nix::Result<()>) -> Result<()> {
        let mut state = self.state();
        if running(&mut state)
            && let Some(child) = &state.child
        {
            let pid = i32::try_from(child.id()).context("a pid fits")?;
            how(Pid::from_raw(pid), signal).with_context(|| format!("send {signal} to {}", self.name))?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding the state")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.state().kept {
            return;
        }
        // Nobody is left to tell of a failure, and a pid file of a dead process does no harm.
        if self.send(Signal::SIGKILL, signal::killpg).is_ok()
            && let Some(child) = self.state().child.as_mut()
        {
            child.wait().ok();
        }
        fs::remove_file(&self.pid_file).ok();
    }
}

/// The same command, but its first act is to write its own pid. Written by us it would come too late for the guard
/// if we died just then.
fn recorded(command: &Command, pid_file: &Path) -> Command {
    let mut recorded = Command::new("sh");
    recorded.args(["-c", r#"echo $$ >"$0" && exec "$@""#]).arg(pid_file);
    recorded.arg(command.get_program()).args(command.get_args());
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => recorded.env(variable, value),
            None => recorded.env_remove(variable),
        };
    }
    recorded
}

fn running(state: &mut State) -> bool {
    state.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
}
