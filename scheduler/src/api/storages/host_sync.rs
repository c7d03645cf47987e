//! The request that starts a sync of a storage of Label Studio.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use longshore_db::host::label_studio::{
    HostRequest, HostSync, LastSync, SYNC_FIELDS, enqueue, enqueue_with, last_sync,
};
use longshore_db::lifecycle::RequestedBy;
use longshore_db::{Error, audit, syncs};
use longshore_model::{Direction, ExportOptions};
use longshore_telemetry::error_chain;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::collection::Collection;
use super::start::{StartSync, idempotency_key};
use crate::api::ApiState;
use crate::api::access::Access;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Json;
use crate::api::started::{SYNC_ID, live_in_label_studio};

/// How long a request waits for the end of its sync. Label Studio's page never asks again for the status, and its clients
/// know a sync as done when the request returns; they give up after 60 s.
pub(in crate::api) const SYNC_WAIT: Duration = Duration::from_secs(20);

/// The first time between two looks at the sync, which grows with the time waited: a short sync is answered at once, and
/// many long ones ask the database little.
const FIRST_LOOK: Duration = Duration::from_millis(3);

/// The longest time between two looks.
const LAST_LOOK: Duration = Duration::from_millis(250);

/// The sync that a request started or found.
struct Started {
    sync_id: i64,
}

impl Collection {
    /// Starts a sync and waits some time for its end. `id` is the storage's ID in Label Studio. A user of Label Studio gets
    /// the storage as Label Studio shows it.
    pub(super) async fn sync_of_host(
        self,
        state: &ApiState,
        access: &Access,
        id: i64,
        headers: &HeaderMap,
        body: &StartSync,
    ) -> ApiResult<Response> {
        let user = match (access, &state.host_access) {
            (Access::HostUser(user), Some(host)) => Some((user, host)),
            _ => None,
        };
        if i32::try_from(id).is_err() {
            // Label Studio would fail: its IDs are shorter.
            return Err(ApiError::not_found(format!("storage {id}")));
        }
        let path = self.host_path(id);
        let seen = match user {
            // Whether the user may see the storage is whether the user may sync it.
            Some((user, host)) => Some(host.storage(user, &path, self.settings(state, id)).await?),
            None => None,
        };
        let started = self.start(state, access, id, idempotency_key(headers, body)?, body.options()?).await?;
        let header = started.as_ref().map(|started| [(SYNC_ID, HeaderValue::from(started.sync_id))]);
        if let Some(started) = &started
            && !is_async(headers)
        {
            wait(state, started.sync_id).await;
        }
        match (seen, started) {
            (Some(seen), _) => {
                let storage = match self.last_sync(state, id).await {
                    Ok(None) => return Err(ApiError::not_found(format!("storage {id}"))),
                    Ok(Some(last)) => {
                        let now = match user {
                            Some((user, host)) if last.settings != seen.settings => {
                                host.forget_storage(user, &path).await;
                                host.storage(user, &path, std::future::ready(Ok(last.settings))).await
                            }
                            _ => Ok(Arc::clone(&seen)),
                        };
                        with_fields(&now.unwrap_or(seen).body, last.fields)
                    }
                    Err(error) => {
                        tracing::warn!(event = "sync_look_failed", storage.host_id = id, error = error_chain(&error));
                        with_fields(&seen.body, queued())
                    }
                };
                Ok((header, Json(storage)).into_response())
            }
            (None, Some(_)) => {
                let storage = self.get(state, access.caller()?, id).await?;
                Ok((header, Json(storage)).into_response())
            }
            (None, None) => Err(live_in_label_studio()),
        }
    }

    /// Where Label Studio shows the storage.
    fn host_path(self, id: i64) -> String {
        let export = match self.direction {
            Direction::Import => "",
            Direction::Export => "export/",
        };
        format!("/api/storages/{export}{}/{id}", self.kind)
    }

    /// The digest of the storage's settings, empty if there is no such storage.
    async fn settings(self, state: &ApiState, id: i64) -> longshore_db::Result<String> {
        Ok(self.last_sync(state, id).await?.map(|last| last.settings).unwrap_or_default())
    }

