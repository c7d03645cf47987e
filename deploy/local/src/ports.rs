//! Free ports on the loopback address.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;

use anyhow::{Result, bail};

/// Below the ports the kernel gives to outgoing connections (from 32768), so that no client of anything takes a
/// server's port while that server is down and about to be restarted; above the ports of well-known servers.
const RANGE: Range<u16> = 20_000..32_000;

/// What this process has handed out: the server it is meant for may not have bound it yet.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that nobody listens on. Never the same one twice in a process.
pub fn free() -> Result<u16> {
    let mut given = GIVEN.lock().expect("nothing panics while holding the set");
    for _ in 0..1000 {
        let port = rand::random_range(RANGE);
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    bail!("no free port between {} and {}", RANGE.start, RANGE.end)
}
