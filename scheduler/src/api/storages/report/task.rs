//! The first task of a storage.

use axum::body::Bytes;
use longshore_items::preview::{self, ObjectTasks};
use longshore_model::StorageSettings;
use longshore_storage::{ObjectMeta, Storage, StorageError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::offload::Stop;

/// The largest object that a report reads. Task files have a few kilobytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// Memory for the items of that object, in bytes.
const ITEM_BYTES: usize = 4 * 1024 * 1024;

/// The longest task in a report, in bytes.
const LONGEST_TASK: usize = 64 * 1024;

/// What a sync would make of the first object that matches.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::api) struct FirstObject {
    pub(super) key: String,
    /// Tasks that it becomes. Null if it was not read, because it is larger than 1 MiB or the storage did not return it.
    tasks: Option<usize>,
    /// Why a sync would quarantine it, as a stable code; null if it would not.
    pub(super) reason: Option<&'static str>,
    /// The reason as a text for users, or why the object was not read.
    pub(super) detail: Option<String>,
}

/// The first object and its first task.
pub(super) struct FirstTask {
    pub(super) object: FirstObject,
    /// JSON text. `None` if it has none, or a long one.
    pub(super) first: Option<String>,
}

/// Reads the first object in JSON mode, or names it in blob mode.
pub(super) async fn of_object(
    state: &ApiState,
    storage: &dyn Storage,
    settings: &StorageSettings,
    object: &ObjectMeta,
    label_config: Option<&str>,
) -> Result<FirstTask, StorageError> {
    let key = object.key.clone();
    if settings.use_blob_urls {
        // The data key of another host is not known here.
        let first = label_config.map(|config| preview::blob_task(&preview::data_key(config).0, &storage.uri(&key)));
        return Ok(FirstTask { object: FirstObject { key, tasks: Some(1), ..FirstObject::default() }, first });
    }
    if object.size > MOST_BYTES {
        let detail = Some("Larger than 1 MiB, so it was not read for this report.".to_owned());
        return Ok(FirstTask { object: FirstObject { key, detail, ..FirstObject::default() }, first: None });
    }
    let bytes = storage.get_listed(object, MOST_BYTES).await?.bytes;
    let tasks = parsed(state, key.clone(), bytes, label_config).await;
    Ok(match tasks {
        Ok(ObjectTasks { count, first }) => FirstTask {
            object: FirstObject { key, tasks: Some(count), ..FirstObject::default() },
            first: first.filter(|json| json.len() <= LONGEST_TASK),
        },
        Err((reason, detail)) => FirstTask {
            object: FirstObject { key, reason: Some(reason), detail: Some(detail), tasks: None },
            first: None,
        },
    })
}

/// Reads the items of an object, a large one on another thread than those that serve requests.
async fn parsed(
    state: &ApiState,
    key: String,
    bytes: Bytes,
    label_config: Option<&str>,
) -> Result<ObjectTasks, (&'static str, String)> {
    // Packed bytes may be a hundred times as many.
    let work = bytes.len().saturating_mul(16).saturating_add(label_config.map_or(0, str::len));
    let config = label_config.map(str::to_owned);
    let read = move |_: &Stop| Ok(preview::tasks_of(&key, bytes, config.as_deref(), ITEM_BYTES));
    match state.offload.run(work, read).await {
        Ok(tasks) => tasks.map_err(|unusable| (unusable.reason.as_str(), unusable.text())),
        Err(error) => Err((error.code(), error.detail())),
    }
}
