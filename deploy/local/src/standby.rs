//! Copies of a running PostgreSQL: base backups and streaming standbys.
//!
//! Commits after a copy lost its primary are lost when the copy takes over, as in a failover with asynchronous
//! replication.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use reqwest::Url;

use crate::postgres::{Postgres, as_postgres, give_to_postgres, program, query};
use crate::process::Process;
use crate::run_dir::RunDir;

/// A copy of a server's data at the end of the backup.
pub struct BaseBackup {
    name: String,
    data: PathBuf,
}

impl BaseBackup {
    /// Copies the data of a running server into `run_dir`. The server accepts commits meanwhile.
    ///
    /// # Errors
    /// `pg_basebackup` fails, or a copy of this name exists.
    pub async fn take(server: &Postgres, run_dir: &RunDir, name: &str) -> Result<Self> {
        let data = run_dir.folder("postgres")?.join(name);
        DirBuilder::new().mode(0o700).create(&data).with_context(|| format!("make {}", data.display()))?;
        give_to_postgres(&data)?;
        let port = Url::parse(server.url())?.port().context("a URL with a port")?;
        let mut command = as_postgres(program("pg_basebackup"))?;
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres", "-c", "fast", "--no-sync"]);
        command.args(["-X", "stream", "-D"]).arg(&data).env("PGPASSWORD", run_dir.secret("postgres")?);
        let copying = Process::spawn(run_dir, &format!("{name}-backup"), command)?;
        let status = copying.wait().await;
        ensure!(status.success(), "pg_basebackup failed ({status}):\n{}", copying.log());
        Ok(Self { name: name.to_owned(), data })
    }

    /// Starts a primary on the copy. It lacks the commits after the backup.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn restore(self, run_dir: &RunDir) -> Result<Postgres> {
        Postgres::launch(run_dir, &self.name, &self.data, false, &[]).await
    }

    /// Starts a standby on the copy, which streams from the primary at this address until [`promote`].
    ///
    /// # Errors
    /// The server does not start.
    pub async fn follow(self, run_dir: &RunDir, primary: SocketAddr) -> Result<Postgres> {
        // In a file, because every user of the machine can read the command line of a process.
        let settings = format!(
            "primary_conninfo = 'host={} port={} user=postgres password={} application_name={}'\n",
            primary.ip(),
            primary.port(),
            run_dir.secret("postgres")?,
            self.name
        );
        let path = self.data.join("postgresql.auto.conf");
        OpenOptions::new().append(true).open(&path)?.write_all(settings.as_bytes())?;
        let signal = self.data.join("standby.signal");
        OpenOptions::new().write(true).create_new(true).open(&signal)?;
        give_to_postgres(&signal)?;
        Postgres::launch(run_dir, &self.name, &self.data, false, &[]).await
    }
}

/// Makes a standby the primary and returns when it accepts writes. It has the commits that it received until then.
///
/// # Errors
/// The server is no standby, or does not answer.
pub async fn promote(standby: &Postgres) -> Result<()> {
    // `true`: wait until the promotion has ended.
    query(&standby.url_of("postgres")?, "SELECT pg_promote(true)").await.context("promote the standby")
}
