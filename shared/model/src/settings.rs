//! The settings of a storage: how to reach it, which objects to import, how to export.

use serde::{Deserialize, Serialize};

use crate::{Connection, StorageKind};

/// All settings of a storage that are not secret; stored in the column `settings` of table `storages`.
///
/// Field names and defaults are Label Studio's. Fields that the storage's direction does not use have their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageSettings {
    /// How the storage is reached, by kind.
    #[serde(flatten)]
    pub connection: Connection,
    /// Python regular expression, matched at the start of the full key; `None` or empty selects all keys.
    #[serde(default)]
    pub regex_filter: Option<String>,
    /// "Treat every bucket object as a source file": an import makes one task per object and reads no object.
    #[serde(default)]
    pub use_blob_urls: bool,
    /// Whether an import takes objects, too, that are no content: folder markers, files that Hadoop and desktops leave, and
    /// objects that exports of the project wrote.
    #[serde(default)]
    pub import_all_objects: bool,
    /// Whether an import compares the MD5 of each object with the one that the storage states, where it states one.
    #[serde(default)]
    pub verify_content: bool,
    /// Whether an import stops if none of the objects of its first page can be used, all for the same reason.
    #[serde(default = "yes")]
    pub stop_when_unusable: bool,
    /// Whether keys in sub-folders are imported too.
    #[serde(default)]
    pub recursive_scan: bool,
    /// Whether browsers load objects by presigned URLs (true) or through the proxy (false).
    #[serde(default = "yes")]
    pub presign: bool,
    /// How long a presigned URL is valid, in minutes.
    #[serde(default = "one_minute")]
    pub presign_ttl: u16,
    /// Export: whether the object of a deleted annotation is deleted too. `None` means no, and is shown as null.
    #[serde(default)]
    pub can_delete_objects: Option<bool>,
    /// Export: one object per annotation (false) or per task (true).
    #[serde(default)]
    pub export_tasks: bool,
    /// Export: whether annotation objects are named `<id>.json` instead of `<id>`.
    #[serde(default)]
    pub json_suffix: bool,
}

const fn yes() -> bool {
    true
}

const fn one_minute() -> u16 {
    1
}

impl StorageSettings {
    /// Makes settings with this connection and the defaults of all other fields.
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            regex_filter: None,
            use_blob_urls: false,
            import_all_objects: false,
            verify_content: false,
            stop_when_unusable: yes(),
            recursive_scan: false,
            presign: yes(),
            presign_ttl: one_minute(),
            can_delete_objects: None,
            export_tasks: false,
            json_suffix: false,
        }
    }

    /// The kind of the connection.
    pub fn kind(&self) -> StorageKind {
        self.connection.kind()
    }
}

/// The most task IDs of one export sync, by whatever way it is requested. They are stored and shown with the sync:
/// 100,000 take up to a megabyte. Migration V10 has the same limit.
pub const MAX_EXPORT_TASKS: usize = 100_000;

/// Which annotations an export sync writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExportOptions {
    #[serde(default)]
    pub mode: ExportMode,
    /// Only annotations of these tasks, by ID; empty means all tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<i64>,
}

/// How an export sync selects annotations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExportMode {
    /// Only annotations that are new or changed since their last export.
    #[default]
    Changed,
    /// All annotations; unchanged ones are written again.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_every_kind_come_back_from_their_json() {
        for connection in [
            r#"{"kind":"s3","bucket":"pics","prefix":"a"}"#,
            r#"{"kind":"s3s","bucket":"pics","region_name":"eu-west-1","role_arn":"arn:aws:iam::123456789012:role/r"}"#,
            r#"{"kind":"gcs","bucket":"pics","google_project_id":"p"}"#,
            r#"{"kind":"azure","container":"pics","endpoint":"http://localhost:10000/devstoreaccount1"}"#,
            r#"{"kind":"redis","path":"tasks:","host":"h","port":"6380","db":0,"tls":true}"#,
            r#"{"kind":"localfiles","path":"/data/pics"}"#,
        ] {
            let settings: StorageSettings = serde_json::from_str(connection).unwrap();
            assert!(connection.contains(&format!(r#""kind":"{}""#, settings.kind())), "{connection}");
            assert_eq!(settings, StorageSettings::new(settings.connection.clone()), "defaults for what is left out");
            let json = serde_json::to_string(&settings).unwrap();
            assert_eq!(serde_json::from_str::<StorageSettings>(&json).unwrap(), settings, "{json}");
        }
    }

    #[test]
    fn a_prefix_ends_in_exactly_one_slash_where_keys_have_folders() {
        let prefix = |json: String| -> String {
            let settings: StorageSettings = serde_json::from_str(&json).unwrap();
            settings.connection.prefix()
        };
        for typed in ["train", "train/", "train//"] {
            assert_eq!(prefix(format!(r#"{{"kind":"s3","bucket":"b","prefix":"{typed}"}}"#)), "train/");
            assert_eq!(prefix(format!(r#"{{"kind":"azure","container":"b","prefix":"{typed}"}}"#)), "train/");
            assert_eq!(prefix(format!(r#"{{"kind":"localfiles","path":"/{typed}"}}"#)), "/train/");
            assert_eq!(prefix(format!(r#"{{"kind":"redis","path":"{typed}"}}"#)), typed);
        }
        for typed in ["", "/"] {
            assert_eq!(prefix(format!(r#"{{"kind":"s3","bucket":"b","prefix":"{typed}"}}"#)), "");
        }
        assert_eq!(prefix(r#"{"kind":"s3","bucket":"b","prefix":null}"#.into()), "");
    }
}
