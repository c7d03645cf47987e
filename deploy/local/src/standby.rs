//! Copies of a running PostgreSQL: base backups, and standbys that follow by streaming.
//!
//! What is committed after a copy was cut off from its primary is lost once the copy takes over, which is what a
//! failover with asynchronous replication does.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use reqwest::Url;

use crate::place::Place;
use crate::postgres::{Postgres, as_postgres, give_to_postgres, program, query};
use crate::process::Process;

/// A copy of a server's data as it was when the backup ended.
pub struct BaseBackup {
    name: String,
    data: PathBuf,
}

impl BaseBackup {
    /// Copies the data of a running server into its place. Commits go on meanwhile.
    ///
    /// # Errors
    /// `pg_basebackup` fails, or there is a copy of this name.
    pub async fn take(server: &Postgres, place: &Place, name: &str) -> Result<Self> {
        let data = place.folder("postgres")?.join(name);
        DirBuilder::new().mode(0o700).create(&data).with_context(|| format!("make {}", data.display()))?;
        give_to_postgres(&data)?;
        let port = Url::parse(server.url())?.port().context("a URL with a port")?;
        let mut command = as_postgres(program("pg_basebackup"))?;
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres", "-c", "fast", "--no-sync"]);
        command.args(["-X", "stream", "-D"]).arg(&data).env("PGPASSWORD", place.secret("postgres")?);
        let copying = Process::spawn(place, &format!("{name}-backup"), command)?;
        let status = copying.wait().await;
        ensure!(status.success(), "pg_basebackup failed ({status}):\n{}", copying.log());
        Ok(Self { name: name.to_owned(), data })
    }

    /// Starts a primary on it, which knows nothing that was committed after the backup.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn restore(self, place: &Place) -> Result<Postgres> {
        Postgres::launch(place, &self.name, &self.data, false).await
    }

    /// Starts a standby on it, which streams from the primary at this address until [`promote`].
    ///
    /// # Errors
    /// The server does not start.
    pub async fn follow(self, place: &Place, primary: SocketAddr) -> Result<Postgres> {
        // In a file, for the command line of a process can be read by every user of the machine.
        let settings = format!(
            "primary_conninfo = 'host={} port={} user=postgres password={} application_name={}'\n",
            primary.ip(),
            primary.port(),
            place.secret("postgres")?,
            self.name
        );
        let path = self.data.join("postgresql.auto.conf");
        OpenOptions::new().append(true).open(&path)?.write_all(settings.as_bytes())?;
        let signal = self.data.join("standby.signal");
        OpenOptions::new().write(true).create_new(true).open(&signal)?;
        give_to_postgres(&signal)?;
        Postgres::launch(place, &self.name, &self.data, false).await
    }
}

/// Makes a standby a primary and returns when it takes writes. What it has received by then is all it knows.
///
/// # Errors
/// The server is no standby, or does not answer.
pub async fn promote(standby: &Postgres) -> Result<()> {
    // With `true` it returns once the promotion is over.
    query(&standby.url_of("postgres")?, "SELECT pg_promote(true)").await.context("promote the standby")
}
