//! The run directory of a stack: data, logs, pid files and passwords.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::ports;

/// Names of everything that a stack puts into its run directory.
pub(crate) const CONTENTS: [&str; 11] =
    ["env", "label-studio", "logs", "nginx", "pids", "ports", "postgres", "rabbitmq", "redis", "s3", "secrets"];

/// The run directory of one stack.
///
/// The working directory of every process of the stack is inside it (see [`RunDir::processes`]), so a stale pid file
/// cannot make us signal a process of another program.
#[derive(Debug, Clone)]
pub struct RunDir {
    root: PathBuf,
}

/// A live process that has a pid file in the run directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedProcess {
    pub name: String,
    pub pid: i32,
}

impl RunDir {
    /// Creates the directory, or opens that of an earlier stack.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        fs::create_dir_all(root).with_context(|| format!("make {}", root.display()))?;
        let root = root.canonicalize().with_context(|| format!("find {}", root.display()))?;

        let run_dir = Self { root };
        for name in ["pids", "logs", "secrets"] {
            run_dir.folder(name)?;
        }
        fs::set_permissions(run_dir.root.join("secrets"), Permissions::from_mode(0o700))?;
        Ok(run_dir)
    }

    /// The run directory at `root`, if a stack ever used it.
    pub fn find(root: impl AsRef<Path>) -> Option<Self> {
        let root = root.as_ref().canonicalize().ok()?;
        root.join("pids").is_dir().then_some(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder inside, created if it does not exist.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        DirBuilder::new().recursive(true).mode(0o755).create(&path).with_context(|| format!("make {name}"))?;
        Ok(path)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    pub fn pid_file(&self, name: &str) -> PathBuf {
        self.root.join("pids").join(name)
    }

    /// The file of shell lines `KEY=value` for users of the running stack.
    pub fn env_file(&self) -> PathBuf {
        self.root.join("env")
    }

    /// 32 random bytes in hex. They stay the same while the directory exists, because servers store their passwords in
    /// their data.
    pub fn secret(&self, name: &str) -> Result<String> {
        let path = self.root.join("secrets").join(name);
        if let Ok(secret) = fs::read_to_string(&path) {
            return Ok(secret);
        }
        let secret: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
        // Write the file completely, then link it: processes that create the secret at the same time all read the
        // first one.
        let draft = path.with_extension(&secret[..16]);
        write_private(&draft, &secret)?;
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).with_context(|| format!("write {}", path.display()))
            }
            _ => Ok(fs::read_to_string(&path)?),
        }
    }

    /// The port of a program of the stack. It stays the same while the directory exists and the port is free, because
    /// storages and shells keep addresses.
    pub fn port(&self, name: &str) -> Result<u16> {
        match self.kept_port(name) {
            Some(port) if ports::is_free(port) => Ok(port),
            _ => {
                let port = ports::free()?;
                self.keep_port(name, port)?;
                Ok(port)
            }
        }
    }

    /// The port that a program of the stack had or is to have.
    pub fn kept_port(&self, name: &str) -> Option<u16> {
        fs::read_to_string(self.root.join("ports").join(name)).ok()?.trim().parse().ok()
    }

    /// Gives a program of the stack this port from its next start on.
    pub fn keep_port(&self, name: &str, port: u16) -> Result<()> {
        fs::write(self.folder("ports")?.join(name), port.to_string()).context("write the port")
    }

    /// Replaces a secret by one that the user chose.
    pub fn keep_secret(&self, name: &str, secret: &str) -> Result<()> {
        write_private(&self.root.join("secrets").join(name), secret)
    }

    /// Every running process that has a pid file, ordered by name.
    pub fn processes(&self) -> Vec<RecordedProcess> {
        let Ok(files) = fs::read_dir(self.root.join("pids")) else { return Vec::new() };
        let mut found: Vec<RecordedProcess> = files
            .flatten()
            .filter_map(|file| {
                let name = file.file_name().into_string().ok()?;
                let pid = fs::read_to_string(file.path()).ok()?.trim().parse().ok()?;
                let process = RecordedProcess { name, pid };
                self.is_ours(&process).then_some(process)
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Whether the process is alive and its working directory is inside this one. False for a process that ended, also
    /// if another program has its pid now.
    pub fn is_ours(&self, process: &RecordedProcess) -> bool {
        fs::read_link(format!("/proc/{}/cwd", process.pid)).is_ok_and(|cwd| cwd.starts_with(&self.root))
    }

    /// Removes what the stack put into the directory, and the directory if it is empty then. The stack must be stopped.
    pub fn remove(&self) -> Result<()> {
        for path in CONTENTS.map(|name| self.root.join(name)) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("remove {}", path.display()));
                }
                _ => {}
            }
        }
        // It fails if there are files of other programs, which stay.
        fs::remove_dir(&self.root).ok();
        Ok(())
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    open().and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("write {}", path.display()))
}
