//! A private Redis.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::place::{Place, write_private};
use crate::ports;
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server on the loopback address; or one that was there before.
pub struct Redis {
    url: String,
    own: Option<Own>,
}

struct Own {
    process: Process,
    port: u16,
    password: String,
}

impl Redis {
    /// Starts a server on the data in the place and returns when it answers.
    pub async fn start(place: &Place) -> Result<Self> {
        let folder = place.folder("redis")?;
        let config = folder.join("redis.conf");
        let (port, password) = (ports::free()?, place.secret("redis")?);
        // The log of writes is handed to the kernel before a write is answered, so SIGKILL loses nothing. In a
        // file, because arguments are for everybody to see.
        let settings = format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir \"{}\"\nappendonly yes\nsave \"\"\n",
            folder.display()
        );
        write_private(&config, &settings)?;
        let mut command = Command::new("redis-server");
        command.arg(&config);
        let process = Process::spawn(place, "redis", command)?;
        let url = format!("redis://:{password}@127.0.0.1:{port}/0");
        let redis = Self { url, own: Some(Own { process, port, password }) };
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
        self.ours()?.stop(Signal::SIGTERM).await.map(drop)
    }

    /// SIGKILL.
    pub async fn kill(&self) -> Result<()> {
        self.ours()?.kill().await
    }

    /// Stops it if it runs and starts it again: same port, same data.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.ours()?.start()?;
        self.until_it_answers().await
    }

    pub(crate) fn ours(&self) -> Result<&Process> {
        self.own.as_ref().map(|own| &own.process).context("this Redis isn't ours to stop")
    }

    async fn until_it_answers(&self) -> Result<()> {
        let Some(own) = &self.own else { return Ok(()) };
        own.process.until_ready(PATIENCE, || async { pings(own.port, &own.password).await.unwrap_or(false) }).await
    }
}

/// Whether the server takes the password and answers. While it loads its data it says `-LOADING` instead.
async fn pings(port: u16, password: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("AUTH {password}\r\nPING\r\nQUIT\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.contains("+PONG"))
}
