//! Longshore's own programs as processes of a stack.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tokio::net::TcpStream;

use crate::process::Process;
use crate::run_dir::RunDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// A program that listens on the loopback address.
pub struct App {
    pub process: Process,
    address: SocketAddr,
}

impl App {
    /// Starts `command`, which must listen on `port`. `name` is the name of its log and pid file.
    pub fn spawn(run_dir: &RunDir, name: &str, command: Command, port: u16) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { process: Process::spawn(run_dir, name, command)?, address })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until `/readyz` answers 200: the program has reached all servers it needs.
    pub async fn until_ready(&self) -> Result<()> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let url = format!("{}/readyz", self.url());
        let ready = || async { client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) };
        self.process.until_ready(PATIENCE, ready).await
    }

    /// Waits until the program accepts connections. For programs without `/readyz`.
    pub async fn until_listening(&self) -> Result<()> {
        self.process.until_ready(PATIENCE, || async { TcpStream::connect(self.address).await.is_ok() }).await
    }

    /// Sends SIGTERM and waits until the program has finished its current work and ended.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.process.stop(Signal::SIGTERM).await
    }
}

/// The path of a program of this workspace: in the folder of the current program, or one above (cargo puts tests into
/// `deps`).
pub fn program(name: &str) -> Result<PathBuf> {
    let current = std::env::current_exe().context("find this program")?;
    let folder =
        current.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).context("find this program's folder")?;
    let path = folder.join(name);
    ensure!(path.is_file(), "{} is not built; run `cargo build --workspace --bins`", path.display());
    Ok(path)
}
