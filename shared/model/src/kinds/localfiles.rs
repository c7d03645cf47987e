//! Local files: a folder of the machines that Longshore runs on.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::field::Field;
use super::kind::{KindConnection, KindData, UriForm, folder};
use super::no_secrets::NoSecrets;
use super::shared_fields::{ALL_OBJECTS, EXPORT, FOLDERS, IDENTITY, REGEX_FILTER, STOP_WHEN_UNUSABLE, USE_BLOB_URLS};
use crate::FailureReason;

const CONNECTION: &[Field] = &[Field::path(
    "path",
    "Absolute path of a folder below the servers' document root; `\\`, repeated slashes, `.` and `..` are resolved first",
)
.required()
.example("\"/data/dataset1\"")
.flag("path")
.blamed_for(&[
    FailureReason::NoSuchFolder,
    FailureReason::RootItself,
    FailureReason::OutsideRoot,
    FailureReason::AccessDenied,
])];

/// Expressions are matched against names, because keys begin with the folder's path, which users do not want to repeat.
const IMPORT: &[Field] = &[
    Field { about: "Python regular expression, matched at the start of the file's **name**", ..REGEX_FILTER },
    USE_BLOB_URLS,
    ALL_OBJECTS,
    STOP_WHEN_UNUSABLE,
];

/// A folder below the document root that the operator configures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalfilesConnection {
    /// Absolute path of the folder.
    pub path: String,
}

impl KindConnection for LocalfilesConnection {
    const DATA: KindData = KindData {
        title: "Local files",
        about: "A folder of the machines that Longshore runs on",
        connection: &[CONNECTION],
        shared: &[FOLDERS, IMPORT, EXPORT, IDENTITY],
        place: "path",
        uri: UriForm::LocalFile,
        filters_names: true,
    };

    type Secrets = NoSecrets;

    /// Keys are whole paths.
    fn prefix(&self) -> String {
        folder(Some(&self.path))
    }

    fn bucket(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
}

/// Normalizes a path: resolves backslashes, repeated slashes, `.` and `..`.
///
/// The caller must then check whether the path is allowed.
pub fn plain_path(path: &str) -> String {
    let path = path.trim().replace('\\', "/");
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_normalized_and_cannot_hide_its_target() {
        for (typed, plain) in [
            (" /data/pics/ ", "/data/pics"),
            ("/data//pics/./a", "/data/pics/a"),
            ("/data/pics/../../etc", "/etc"),
            ("/data/pics\\..\\..\\..\\etc", "/etc"),
            ("/../..", "/"),
            ("C:\\data", "C:/data"),
            ("../data", "../data"),
            ("", ""),
        ] {
            assert_eq!(plain_path(typed), plain, "{typed:?}");
        }
    }
}
