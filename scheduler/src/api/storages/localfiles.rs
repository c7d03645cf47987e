//! Local files: their fields in requests.

use longshore_model::{Connection, Direction, FailureReason, LocalfilesConnection, Secrets, StorageKind};
use serde::Deserialize;
use utoipa::ToSchema;

use super::draft::Draft;
use super::fields::{Fields, OTHER_KIND};
use super::kind::Kind;
use crate::api::error::NON_FIELD;

/// The kind `localfiles`.
pub(crate) struct Localfiles;

impl Kind for Localfiles {
    fn kind(&self) -> StorageKind {
        StorageKind::Localfiles
    }

    fn title(&self) -> &'static str {
        "Local files"
    }

    fn blank(&self, _: Direction) -> Connection {
        Connection::Localfiles(LocalfilesConnection::default())
    }

    fn connection_fields(&self) -> &'static [&'static str] {
        &["path"]
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn read(&self, fields: &mut Fields, draft: &mut Draft, whole: bool) {
        let (Connection::Localfiles(files), Secrets::Localfiles) = (&mut draft.settings.connection, &draft.secrets)
        else {
            return fields.refuse(NON_FIELD, OTHER_KIND);
        };
        fields.required("path", &mut files.path, whole);
        files.path = plain(&files.path);
    }

    fn field(&self, reason: FailureReason) -> &'static str {
        match reason {
            FailureReason::NoSuchFolder
            | FailureReason::RootItself
            | FailureReason::OutsideRoot
            | FailureReason::AccessDenied => "path",
            _ => NON_FIELD,
        }
    }
}

/// A path without the spellings that mean the same: backslashes, repeated slashes, `.` and `..`. Whether
/// it may be reached is judged afterwards.
fn plain(path: &str) -> String {
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

/// The own fields of a storage of local files in a request.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "the fields are read one by one; this documents them")]
pub(crate) struct LocalfilesFields {
    /// Absolute, below the root that the operator opens.
    path: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_kept_in_its_plain_spelling_and_cannot_hide_where_it_leads() {
        for (typed, kept) in [
            (" /data/pics/ ", "/data/pics"),
            ("/data//pics/./a", "/data/pics/a"),
            ("/data/pics/../../etc", "/etc"),
            ("/data/pics\\..\\..\\..\\etc", "/etc"),
            ("/../..", "/"),
            ("C:\\data", "C:/data"),
            ("../data", "../data"),
            ("", ""),
        ] {
            assert_eq!(plain(typed), kept, "{typed:?}");
        }
    }
}
