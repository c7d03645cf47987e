//! A process of the stack, which can be signalled, killed and started again.
//!
//! It uses the standard library's `Child`. Tokio's belongs to the runtime that spawned it, and tests in many runtimes
//! share one stack.

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

use crate::run_dir::RunDir;

/// How often a condition outside this program is checked.
const POLL: Duration = Duration::from_millis(25);
/// Longest clean stop. RabbitMQ's takes 6 s, and several times as long on a busy machine.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// One program with its log and pid file. Dropping it kills the program, unless [`Process::keep`] was called.
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
    outlives_owner: bool,
}

impl Process {
    /// Starts `command` in its own process group, so that the terminal's Ctrl-C does not reach it.
    ///
    /// Its output is appended to the log `name`, its pid is written to the pid file `name`. It inherits our environment
    /// with the changes in `command`.
    #[expect(clippy::needless_pass_by_value, reason = "only the process starts the command from now on")]
    pub fn spawn(run_dir: &RunDir, name: &str, command: Command) -> Result<Self> {
        let mut command = with_pid_file(&command, &run_dir.pid_file(name));
        let log = run_dir.log(name);
        let out =
            File::options().create(true).append(true).open(&log).with_context(|| format!("open log of {name}"))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).current_dir(run_dir.root()).process_group(0);
        let process = Self {
            name: name.to_owned(),
            log,
            pid_file: run_dir.pid_file(name),
            state: Mutex::new(State { command, child: None, outlives_owner: false }),
        };
        process.start()?;
        Ok(process)
    }

    /// Starts it again with the same command. Does nothing if it runs.
    pub fn start(&self) -> Result<()> {
        let mut state = self.state();
        if is_running(&mut state) {
            return Ok(());
        }
        state.child = Some(state.command.spawn().with_context(|| format!("start {}", self.name))?);
        Ok(())
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `None` if it is not running.
    pub fn pid(&self) -> Option<u32> {
        let mut state = self.state();
        is_running(&mut state).then(|| state.child.as_ref().map(Child::id)).flatten()
    }

    /// Everything it has written to its log.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends a signal to the program. Does nothing if it is not running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.send(signal, signal::kill)
    }

    /// Sends SIGKILL to the program and its process group, and waits until it has ended.
    pub async fn kill(&self) -> Result<()> {
        self.send(Signal::SIGKILL, signal::killpg)?;
        self.wait().await;
        Ok(())
    }

    /// Sends `signal` and waits until the program has ended. After a minute it is killed, which is an error.
    pub async fn stop(&self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        match timeout(STOP_PATIENCE, self.wait()).await {
            Ok(status) => Ok(status),
            Err(_) => {
                self.kill().await?;
                bail!("{} did not end within {} s of {signal}: killed", self.name, STOP_PATIENCE.as_secs())
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

    /// How it ended; `None` while it runs.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.state().child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Waits until `answers` returns true. The error contains the end of the log; a process that ends is an error
    /// immediately.
    pub async fn until_ready<F>(&self, patience: Duration, answers: impl Fn() -> F + Send + Sync) -> Result<()>
    where
        F: Future<Output = bool> + Send,
    {
        let ready = async {
            while !answers().await {
                if let Some(status) = self.exited() {
                    bail!("{} ended ({status}) before it was ready. {}", self.name, self.log_tail());
                }
                sleep(POLL).await;
            }
            Ok(())
        };
        match timeout(patience, ready).await {
            Ok(done) => done,
            Err(_) => bail!("{} is not ready after {} s. {}", self.name, patience.as_secs(), self.log_tail()),
        }
    }

    /// Lets the program outlive this process.
    pub fn keep(&self) {
        self.state().outlives_owner = true;
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(15).collect();
        let end: Vec<&str> = lines.into_iter().rev().collect();
        format!("{} ends with:\n{}", self.log.display(), end.join("\n"))
    }

    /// Holds the lock, so that the child cannot be reaped and its pid reused before the signal is sent.
    fn send(&self, signal: Signal, how: fn(Pid, Signal) -> nix::Result<()>) -> Result<()> {
        let mut state = self.state();
        if is_running(&mut state)
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
        if self.state().outlives_owner {
            return;
        }
        // A drop cannot report an error, and a pid file of a dead process is harmless.
        if self.send(Signal::SIGKILL, signal::killpg).is_ok()
            && let Some(child) = self.state().child.as_mut()
        {
            child.wait().ok();
        }
        fs::remove_file(&self.pid_file).ok();
    }
}

/// The same command with a shell around it that first writes its own pid. If we wrote it after the start and died in
/// between, the guard would not find the process.
fn with_pid_file(command: &Command, pid_file: &Path) -> Command {
    let mut wrapped = Command::new("sh");
    wrapped.args(["-c", r#"echo $$ >"$0" && exec "$@""#]).arg(pid_file);
    wrapped.arg(command.get_program()).args(command.get_args());
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(variable, value),
            None => wrapped.env_remove(variable),
        };
    }
    wrapped
}

fn is_running(state: &mut State) -> bool {
    state.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
}
