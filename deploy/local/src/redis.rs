//! A private Redis.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Process;
use crate::run_dir::{RunDir, write_private};

const PATIENCE: Duration = Duration::from_secs(60);

/// A private server on the loopback address, or an existing server.
pub struct Redis {
    url: String,
    own: Option<OwnProcess>,
}

struct OwnProcess {
    process: Process,
    port: u16,
    password: String,
}

impl Redis {
    /// Starts a server on the data in `run_dir` and returns when it answers.
    pub async fn start(run_dir: &RunDir) -> Result<Self> {
        let folder = run_dir.folder("redis")?;
        let config = folder.join("redis.conf");
        let (port, password) = (run_dir.port("redis")?, run_dir.secret("redis")?);
        // `appendonly`: a write reaches the kernel before it is answered, so SIGKILL loses no data. The settings are in
        // a file because every user of the machine can read the arguments of a process.
        let settings = format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir \"{}\"\nappendonly yes\nsave \"\"\n",
            folder.display()
        );
        write_private(&config, &settings)?;
        let mut command = Command::new("redis-server");
        command.arg(&config);
        let process = Process::spawn(run_dir, "redis", command)?;
        let url = format!("redis://:{password}@127.0.0.1:{port}/0");
        let redis = Self { url, own: Some(OwnProcess { process, port, password }) };
        redis.until_it_answers().await?;
        Ok(redis)
    }

    pub fn existing(url: String) -> Self {
        Self { url, own: None }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref()?.process.pid()
    }

    pub async fn stop(&self) -> Result<()> {
        self.own_process()?.stop(Signal::SIGTERM).await.map(drop)
    }

    /// SIGKILL.
    pub async fn kill(&self) -> Result<()> {
        self.own_process()?.kill().await
    }

    /// Stops the server if it runs, and starts it again on the same port and data.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.own_process()?.start()?;
        self.until_it_answers().await
    }

    pub(crate) fn own_process(&self) -> Result<&Process> {
        self.own.as_ref().map(|own| &own.process).context("Longshore did not start this Redis and does not stop it")
    }

    async fn until_it_answers(&self) -> Result<()> {
        let Some(own) = &self.own else { return Ok(()) };
        own.process.until_ready(PATIENCE, || async { pings(own.port, &own.password).await.unwrap_or(false) }).await
    }
}

/// Whether the server accepts the password and answers. While it loads its data it answers `-LOADING`.
async fn pings(port: u16, password: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("AUTH {password}\r\nPING\r\nQUIT\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.contains("+PONG"))
}
