//! Longshore's own programs as processes of a stack.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tokio::net::TcpStream;

use crate::place::Place;
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(60);

/// A program that listens on the loopback address.
pub struct App {
    pub process: Process,
    address: SocketAddr,
}

impl App {
    /// Starts `command`, which was told to listen on `port`. `name` names its log and pid file.
    pub fn spawn(place: &Place, name: &str, command: Command, port: u16) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { process: Process::spawn(place, name, command)?, address })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until `/readyz` says 200: it has reached everything it needs.
    pub async fn until_ready(&self) -> Result<()> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let url = format!("{}/readyz", self.url());
        let ready = || async { client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) };
        self.process.until_ready(PATIENCE, ready).await
    }

    /// Waits until it accepts connections, which is all a program without `/readyz` can show.
    pub async fn until_listening(&self) -> Result<()> {
        self.process.until_ready(PATIENCE, || async { TcpStream::connect(self.address).await.is_ok() }).await
    }

    /// SIGTERM, and then as long as it takes to finish its work in hand.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.process.stop(Signal::SIGTERM).await
    }
}

/// A program of this workspace, beside the one that runs now (or above it: cargo keeps tests a folder deeper).
pub fn program(name: &str) -> Result<PathBuf> {
    let me = std::env::current_exe().context("find this program")?;
    let folder =
        me.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).context("find this program's folder")?;
    let path = folder.join(name);
    ensure!(path.is_file(), "{} isn't built: cargo build --workspace --bins", path.display());
    Ok(path)
}
