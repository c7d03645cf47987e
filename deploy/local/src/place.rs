//! The folder a stack lives in: data, logs, pid files, passwords.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// All that a stack puts into its folder.
pub(crate) const CONTENTS: [&str; 7] = ["env", "logs", "pids", "postgres", "rabbitmq", "redis", "secrets"];

/// A folder that holds one stack.
///
/// Every process of the stack works below it (see [`Place::processes`]), so that a stale pid file can never
/// make us signal a stranger's process.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
}

/// A live process that a pid file of the place names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub name: String,
    pub pid: i32,
}

impl Place {
    /// Makes the folder, or opens the one an earlier stack left behind.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        fs::create_dir_all(root).with_context(|| format!("make {}", root.display()))?;
        let root = root.canonicalize().with_context(|| format!("find {}", root.display()))?;

        let place = Self { root };
        for name in ["pids", "logs", "secrets"] {
            place.folder(name)?;
        }
        fs::set_permissions(place.root.join("secrets"), Permissions::from_mode(0o700))?;
        Ok(place)
    }

    /// The place at `root`, if a stack has ever been there.
    pub fn find(root: impl AsRef<Path>) -> Option<Self> {
        let root = root.as_ref().canonicalize().ok()?;
        root.join("pids").is_dir().then_some(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder of the place, made if it isn't there.
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

    /// Shell `KEY=value` lines for whoever wants to use the running stack.
    pub fn env_file(&self) -> PathBuf {
        self.root.join("env")
    }

    /// 32 random bytes in hex, the same for as long as the place exists: servers keep their passwords in their data.
    pub fn secret(&self, name: &str) -> Result<String> {
        let path = self.root.join("secrets").join(name);
        if let Ok(secret) = fs::read_to_string(&path) {
            return Ok(secret);
        }
        let secret: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
        // Linked whole to its name: of several who make it at once, all read the first one's.
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

    /// Every process with a pid file that still runs, by name.
    pub fn processes(&self) -> Vec<Recorded> {
        let Ok(files) = fs::read_dir(self.root.join("pids")) else { return Vec::new() };
        let mut found: Vec<Recorded> = files
            .flatten()
            .filter_map(|file| {
                let name = file.file_name().into_string().ok()?;
                let pid = fs::read_to_string(file.path()).ok()?.trim().parse().ok()?;
                let process = Recorded { name, pid };
                self.is_ours(&process).then_some(process)
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Whether the process is alive and works in this place. Of one that ended, or whose number was given to
    /// another program since, neither can be said.
    pub fn is_ours(&self, process: &Recorded) -> bool {
        fs::read_link(format!("/proc/{}/cwd", process.pid)).is_ok_and(|cwd| cwd.starts_with(&self.root))
    }

    /// Removes what the stack put into the folder, and the folder if nothing else is in it. The stack must be stopped.
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
        // What isn't ours may be in it.
        fs::remove_dir(&self.root).ok();
        Ok(())
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    open().and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("write {}", path.display()))
}
