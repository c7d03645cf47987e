//! The fields of a storage that users write, without its secrets. Each kind declares its fields.

use longshore_db::storages::StorageRow;
use longshore_model::{Connection, Direction, StorageKind, StorageSettings};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::error::{ApiError, ApiResult};

/// The fields, named as their columns. Their JSON names are those of requests and answers.
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
    /// The defaults. The project ID is 0, which no project has.
    pub(super) fn blank(kind: StorageKind, direction: Direction) -> Self {
        Self {
            project_id: 0,
            title: None,
            description: None,
            synchronizable: true,
            settings: StorageSettings::new(Connection::blank(kind, direction)),
        }
    }

    /// Replaces the values of some fields.
    ///
    /// # Errors
    /// A value has the wrong type for its field.
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