    /// What Label Studio shows of the storage's last sync. `None` if the storage was deleted.
    async fn last_sync(self, state: &ApiState, id: i64) -> longshore_db::Result<Option<LastSync>> {
        let read = async { last_sync(&state.db.client().await?, self.kind, self.direction, id).await };
        state.db.in_time(read).await
    }

    /// Starts a sync, or finds the live one. `None` if Label Studio itself is syncing the storage.
    async fn start(
        self,
        state: &ApiState,
        access: &Access,
        id: i64,
        idempotency_key: Option<&str>,
        options: Option<&ExportOptions>,
    ) -> ApiResult<Option<Started>> {
        let (projects, user_id, did) = match access {
            Access::HostUser(user) => {
                let did = audit::Entry {
                    actor: Some(&user.name),
                    address: user.address.as_deref(),
                    action: "sync.start",
                    ..audit::Entry::default()
                };
                (None, Some(user.id), did)
            }
            Access::Token(caller) => (caller.scope(), None, caller.did("sync.start")),
            Access::Link(_) => return Err(ApiError::no_token()),
        };
        let (kind, direction) = (self.kind, self.direction);
        let requested_by = RequestedBy::Api;
        let request = HostRequest { kind, direction, host_id: id, projects, user_id, requested_by, idempotency_key };
        let mut client = state.db.client().await?;
        let tx = client.transaction().await.map_err(Error::from)?;
        let enqueued = match options {
            Some(options) => enqueue_with(&tx, &request, options).await,
            None => enqueue(&tx, &request).await,
        };
        let (sync, storage_id, project_id) = match enqueued {
            Ok(HostSync::Ours { sync, storage_id, project_id }) => (sync, storage_id, project_id),
            Ok(HostSync::Theirs) => return Ok(None),
            Err(Error::Conflict(detail)) => return Err(ApiError::refused("not_synchronizable", detail)),
            Err(error) => return Err(error.into()),
        };
        if sync.created {
            let entry = audit::Entry {
                project_id: Some(project_id),
                storage_id: Some(storage_id),
                sync_id: Some(sync.sync_id),
                ..did
            };
            audit::write(&tx, &entry).await?;
        }
        tx.commit().await.map_err(Error::from)?;
        state.db.wake_relay();
        tracing::info!(
            event = "sync_requested",
            sync.id = sync.sync_id,
            storage.id = storage_id,
            sync.created = sync.created,
            "sync requested over HTTP"
        );
        Ok(Some(Started { sync_id: sync.sync_id }))
    }
}

/// A storage as Label Studio showed it, with the fields of its last sync. Asking Label Studio again would take longer than a
/// short sync.
fn with_fields(seen: &Value, changed: Map<String, Value>) -> Value {
    let mut seen = seen.clone();
    if let Some(seen) = seen.as_object_mut() {
        seen.extend(changed);
    }
    seen
}

/// The fields of a storage whose sync is accepted, if nothing more is known.
fn queued() -> Map<String, Value> {
    let value = |name: &str| match name {
        "status" => Value::from("queued"),
        "meta" => Value::Object(Map::new()),
        _ => Value::Null,
    };
    SYNC_FIELDS.iter().map(|name| ((*name).to_owned(), value(name))).collect()
}

/// Whether the client wants the answer at once (RFC 7240).
fn is_async(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    preferences.flat_map(|value| value.split(',')).any(|preference| preference.trim() == "respond-async")
}

/// Waits until the sync has ended and its end is shown, at most [`SYNC_WAIT`]. Ends early if the process stops. A look that fails
/// is repeated: the sync has started, and a client that gets a failure would start it again.
async fn wait(state: &ApiState, sync: i64) {
    let begun = Instant::now();
    while begun.elapsed() < SYNC_WAIT {
        let shown = async { syncs::is_shown(&state.db.client().await?, sync).await }.await;
        match shown {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => tracing::debug!(event = "sync_look_failed", sync.id = sync, error = error_chain(&error)),
        }
        let look = (begun.elapsed() / 20).clamp(FIRST_LOOK, LAST_LOOK);
        if state.stopping.run_until_cancelled(sleep(look)).await.is_none() {
            break;
        }
    }
}
