//! A private PostgreSQL.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use longshore_db::Address;
use longshore_model::Secret;
use nix::sys::signal::Signal;
use nix::unistd::{User, chown, geteuid};
use reqwest::Url;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;

use crate::process::Process;
use crate::run_dir::{RunDir, write_private};

const PATIENCE: Duration = Duration::from_secs(60);

/// A private server on the loopback address with a database `longshore`, or an existing server.
pub struct Postgres {
    url: String,
    process: Option<Process>,
}

impl Postgres {
    /// Starts a server on the data in `run_dir`, or on new data, and returns when it answers.
    ///
    /// Without `fsync`, data survives the death of a process but not a crash of the machine.
    pub async fn start(run_dir: &RunDir, fsync: bool) -> Result<Self> {
        let data = initialize(run_dir).await?;
        let postgres = Self::launch(run_dir, "postgres", &data, fsync, &[]).await?;
        create_database(&postgres.url_of("postgres")?, "longshore").await?;
        Ok(postgres)
    }

    /// Starts a server that also speaks TLS, with the files of an authority, a certificate and its key. `access` comes
    /// first in `pg_hba.conf`.
    pub async fn start_encrypted(run_dir: &RunDir, files: [&Path; 3], access: &str) -> Result<Self> {
        let data = initialize(run_dir).await?;
        let hba = data.join("pg_hba.conf");
        fs::write(&hba, format!("{access}{}", fs::read_to_string(&hba)?))?;
        let mut settings = vec!["ssl=on".to_owned()];
        for (setting, file) in ["ssl_ca_file", "ssl_cert_file", "ssl_key_file"].into_iter().zip(files) {
            // The server accepts a key only if no one else can read it.
            fs::set_permissions(file, Permissions::from_mode(0o600))?;
            give_to_postgres(file)?;
            settings.push(format!("{setting}={}", file.display()));
        }
        let postgres = Self::launch(run_dir, "postgres", &data, false, &settings).await?;
        create_database(&postgres.url_of("postgres")?, "longshore").await?;
        Ok(postgres)
    }

    /// Starts a server on a data folder and returns when it answers. `name` is the name of its log and pid file.
    /// `settings` are added, such as `ssl=on`.
    pub(crate) async fn launch(
        run_dir: &RunDir,
        name: &str,
        data: &Path,
        fsync: bool,
        settings: &[String],
    ) -> Result<Self> {
        let port = run_dir.port(name)?;
        let mut command = as_postgres(program("postgres"))?;
        command.arg("-D").arg(data).args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        // 300, because every test has its own database and pools.
        command.args(["-c", &format!("port={port}"), "-c", "max_connections=300"]);
        if !fsync {
            // Not `synchronous_commit=off`: with it, SIGKILL of the server loses acknowledged commits.
            command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        for setting in settings {
            command.args(["-c", setting]);
        }
        let url = format!("postgres://postgres:{}@127.0.0.1:{port}/longshore", run_dir.secret("postgres")?);
        let postgres = Self { url, process: Some(Process::spawn(run_dir, name, command)?) };
        postgres.until_it_answers(&postgres.url_of("postgres")?).await?;
        Ok(postgres)
    }

    pub fn existing(url: String) -> Self {
        Self { url, process: None }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref()?.pid()
    }

    /// Everything the server has written to its log.
    pub fn log(&self) -> Result<String> {
        Ok(self.own_process()?.log())
    }

    /// Creates a database unless it exists, and returns its URL.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        create_database(&self.url, name).await?;
        self.url_of(name)
    }

    /// The URL of a database of this server.
    pub fn url_of(&self, database: &str) -> Result<String> {
        let mut url = Url::parse(&self.url).context("read the database's URL")?;
        url.set_path(database);
        Ok(url.into())
    }

    /// Ends every session and stops.
    pub async fn stop(&self) -> Result<()> {
        self.own_process()?.stop(Signal::SIGINT).await.map(drop)
    }

    /// Sends SIGKILL, which clients see as a crash. Sessions end a moment after the server.
    pub async fn kill(&self) -> Result<()> {
        self.own_process()?.kill().await
    }

