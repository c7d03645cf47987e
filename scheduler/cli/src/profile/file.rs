//! The file of the profiles: JSON that only its owner may read, because it holds tokens.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};

/// The permissions of everyone but the owner.
const OTHERS: u32 = 0o077;

/// The most bytes that are read: thousands of profiles.
const MAX_BYTES: u64 = 1024 * 1024;

/// All profiles.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct File {
    /// The name of the profile that is used without `--profile`.
    #[serde(default)]
    pub(super) current: Option<String>,
    #[serde(default)]
    pub(super) profiles: BTreeMap<String, Profile>,
}

/// A scheduler and a token. No `Debug` of the token: it is secret.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) url: String,
    #[serde(default)]
    pub(super) token: Option<String>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Profile {
    /// Whether the URL is that of the profile.
    pub(super) fn is_at(&self, url: &str) -> bool {
        self.url.trim_end_matches('/') == url.trim_end_matches('/')
    }
}

impl File {
    /// Reads the file; without one there are no profiles.
    ///
    /// # Errors
    /// Others may read or write the file, or it is not a file of profiles.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let fault = |error: std::io::Error| CliError::Profiles { path: path.to_owned(), fault: error.to_string() };
        // Of the open file, so that it cannot be replaced between the check and the reading.
        let file = match fs::File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            opened => opened.map_err(fault)?,
        };
        let metadata = file.metadata().map_err(fault)?;
        if metadata.permissions().mode() & OTHERS != 0 {
            return Err(CliError::PublicProfiles { path: path.to_owned() });
        }
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_BYTES), &mut text).map_err(fault)?;
        // The cause would quote the text, which holds tokens.
        serde_json::from_str(&text).map_err(|error| CliError::Profiles {
            path: path.to_owned(),
            fault: format!("line {} is not what `longshore profile add` writes", error.line()),
        })
    }

    /// The profile of this name.
    pub(super) fn profile(&self, name: &str) -> Result<Profile> {
        self.profiles.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            CliError::NoProfile { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// Replaces the file as a whole, so that a crash leaves the old one.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        self.replace(path).map_err(|error| CliError::Profiles { path: path.to_owned(), fault: error.to_string() })
    }

    fn replace(&self, path: &Path) -> std::io::Result<()> {
        // A link stays: people keep such files elsewhere.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        // A draft that a killed command left may have other permissions.
        fs::remove_file(&draft).ok();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n"))?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    }
}

/// Where the file is without `--profiles`; `None` without a home folder.
pub(super) fn default_path() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))?;
    Some(config.join("longshore").join("profiles.json"))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn only_the_owner_may_read_the_file() {
        let folder = std::env::temp_dir().join(format!("longshore-profiles-{}", std::process::id()));
        let path = folder.join("deep/profiles.json");
        let mut file = File::default();
        let profile = Profile { url: "http://h".to_owned(), token: Some("hunter2".to_owned()) };
        file.profiles.insert("one".to_owned(), profile);
        assert!(!format!("{file:?}").contains("hunter2"));
        file.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(File::read(&path).unwrap().profile("one").unwrap().token.as_deref(), Some("hunter2"));

        for mode in [0o604, 0o640, 0o660, 0o602] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = File::read(&path).unwrap_err();
            assert!(matches!(error, CliError::PublicProfiles { .. }), "{mode:o}: {error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "{\"profiles\": {\"one\": {\"url\": 1, \"token\": \"hunter2\"").unwrap();
        let error = File::read(&path).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
        assert!(File::read(&path).unwrap().profiles.is_empty());
    }
}
