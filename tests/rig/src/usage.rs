//! Resource usage of processes, and limits of the test process.

use std::fs;

use longshore_local::App;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Peak resident memory of a process in MiB (`VmHWM` of the kernel).
pub fn peak_mib(app: &App) -> u64 {
    let pid = app.process.pid().expect("a running process");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the status of the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// Raises the test's own limit of open files to the hard limit.
pub fn allow_open_files() {
    let (_, hard_limit) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard_limit, hard_limit).expect("the limit may be raised");
}
