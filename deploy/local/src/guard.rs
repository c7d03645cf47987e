//! Kills the processes of a stack whose owner died.
//!
//! A small shell script reads from a pipe that only the owner can write to. When the owner ends, also by SIGKILL, the
//! pipe closes, and the script kills every process that has a pid file in the run directory.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::run_dir::{CONTENTS, RunDir};

/// The first argument is the run directory, the others are the names to remove from it. It looks for processes twice,
/// because the owner may have died while it was starting one. It checks the working directory as [`RunDir::is_ours`]
/// does. It removes files repeatedly, because helpers of a killed server may still be writing.
const SCRIPT: &str = r#"
[ "$(cat)" != leave ] || exit 0
run_dir=$1
shift
for pass in 1 2; do
    for file in "$run_dir"/pids/*; do
        pid=$(cat "$file") || continue
        case $(readlink "/proc/$pid/cwd") in "$run_dir" | "$run_dir"/*) kill -9 "-$pid" ;; esac
    done
    sleep 0.3
done
[ $# -gt 0 ] || exit 0
cd "$run_dir"
for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$@" && break; sleep 0.3; done
rmdir "$run_dir"
"#;

/// What the guard does with the run directory after killing the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    Keep,
    Remove,
}

/// While it lives, the processes of a run directory end with this process. Dropping it kills them immediately.
#[derive(Debug)]
pub struct Guard {
    script: Child,
}

impl Guard {
    pub fn watch(run_dir: &RunDir, folder: Folder) -> Result<Self> {
        let contents: &[&str] = if folder == Folder::Remove { &CONTENTS } else { &[] };
        let script = Command::new("sh")
            .args(["-c", SCRIPT, "longshore-guard"])
            .arg(run_dir.root())
            .args(contents)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start the guard")?;
        Ok(Self { script })
    }

    /// Ends the guard and leaves the processes running.
    pub fn dismiss(mut self) -> Result<()> {
        let pipe = self.script.stdin.as_mut().context("the guard has a pipe")?;
        pipe.write_all(b"leave").context("dismiss the guard")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        self.script.wait().ok();
    }
}
