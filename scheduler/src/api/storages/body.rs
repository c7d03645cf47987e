//! The JSON of a storage in answers: what Longshore records, and the fields that its kind declares, without secrets.

use jiff::Timestamp;
use longshore_db::storages::StorageRow;
use longshore_model::{Direction, StorageKind, SyncStatus};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::report::{Forecast, ImportReport, StorageWarning};
use super::user_fields::UserFields;

/// The JSON of a storage, with Label Studio's field names.
#[derive(Debug)]
pub(super) struct StorageBody {
    direction: Direction,
    server: ServerFields,
    user: UserFields,
}

/// The fields of a storage that Longshore writes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServerFields {
    id: i64,
    /// Only where Label Studio is the host, whose storages of each kind and direction have their own `id`: the ID by which
    /// syncs, quarantine and the command line name the storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    handle: Option<i64>,
    #[serde(rename = "type")]
    kind: StorageKind,
    /// End of the last completed sync; null before the first one.
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    last_sync: Option<Timestamp>,
    /// How many tasks or objects the last sync created; null before the first one.
    last_sync_count: Option<i64>,
    /// The ID of the last sync, see `/api/syncs`; null before the first one.
    last_sync_job: Option<String>,
    status: SyncStatus,
    /// Why the last sync failed; null if it did not.
    traceback: Option<String>,
    /// Times and counts of the last sync.
    #[schema(value_type = Object)]
    meta: Value,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    /// In answers to PUT and PATCH: `next_sync`. A live sync keeps the settings that it started with, and uses only new
    /// credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    applies_from: Option<&'static str>,
    /// In answers to changes of what an import takes: what a sync would do, from a look at the first keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<ImportReport>,
    /// In the same answers, and in those of exports: what is probably a mistake.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<StorageWarning>>,
}

impl StorageBody {
    /// The storage as the answer to a change.
    pub(super) fn changed(mut self) -> Self {
        self.server.applies_from = Some("next_sync");
        self
    }

    /// The storage with what a sync of it would do.
    pub(super) fn with_forecast(mut self, forecast: Option<Forecast>) -> Self {
        if let Some(forecast) = forecast {
            let (report, warnings) = forecast.into_parts();
            self.server.report = report;
            self.server.warnings = Some(warnings);
        }
        self
    }
}

impl From<StorageRow> for StorageBody {
    fn from(mut row: StorageRow) -> Self {
        let server = ServerFields {
            id: row.host_id.unwrap_or(row.id),
            handle: row.host_id.map(|_| row.id),
            kind: row.kind,
            last_sync: row.last_sync,
            last_sync_count: row.last_sync_count,
            last_sync_job: row.last_sync_job.take(),
            status: row.status,
            traceback: row.traceback.take(),
            meta: row.meta.take(),
            created_at: row.created_at,
            applies_from: None,
            report: None,
            warnings: None,
        };
        Self { direction: row.direction, server, user: row.into() }
    }
}

impl Serialize for StorageBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            #[serde(flatten)]
            server: &'a ServerFields,
            #[serde(flatten)]
            user: Map<String, Value>,
        }
        let mut stored = self.user.to_map().map_err(S::Error::custom)?;
        let fields = self.server.kind.data().fields();
        let shown = fields.filter(|field| field.secrecy().is_none() && field.is_part_of(self.direction));
        let user = shown.map(|field| (field.name.to_owned(), stored.remove(field.name).unwrap_or_default()));
        Flat { server: &self.server, user: user.collect() }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
