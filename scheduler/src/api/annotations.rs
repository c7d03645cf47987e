//! Annotations: what a host needs to try export, and deletion that reaches exported objects.

mod shown;

use axum::extract::State;
use axum::http::StatusCode;
use longshore_db::annotations::{self, AnnotationRow, Written};
use longshore_db::{Client, Error, Transaction, audit, storages, syncs, tasks};
use longshore_model::json;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::answer::Answer;
use super::auth::Caller;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, Path, UrlQuery};
use super::offload::Stop;
use super::query::AfterQuery;
use super::tasks::LeftOut;
use shown::{ROW_BYTES, read, shown};

pub(super) use shown::AnnotationBody;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
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

/// Bytes of a result as the database prints it, as of items that are imported: the API and exports read this text.
const MAX_PRINTED: usize = 32 * 1024 * 1024;

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
        if json::printed_size(text) > MAX_PRINTED {
            let detail = format!(
                "Has more than {MAX_PRINTED} bytes with its numbers written out. Write numbers such as 1e1000 as strings."
            );
            return Err(ApiError::invalid("result", detail));
        }
        Ok(Some(text))
    }
}

/// Annotations of one answer, without their results about 250 bytes each.
const MOST_LISTED: i64 = 1_000;

/// Lists a task's annotations by ID, 1,000 or 16 MiB of them. `Link` has the URL of the next ones.
#[utoipa::path(
    get, path = "/api/tasks/{id}/annotations", operation_id = "annotations_list", tag = "annotations",
    params(("id" = i64, Path), AfterQuery),
    responses(
        (status = 200, body = [AnnotationBody<'_>]), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)
    )
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(task): Path<i64>,
    UrlQuery(query): UrlQuery<AfterQuery>,
) -> ApiResult<Answer> {
    let client = state.db.client().await?;
    check_task(&client, &caller, task).await?;
    let mut rows = annotations::of_tasks(&client, &[task], query.after.unwrap_or(0), MOST_LISTED + 1).await?;
    let mut is_cut = i64::try_from(rows.len()).is_ok_and(|count| count > MOST_LISTED);
    rows.truncate(usize::try_from(MOST_LISTED).unwrap_or(usize::MAX));
    let (texts, reserved, bytes) = read(&state, &caller, client, &rows).await?;
    // Those that do not fit are the start of the next page; one that never fits is shown without its result.
    if let Some(fitting) = rows.iter().position(|row| texts.get(row.id).err() == Some(LeftOut::AnswerFull)) {
        is_cut = true;
        rows.truncate(fitting.max(1));
    }
    let next = rows.last().filter(|_| is_cut).map(|row| format!("/api/tasks/{task}/annotations?after={}", row.id));
    let write = move |_: &Stop| {
        let bodies = rows.iter().map(|row| AnnotationBody::new(row, texts.result(row.id)));
        Answer::write(&bodies.collect::<ApiResult<Vec<_>>>()?, bytes + ROW_BYTES * rows.len(), reserved)
    };
    Ok(state.offload.run(bytes, write).await?.with_next(next))
}

/// Refuses a task that does not exist or that the caller does not see.
async fn check_task(client: &Client, caller: &Caller, task: i64) -> ApiResult<()> {
    let row = tasks::get(client, task).await?.filter(|row| caller.sees(row.project_id));
    row.map(drop).ok_or_else(|| ApiError::not_found(format!("task {task}")))
}

/// Adds an annotation to a task.
#[utoipa::path(
    post, path = "/api/tasks/{id}/annotations", operation_id = "annotations_create", tag = "annotations",
    params(("id" = i64, Path)), request_body = AnnotationFields,
    responses((status = 201, body = AnnotationBody<'_>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Path(task): Path<i64>,
    Json(fields): Json<AnnotationFields>,
) -> ApiResult<(StatusCode, Answer)> {
    let result = fields.result()?.ok_or_else(|| ApiError::invalid("result", "This field is required."))?;
    let mut client = state.db.client().await?;
    check_task(&client, &caller, task).await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let written = Written {
        result: Some(result),
        was_cancelled: fields.was_cancelled.unwrap_or_default(),
        ground_truth: fields.ground_truth.unwrap_or_default(),
        lead_time: fields.lead_time.flatten(),
        completed_by: fields.completed_by.flatten(),
    };
    let row = annotations::insert(&tx, task, &written).await.map_err(unfit)?;
    record(&tx, &caller, "annotation.create", &row).await?;
    tx.commit().await.map_err(Error::from)?;
    // Not kept while the answer is read.
    drop(fields);
    Ok((StatusCode::CREATED, shown(&state, &caller, client, row).await?))
}

/// Shows an annotation.
#[utoipa::path(
    get, path = "/api/annotations/{id}", operation_id = "annotations_get", tag = "annotations",
    params(("id" = i64, Path)), responses((status = 200, body = AnnotationBody<'_>), (status = 404, body = ErrorBody))
)]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Answer> {
    let client = state.db.client().await?;
    let row = annotations::get(&client, id).await?.filter(|row| caller.sees(row.project_id));
    shown(&state, &caller, client, row.ok_or_else(|| not_found(id))?).await
}

/// Changes an annotation.
#[utoipa::path(
    patch, path = "/api/annotations/{id}", operation_id = "annotations_update", tag = "annotations",
    params(("id" = i64, Path)), request_body = AnnotationFields,
    responses((status = 200, body = AnnotationBody<'_>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(fields): Json<AnnotationFields>,
) -> ApiResult<Answer> {
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let stored = seen(&tx, &caller, id).await?;
    let written = Written {
        result: fields.result()?,
        was_cancelled: fields.was_cancelled.unwrap_or(stored.was_cancelled),
        ground_truth: fields.ground_truth.unwrap_or(stored.ground_truth),
        lead_time: fields.lead_time.unwrap_or(stored.lead_time),
        completed_by: fields.completed_by.unwrap_or(stored.completed_by),
    };
    let row = annotations::update(&tx, id, &written).await.map_err(unfit)?;
    record(&tx, &caller, "annotation.update", &row).await?;
    tx.commit().await.map_err(Error::from)?;
    drop(fields);
    shown(&state, &caller, client, row).await
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
    // A storage that is switched off is left alone; its next sync finds the deletion by itself.
    for storage in storages::deleting(&tx, row.project_id).await? {
        syncs::add_delete_job(&tx, storage).await?;
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
        assert!(fields(&format!(r#"{{"result": [{}0]}}"#, "1e131071,".repeat(300))).result().is_err());
        assert_eq!(fields(r#"{"lead_time": null}"#).lead_time, Some(None));
        assert_eq!(fields("{}").lead_time, None);
    }
}
