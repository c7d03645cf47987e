//! Annotations: what a host needs to try export, and deletion that reaches exported objects.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use longshore_db::annotations::{self, AnnotationRow, Written};
use longshore_db::storages::{self, StorageFilter};
use longshore_db::{Error, Transaction, audit, syncs, tasks};
use longshore_model::Direction;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Caller;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, Path};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// An annotation of a task.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AnnotationBody {
    id: i64,
    task: i64,
    project: i64,
    #[schema(value_type = Vec<serde_json::Value>)]
    result: Box<RawValue>,
    was_cancelled: bool,
    ground_truth: bool,
    lead_time: Option<f64>,
    completed_by: Option<i64>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl AnnotationBody {
    pub(super) fn new(row: AnnotationRow) -> ApiResult<Self> {
        Ok(Self {
            id: row.id,
            task: row.task_id,
            project: row.project_id,
            result: RawValue::from_string(row.result).map_err(ApiError::internal)?,
            was_cancelled: row.was_cancelled,
            ground_truth: row.ground_truth,
            lead_time: row.lead_time,
            completed_by: row.completed_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// An annotation to write. What a PATCH leaves out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct AnnotationFields {
    /// A list of regions.
    #[serde(default)]
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    was_cancelled: Option<bool>,
    #[serde(default)]
    ground_truth: Option<bool>,
    /// Seconds.
    #[serde(default, deserialize_with = "sent")]
    lead_time: Option<Option<f64>>,
    /// The id of a user of the host.
    #[serde(default, deserialize_with = "sent")]
    completed_by: Option<Option<i64>>,
}

/// Lists and objects within each other, as of items that are imported: readers commonly stop near 128.
const MAX_DEPTH: usize = 100;

/// Whether lists and objects of a JSON text lie deeper within each other than so many levels.
fn is_deeper(json: &str, levels: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    json.bytes().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > levels
    })
}

/// Tells null from not sent.
fn sent<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl AnnotationFields {
    /// The regions as JSON text; the database holds neither other values nor `\u0000`.
    fn result(&self) -> ApiResult<Option<&str>> {
        let Some(result) = &self.result else { return Ok(None) };
        let text = result.get();
        if !text.starts_with('[') {
            return Err(ApiError::invalid("result", "Expected a list of regions."));
        }
        if text.contains("\\u0000") {
            return Err(ApiError::invalid("result", "Null characters are not allowed."));
        }
        if is_deeper(text, MAX_DEPTH) {
            return Err(ApiError::invalid("result", format!("Nested deeper than {MAX_DEPTH} levels.")));
        }
        Ok(Some(text))
    }
}

/// Lists a task's annotations.
#[utoipa::path(
    get, path = "/api/tasks/{id}/annotations", operation_id = "annotations_list", tag = "annotations",
    params(("id" = i64, Path)), responses((status = 200, body = [AnnotationBody]), (status = 404, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(task): Path<i64>,
) -> ApiResult<Json<Vec<AnnotationBody>>> {
    let client = state.db.client().await?;
    tasks::get(&client, task)
        .await?
        .filter(|row| caller.sees(row.project_id))
        .ok_or_else(|| ApiError::not_found(format!("task {task}")))?;
    let rows = annotations::of_tasks(&client, &[task]).await?;
    Ok(Json(rows.into_iter().map(AnnotationBody::new).collect::<ApiResult<_>>()?))
}

/// Adds an annotation to a task.
#[utoipa::path(
    post, path = "/api/tasks/{id}/annotations", operation_id = "annotations_create", tag = "annotations",
    params(("id" = i64, Path)), request_body = AnnotationFields,
    responses((status = 201, body = AnnotationBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Path(task): Path<i64>,
    Json(fields): Json<AnnotationFields>,
) -> ApiResult<(StatusCode, Json<AnnotationBody>)> {
    let result = fields.result()?.ok_or_else(|| ApiError::invalid("result", "This field is required."))?;
    let mut client = state.db.client().await?;
    tasks::get(&client, task)
        .await?
        .filter(|row| caller.sees(row.project_id))
        .ok_or_else(|| ApiError::not_found(format!("task {task}")))?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let written = Written {
        result,
        was_cancelled: fields.was_cancelled.unwrap_or_default(),
        ground_truth: fields.ground_truth.unwrap_or_default(),
        lead_time: fields.lead_time.flatten(),
        completed_by: fields.completed_by.flatten(),
    };
    let row = annotations::insert(&tx, task, &written).await.map_err(unfit)?;
    record(&tx, &caller, "annotation.create", &row).await?;
    tx.commit().await.map_err(Error::from)?;
    Ok((StatusCode::CREATED, Json(AnnotationBody::new(row)?)))
}

/// Shows an annotation.
#[utoipa::path(
    get, path = "/api/annotations/{id}", operation_id = "annotations_get", tag = "annotations",
    params(("id" = i64, Path)), responses((status = 200, body = AnnotationBody), (status = 404, body = ErrorBody))
)]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Json<AnnotationBody>> {
    let row = annotations::get(&state.db.client().await?, id).await?.filter(|row| caller.sees(row.project_id));
    Ok(Json(AnnotationBody::new(row.ok_or_else(|| not_found(id))?)?))
}

/// Changes an annotation.
#[utoipa::path(
    patch, path = "/api/annotations/{id}", operation_id = "annotations_update", tag = "annotations",
    params(("id" = i64, Path)), request_body = AnnotationFields,
    responses((status = 200, body = AnnotationBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(fields): Json<AnnotationFields>,
) -> ApiResult<Json<AnnotationBody>> {
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let stored = seen(&tx, &caller, id).await?;
    let written = Written {
        result: fields.result()?.unwrap_or(&stored.result),
        was_cancelled: fields.was_cancelled.unwrap_or(stored.was_cancelled),
        ground_truth: fields.ground_truth.unwrap_or(stored.ground_truth),
        lead_time: fields.lead_time.unwrap_or(stored.lead_time),
        completed_by: fields.completed_by.unwrap_or(stored.completed_by),
    };
    let row = annotations::update(&tx, id, &written).await.map_err(unfit)?;
    record(&tx, &caller, "annotation.update", &row).await?;
    tx.commit().await.map_err(Error::from)?;
    Ok(Json(AnnotationBody::new(row)?))
}

/// Removes an annotation; its exported objects follow where the storage may delete them.
#[utoipa::path(
    delete, path = "/api/annotations/{id}", operation_id = "annotations_delete", tag = "annotations",
    params(("id" = i64, Path)), responses((status = 204), (status = 404, body = ErrorBody))
)]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<StatusCode> {
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let row = seen(&tx, &caller, id).await?;
    annotations::delete(&tx, id).await?;
    record(&tx, &caller, "annotation.delete", &row).await?;
    let filter =
        StorageFilter { direction: Some(Direction::Export), project: Some(row.project_id), ..StorageFilter::default() };
    for storage in storages::list(&tx, &filter).await? {
        // A storage that is switched off is left alone; its next sync finds the deletion by itself.
        if storage.settings.can_delete_objects == Some(true) && storage.synchronizable {
            syncs::add_delete_job(&tx, storage.id).await?;
        }
    }
    tx.commit().await.map_err(Error::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The annotation, locked, if it is the caller's to see.
async fn seen(tx: &Transaction<'_>, caller: &Caller, id: i64) -> ApiResult<AnnotationRow> {
    annotations::lock(tx, id).await?.filter(|row| caller.sees(row.project_id)).ok_or_else(|| not_found(id))
}

fn not_found(id: i64) -> ApiError {
    ApiError::not_found(format!("annotation {id}"))
}

/// A value that is JSON but that the database cannot hold, such as a number with too many digits.
fn unfit(error: Error) -> ApiError {
    if error.is_data_exception() {
        ApiError::invalid("result", "The database cannot hold this value.")
    } else {
        error.into()
    }
}

async fn record(tx: &Transaction<'_>, caller: &Caller, action: &'static str, row: &AnnotationRow) -> ApiResult<()> {
    let entry = audit::Entry {
        project_id: Some(row.project_id),
        detail: serde_json::json!({"annotation": row.id, "task": row.task_id}),
        ..caller.did(action)
    };
    Ok(audit::write(tx, &entry).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> AnnotationFields {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn levels_are_counted_outside_of_texts() {
        for (json, depth) in [("[]", 1), (r#"[{"a": [1]}, [], {}]"#, 3), (r#"["[[\"[[", [0], "\\"]"#, 2)] {
            assert!(!is_deeper(json, depth), "{json}");
            assert!(is_deeper(json, depth - 1), "{json}");
        }
    }

    #[test]
    fn a_result_is_a_list_and_null_is_told_from_not_sent() {
        assert_eq!(fields(r#"{"result": [ {"a": 1.10} ]}"#).result().unwrap(), Some(r#"[ {"a": 1.10} ]"#));
        assert!(fields(r#"{"result": {"a": 1}}"#).result().is_err());
        assert!(fields(r#"{"result": ["\u0000"]}"#).result().is_err());
        assert_eq!(fields(r#"{"lead_time": null}"#).lead_time, Some(None));
        assert_eq!(fields("{}").lead_time, None);
    }
}
