//! Kills what a dead owner left behind.
//!
//! A small shell script holds the reading end of a pipe whose other end only the owner has. However the owner
//! ends, SIGKILL included, the pipe closes; then everything with a pid file in the place is killed.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::place::{CONTENTS, Place};

/// The first argument is the place, the others what to remove from it. It looks twice, for the owner may have died while it was
/// starting something; the check of the working folder is [`Place::is_ours`] again; and the last helpers of a
/// killed server may still be writing when the folder goes.
const SCRIPT: &str = r#"
[ "$(cat)" != leave ] || exit 0
place=$1
shift
for pass in 1 2; do
    for file in "$place"/pids/*; do
        pid=$(cat "$file") || continue
        case $(readlink "/proc/$pid/cwd") in "$place" | "$place"/*) kill -9 "-$pid" ;; esac
    done
    sleep 0.3
done
[ $# -gt 0 ] || exit 0
cd "$place"
for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$@" && break; sleep 0.3; done
rmdir "$place"
"#;

/// What becomes of the folder when the guard strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    Keep,
    Remove,
}

/// While it lives, the processes of a place end with this process. Dropped, it ends them at once.
#[derive(Debug)]
pub struct Guard {
    script: Child,
}

impl Guard {
    pub fn watch(place: &Place, folder: Folder) -> Result<Self> {
        let contents: &[&str] = if folder == Folder::Remove { &CONTENTS } else { &[] };
        let script = Command::new("sh")
            .args(["-c", SCRIPT, "longshore-guard"])
            .arg(place.root())
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

    /// Sends the guard home: the processes stay.
    pub fn dismiss(mut self) -> Result<()> {
        let pipe = self.script.stdin.as_mut().context("the guard listens")?;
        pipe.write_all(b"leave").context("dismiss the guard")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        self.script.wait().ok();
    }
}
