//! What users write of a storage, besides its secrets: one JSON object, whose fields each kind declares.

use longshore_db::storages::StorageRow;
use longshore_model::{Connection, Direction, StorageKind, StorageSettings};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::error::{ApiError, ApiResult};

/// The fields, by their columns; the names in JSON are those of requests and answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct UserFields {
    #[serde(rename = "project")]
    pub(super) project_id: i64,
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) synchronizable: bool,
    #[serde(flatten)]
    pub(super) settings: StorageSettings,
}

impl UserFields {
    /// The defaults. There is no project with the ID 0.
    pub(super) fn blank(kind: StorageKind, direction: Direction) -> Self {
        Self {
            project_id: 0,
            title: None,
            description: None,
            synchronizable: true,
            settings: StorageSettings::new(Connection::blank(kind, direction)),
        }
    }

    /// The same fields with these values in place of theirs.
    ///
    /// # Errors
    /// A value is not what its field holds.
    pub(super) fn with(&self, values: Map<String, Value>) -> ApiResult<Self> {
        let mut fields = self.to_map().map_err(ApiError::internal)?;
        fields.extend(values);
        serde_json::from_value(Value::Object(fields)).map_err(ApiError::internal)
    }

    /// The fields as JSON, with the kind as `kind`.
    pub(super) fn to_map(&self) -> serde_json::Result<Map<String, Value>> {
        match serde_json::to_value(self)? {
            Value::Object(fields) => Ok(fields),
            other => Ok(Map::from_iter([("kind".to_owned(), other)])),
        }
    }
}

impl From<StorageRow> for UserFields {
    fn from(row: StorageRow) -> Self {
        Self {
            project_id: row.project_id,
            title: row.title,
            description: row.description,
            synchronizable: row.synchronizable,
            settings: row.settings,
        }
    }
}
