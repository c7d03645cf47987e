//! What processes use, and what the test itself may use.

use std::fs;

use longshore_local::App;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The most resident memory that a process ever had, in MiB, as the kernel counts it.
pub fn peak_mib(app: &App) -> u64 {
    let pid = app.process.pid().expect("a running process");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the status of the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// Lets the test itself hold as many sockets as the system allows.
pub fn allow_open_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("the limit may be raised");
}
