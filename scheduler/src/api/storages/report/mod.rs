//! What a sync with some settings would do: which keys it would take and skip, the first task, and warnings of what is
//! probably a mistake.
//!
//! A report looks at the first pages of the listing and makes few requests: up to three pages, and then the first object, or
//! up to five to find out why nothing was found. If it fails, the storage is saved all the same.

pub(super) mod dry_run;
mod ending;
mod judge;
mod keys;
mod prefix;
mod task;
mod twins;
mod warning;

use std::sync::Arc;
use std::time::Duration;

use longshore_db::host::HostKind;
use longshore_filter::KeyFilter;
use longshore_model::{Direction, StorageKind};
use longshore_storage::{StorageError, explain};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::change::Draft;
use super::own_exports::OwnExports;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::error::{ApiError, ApiResult, FieldErrors, NON_FIELD};
use judge::Judge;
use keys::Keys;
pub(in crate::api) use keys::SkippedKeys;
pub(in crate::api) use task::FirstObject;
pub(in crate::api) use warning::StorageWarning;

/// Time limit of a report. A user waits for it, after the probe.
const REPORT_TIME: Duration = Duration::from_secs(6);

/// Memory of a report in bytes: a page of keys, and the first object as it was read and as items.
const REPORT_BYTES: usize = 8 * 1024 * 1024;

/// What a sync would do, from a look at the first keys.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::api) struct ImportReport {
    /// Keys that were looked at.
    looked_at: u64,
    /// Whether these are all keys of the storage. Otherwise they are the first ones.
    complete: bool,
    /// Keys that a sync would take.
    matched: u64,
    /// The first three of them.
    examples: Vec<String>,
    /// Keys that a sync would skip, by rule.
    skipped: Vec<SkippedKeys>,
    /// Keys that match, and that a sync would quarantine without reading them, by reason.
    refused: Vec<SkippedKeys>,
    /// What a sync would make of the first matching object. Null if none matches or it was not read.
    first_object: Option<FirstObject>,
    /// The first task: its `data`, and its `meta` if it has one. Null if there is none, or it is larger than 64 KiB.
    #[schema(value_type = Option<Object>)]
    first_task: Option<Box<RawValue>>,
    /// Why the report is not complete; null if it is.
    error: Option<String>,
}

/// The report of an import, and warnings.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::api) struct Forecast {
    /// Import only.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<ImportReport>,
    /// What is probably a mistake. Empty if nothing is.
    warnings: Vec<StorageWarning>,
}

impl Forecast {
    /// Refuses what has warnings, as `strict` asks for.
    ///
    /// # Errors
    /// There is a warning.
    pub(super) fn checked(self, is_strict: bool) -> ApiResult<Self> {
        if !is_strict || self.warnings.is_empty() {
            return Ok(self);
        }
        let mut fields = FieldErrors::new();
        for warning in self.warnings {
            fields.entry(warning.field().unwrap_or(NON_FIELD).into()).or_default().push(warning.into_text());
        }
        Err(ApiError::Strict(fields))
    }

    pub(super) fn into_parts(self) -> (Option<ImportReport>, Vec<StorageWarning>) {
        (self.report, self.warnings)
    }
}

/// A storage to report on.
pub(super) struct Subject<'a> {
    pub(super) direction: Direction,
    pub(super) draft: &'a Draft,
    /// The fields of the request.
    pub(super) sent: &'a Map<String, Value>,
    /// The ID of the stored storage, which is no twin of itself.
    pub(super) id: Option<i64>,
}

impl Subject<'_> {
    fn kind(&self) -> StorageKind {
        self.draft.fields.settings.kind()
    }
}

/// Looks at a storage as a sync would. Never fails: a failure is a part of the result.
pub(super) async fn forecast(state: &ApiState, caller: &Caller, subject: &Subject<'_>) -> Forecast {
    let mut forecast = Forecast { warnings: warning::of_fields(subject), ..Forecast::default() };
    match twins::find(state, caller, subject).await {
        Ok(twins) => forecast.warnings.extend(twins),
        Err(error) => {
            tracing::debug!(event = "twins_unknown", error = ?error, "storages with the same place are not known")
        }
    }
    if subject.direction == Direction::Export {
        forecast.warnings.extend(prefix::of_export(&subject.draft.fields.settings));
        return forecast;
    }
    let mut report = ImportReport::default();
    let looked = async { look(state, caller, subject, &mut report, &mut forecast.warnings).await };
    let error = match timeout(REPORT_TIME, looked).await {
        Ok(Ok(())) => None,
        Ok(Err(text)) => Some(text),
        Err(_) => Some("The storage did not answer in time, so the report is not complete.".to_owned()),
    };
    if let Some(text) = error {
        forecast.warnings.push(StorageWarning::new("report_failed", None, text.clone()));
        report.error = Some(text);
    }
    forecast.report = Some(report);
    forecast
}

/// Lists the first keys, and reads the first object.
///
/// # Errors
/// The text for the user.
async fn look(
    state: &ApiState,
    caller: &Caller,
    subject: &Subject<'_>,
    report: &mut ImportReport,
    warnings: &mut Vec<StorageWarning>,
) -> Result<(), String> {
    let draft = subject.draft;
    let settings = &draft.fields.settings;
    let text = |error: StorageError| explain(&settings.connection, &error).text;
    let _memory = state.memory.reserve(&caller.name, REPORT_BYTES).await.map_err(|error| error.detail())?;
    let filter = Arc::new(KeyFilter::of(settings).map_err(|error| error.to_string())?);
    let storage = (state.open)(draft.fields.project_id, settings, &draft.secrets).map_err(text)?;
    let exports = OwnExports::of(state, draft).await;
    let judge = Judge { state, storage: storage.as_ref(), filter: &filter, settings, exports: &exports };
    let found = Keys::look(&judge).await?;
    found.report(report);
    conclude(subject, &judge, &found, (report, warnings)).await
}

/// Adds what the keys mean: warnings, and the first task.
///
/// # Errors
/// The text for the user.
async fn conclude(
    subject: &Subject<'_>,
    judge: &Judge<'_>,
    found: &Keys,
    (report, warnings): (&mut ImportReport, &mut Vec<StorageWarning>),
) -> Result<(), String> {
    let Judge { state, storage, settings, .. } = judge;
    let text = |error: StorageError| judge.text(&error);
    let config = label_config(state, subject.draft.fields.project_id).await;
    let config = config.as_deref();
    warnings.extend(warning::of_keys(settings, judge.filter, found, config).await);
    if found.is_nothing() {
        warnings.extend(prefix::of_nothing(*storage, settings).await.map_err(text)?);
    }
    let mut first_task = None;
    if let Some(object) = found.first() {
        let task = task::of_object(state, *storage, settings, object, config).await.map_err(text)?;
        warnings.extend(warning::of_first(&task.object));
        report.first_object = Some(task.object);
        first_task = task.first;
    }
    warnings.extend(warning::of_label_config(settings, config, first_task.as_deref()));
    report.first_task = first_task.and_then(|json| RawValue::from_string(json).ok());
    Ok(())
}

/// The label config of a project. `None` if it is too large, or another host has it.
async fn label_config(state: &ApiState, project: i64) -> Option<String> {
    if state.host != HostKind::Native {
        return None;
    }
    let client = state.db.client().await.ok()?;
    let size = longshore_db::projects::size(&client, project).await.ok()??;
    if usize::try_from(size).is_ok_and(|size| size <= longshore_model::MAX_LABEL_CONFIG) {
        let row = longshore_db::projects::get(&client, project).await.ok()??;
        return Some(row.label_config.unwrap_or_default());
    }
    None
}