    /// Stops the server if it runs, and starts it again on the same port and data.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.until_it_answers(&self.url).await
    }

    pub(crate) fn own_process(&self) -> Result<&Process> {
        self.process.as_ref().context("Longshore did not start this PostgreSQL and does not stop it")
    }

    /// Starts the server until it keeps running: for a second or two after SIGKILL, the sessions of the dead server
    /// hold its shared memory, and a new server refuses to start.
    async fn until_it_answers(&self, url: &str) -> Result<()> {
        let process = self.own_process()?;
        let answered = timeout(PATIENCE, async {
            loop {
                process.start()?;
                let answers = process.until_ready(PATIENCE, || async { query(url, "SELECT 1").await.is_ok() }).await;
                if answers.is_ok() {
                    return answers;
                }
                sleep(Duration::from_millis(200)).await;
            }
        });
        answered.await.with_context(|| format!("PostgreSQL does not start:\n{}", process.log()))?
    }
}

/// Creates the data folder. It gets its final name when it is complete.
async fn initialize(run_dir: &RunDir) -> Result<PathBuf> {
    let folder = run_dir.folder("postgres")?;
    let data = folder.join("data");
    if data.is_dir() {
        return Ok(data);
    }
    let (fresh, password) = (folder.join("fresh"), folder.join("password"));
    if fresh.is_dir() {
        fs::remove_dir_all(&fresh)?;
    }
    DirBuilder::new().mode(0o700).create(&fresh)?;
    write_private(&password, &run_dir.secret("postgres")?)?;
    for path in [&fresh, &password] {
        give_to_postgres(path)?;
    }

    let mut command = as_postgres(program("initdb"))?;
    command.args(["-U", "postgres", "--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]);
    command.arg("-D").arg(&fresh).arg("--pwfile").arg(&password);
    let initdb = Process::spawn(run_dir, "initdb", command)?;
    let status = initdb.wait().await;
    ensure!(status.success(), "initdb failed ({status}):\n{}", initdb.log());
    fs::remove_file(&password)?;
    fs::rename(&fresh, &data)?;
    Ok(data)
}

/// The path of a program of PostgreSQL. Debian installs each version in its own folder outside the PATH; we use the
/// newest.
pub fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path())))
        .map(|(version, folder)| (version, folder.join("bin").join(name)))
        .filter(|(_, program)| program.is_file())
        .max();
    newest.map_or_else(|| name.into(), |(_, program)| program)
}

/// A command that runs as user `postgres` if we are root, because PostgreSQL refuses to run as root. The capability
/// lets that user enter the folders above the data, such as `/root`.
pub(crate) fn as_postgres(program: PathBuf) -> Result<Command> {
    let Some(user) = postgres_user()? else { return Ok(Command::new(program)) };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={}", user.gid)).args([
        OsString::from("--clear-groups"),
        "--inh-caps=+dac_override".into(),
        "--ambient-caps=+dac_override".into(),
        "--".into(),
        program.into(),
    ]);
    Ok(command)
}

pub(crate) fn give_to_postgres(path: &Path) -> Result<()> {
    if let Some(user) = postgres_user()? {
        chown(path, Some(user.uid), Some(user.gid)).with_context(|| format!("chown {}", path.display()))?;
    }
    Ok(())
}

/// The user `postgres` if we are root; `None` otherwise, then PostgreSQL runs as the current user.
fn postgres_user() -> Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    User::from_name("postgres")?.context("user postgres not found; PostgreSQL cannot run as root").map(Some)
}

/// The SQLSTATE with which the server refused a statement.
fn sql_state(error: &anyhow::Error) -> Option<&SqlState> {
    error.downcast_ref::<tokio_postgres::Error>()?.code()
}

async fn create_database(url: &str, name: &str) -> Result<()> {
    let quoted = name.replace('"', "\"\"");
    match query(url, &format!("CREATE DATABASE \"{quoted}\"")).await {
        Err(error) if sql_state(&error) == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
        done => done.with_context(|| format!("create database {name}")),
    }
}

/// Runs one statement on a new connection, which is encrypted as the URL says.
pub(crate) async fn query(url: &str, statement: &str) -> Result<()> {
    let address = Address::parse(&Secret::new(url)).map_err(|error| anyhow!("DATABASE_URL {error}"))?;
    let (client, connection) = address.connect().await?;
    tokio::select! {
        // Boxed, because it would make the futures of all callers too large.
        ended = Box::pin(connection) => Ok(ended?),
        done = client.batch_execute(statement) => Ok(done?),
    }
}
