//! Free ports on the loopback address.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;

use anyhow::{Result, bail};

/// Below the ports that the kernel gives to outgoing connections (from 32768), so that no client takes a server's port
/// while that server restarts; above the ports of well-known servers.
const RANGE: Range<u16> = 20_000..32_000;

/// Ports that this process has handed out: the server that gets one may not have bound it yet.
static USED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port without a listener. A process never gets the same port twice.
pub fn free() -> Result<u16> {
    let mut used = USED.lock().expect("nothing panics while holding the set");
    for _ in 0..1000 {
        let port = rand::random_range(RANGE);
        if !used.contains(&port) && is_free(port) {
            used.insert(port);
            return Ok(port);
        }
    }
    bail!("no free port between {} and {}", RANGE.start, RANGE.end)
}

/// Whether a port has no listener.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
