//! The source files of the workspace.

use std::path::PathBuf;

/// The folders of the crates.
pub(crate) const CRATES: [&str; 12] = [
    "shared/model",
    "shared/telemetry",
    "shared/storage",
    "shared/db",
    "shared/broker",
    "shared/filter",
    "shared/items",
    "shared/uri",
    "worker",
    "scheduler",
    "scheduler/cli",
    "deploy/local",
];

/// One Rust file.
pub(crate) struct Source {
    /// The path, relative to the workspace.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Whether it contains only tests.
    pub(crate) is_test: bool,
}

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    longshore_rig::installed::workspace().to_owned()
}

/// All source files of a crate, except those of crates in its subfolders.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let root = workspace();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                if !path.join("Cargo.toml").exists() {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("its text");
                let path = path.strip_prefix(&root).expect("it is below").to_str().expect("plain names").to_owned();
                let is_test = path.starts_with("tests/it/") || path.contains("/tests/") || path.ends_with("/tests.rs");
                found.push(Source { path, text, is_test });
            }
        }
    }
    found
}
