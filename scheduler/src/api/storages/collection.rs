//! The work of the storage routes. It is the same for every kind and both directions.

mod deletion;
mod write;

use axum::http::HeaderMap;
use longshore_db::host::HostKind;
use longshore_db::host::label_studio::handles;
use longshore_db::lifecycle::{self, SyncRequest};
use longshore_db::storages::{self, StorageFilter, StorageRow};
use longshore_db::{Client, Error, Transaction, audit, projects};
use longshore_model::{Direction, StorageKind};
use serde_json::{Map, Value, json};

use super::admission::{admit, check_identity, check_project, no_project};
use super::body::StorageBody;
use super::change::{Base, Change, Draft};
use super::connect;
use super::list::{ProjectQuery, SaveQuery, listed};
use super::names::{LIMIT, STORED_ID};
use super::report::{Forecast, Subject, forecast};
use super::secrets::{open, seal};
use super::start::{StartSync, idempotency_key};
use super::values::read_integer;
use crate::api::ApiState;
use crate::api::access::{Caller, Role};
use crate::api::answer::Answer;
use crate::api::error::{ApiError, ApiResult};

/// Keys in a preview by default, the same as in Label Studio.
const PREVIEW_LIMIT: i64 = 100;

/// Memory of a key in a preview, in bytes: as it was listed, and in the answer. Keys of object storages have at most
/// 1,024 bytes; most have a tenth of that.
const PREVIEW_KEY_BYTES: usize = 2048;

/// All storages of one kind and direction; the part of a path before the ID.
#[derive(Clone, Copy)]
pub(super) struct Collection {
    pub(super) kind: StorageKind,
    pub(super) direction: Direction,
}

impl Collection {
    /// The collection that a path names.
    ///
    /// # Errors
    /// The kind is unknown or the host lacks it, so there is no such route.
    pub(super) fn new(state: &ApiState, kind: &str, direction: Direction) -> ApiResult<Self> {
        let kind = kind.parse().ok().filter(|kind| is_offered(state.host, *kind)).ok_or_else(ApiError::no_route)?;
        Ok(Self { kind, direction })
    }

    pub(super) async fn list(self, state: &ApiState, caller: &Caller, query: ProjectQuery) -> ApiResult<Answer> {
        let project = query
            .project
            .ok_or_else(|| ApiError::unreadable("missing_project", "query parameter \"project\" is required"))?;
        let client = state.db.client().await?;
        let found = match state.host {
            HostKind::Native => projects::size(&client, project).await?.map(drop),
            HostKind::LabelStudio => handles::has_project(&client, project).await?.then_some(()),
        };
        drop(client);
        caller.visible(found, |()| project, format!("project {project}"))?;
        let filter = StorageFilter {
            direction: Some(self.direction),
            kind: Some(self.kind),
            project: Some(project),
            projects: None,
        };
        let path = match self.direction {
            Direction::Import => format!("/api/storages/{}", self.kind),
            Direction::Export => format!("/api/storages/export/{}", self.kind),
        };
        listed(state, caller, &filter, query, &path).await
    }

    pub(super) async fn create(
        self,
        state: &ApiState,
        caller: &Caller,
        sent: Map<String, Value>,
        query: SaveQuery,
    ) -> ApiResult<StorageBody> {
        let draft = Change::parse(self.kind, self.direction, &sent).apply(Base::Nothing)?;
        let draft = admit(state, caller, draft, None).await?;
        let found = connect::probe(state, self.direction, &draft).await?;
        let forecast = self.forecast(state, caller, (&draft, None), &sent, query).await?;

        let mut client = state.db.client().await?;
        let tx = client.transaction().await.map_err(Error::from)?;
        let id = storages::next_id(&tx).await?;
        let sealed = seal(state, id, &draft.secrets)?;
        let row = storages::insert(&tx, id, self.direction, &draft.written(sealed.as_ref())).await?;
        if found.is_some() {
            storages::set_capabilities(&tx, id, found).await?;
        }
        self.audit(&tx, caller, "storage.create", &row, &sent).await?;
        confirm(state, caller, &tx, &draft).await?;
        tx.commit().await.map_err(Error::from)?;
        Ok(StorageBody::from(row).with_forecast(forecast))
    }

    /// What a sync of a draft would do, unless the request leaves it out. The ID is that of the stored storage.
    ///
    /// # Errors
    /// There are warnings, and the request refuses them.
    async fn forecast(
        self,
        state: &ApiState,
        caller: &Caller,
        (draft, id): (&Draft, Option<i64>),
        sent: &Map<String, Value>,
        query: SaveQuery,
    ) -> ApiResult<Option<Forecast>> {
        let is_strict = query.strict.unwrap_or_default();
        if !is_strict && query.report == Some(false) {
            return Ok(None);
        }
        let subject = Subject { direction: self.direction, draft, sent, id };
        // Boxed because it is large: it contains the futures of every kind.
        Box::pin(forecast(state, caller, &subject)).await.checked(is_strict).map(Some)
    }

    pub(super) async fn get(self, state: &ApiState, caller: &Caller, id: i64) -> ApiResult<StorageBody> {
        let client = state.db.client().await?;
        Ok(self.find(state, &client, caller, id).await?.into())
    }

    pub(super) async fn delete(self, state: &ApiState, caller: &Caller, id: i64) -> ApiResult<()> {
        let mut client = state.db.client().await?;
        let row = self.find(state, &client, caller, id).await?;
        let tx = client.transaction().await.map_err(Error::from)?;
        if !lifecycle::remove_storage(&tx, id, row.project_id).await? {
            return Err(not_found(id));
        }
        self.audit(&tx, caller, "storage.delete", &row, &Map::new()).await?;
        // Deleting a large ledger takes minutes, in which the token may have been deleted.
        caller.confirmed(&tx, Role::Admin).await?;
        tx.commit().await.map_err(Error::from)?;
        Ok(())
    }

    /// Checks settings without storing them, and reports what a sync with them would do.
    pub(super) async fn validate(
        self,
        state: &ApiState,
        caller: &Caller,
        sent: &Map<String, Value>,
        query: SaveQuery,
    ) -> ApiResult<Option<Forecast>> {
        let draft = self.unstored(state, caller, sent).await?;
        connect::probe(state, self.direction, &draft).await?;
        let id = read_integer(&STORED_ID, sent.get(STORED_ID.name).filter(|id| !id.is_null()))?;
        self.forecast(state, caller, (&draft, id), sent, query).await
    }

    /// Shows which objects a sync with these settings would import, without storing them.
    pub(super) async fn files(self, state: &ApiState, caller: &Caller, sent: &Map<String, Value>) -> ApiResult<Answer> {
        let draft = self.unstored(state, caller, sent).await?;
        let limit = read_integer(&LIMIT, sent.get(LIMIT.name))?.unwrap_or(PREVIEW_LIMIT);
        let limit = usize::try_from(limit).unwrap_or_default();
        let reserved = state.memory.reserve(&caller.name, PREVIEW_KEY_BYTES * limit).await?;
        let preview = connect::preview(state, &draft, limit).await?;
        state.offload.run(reserved.bytes(), move |_| Answer::write(&preview, 0, reserved)).await
    }

    /// The settings of a request that stores nothing, with the stored secrets of storage `id` where none are sent.
    async fn unstored(self, state: &ApiState, caller: &Caller, sent: &Map<String, Value>) -> ApiResult<Draft> {
        let id = read_integer(&STORED_ID, sent.get(STORED_ID.name).filter(|id| !id.is_null()))?;
        let change = Change::parse(self.kind, self.direction, sent);
        let Some(id) = id else { return admit(state, caller, change.apply(Base::Nothing)?, None).await };
        let stored = {
            let client = state.db.client().await?;
            let row = self.find(state, &client, caller, id).await?;
            self.open(state, &client, row, change.sends_secrets()).await?
        };
        check_project(state, caller, change.project()).await?;
        let draft = change.apply(Base::Secrets(Box::new(stored.clone())))?;
        admit(state, caller, draft, Some(&stored)).await
    }

    /// Enqueues a sync without waiting for it. Returns the storage and the sync's ID.
    pub(super) async fn sync(
        self,
        state: &ApiState,
        caller: &Caller,
        id: i64,
        headers: &HeaderMap,
        body: &StartSync,
    ) -> ApiResult<(StorageBody, i64)> {
        let request = SyncRequest {
            storage_id: id,
            kind: self.kind,
            direction: self.direction,
            projects: caller.scope(),
            token_id: caller.id,
            token: &caller.name,
            address: caller.address(),
            idempotency_key: idempotency_key(headers, body)?,
            options: body.options()?,
        };
        let client = state.db.client().await?;
        let (enqueued, row) = match lifecycle::enqueue_request(&client, &request).await {
            Ok(started) => started,
            Err(Error::Conflict(detail)) => return Err(ApiError::refused("not_synchronizable", detail)),
            // The statement finds only storages of the caller's projects.
            Err(Error::NotFound(_)) => {
                return Err(self.find(state, &client, caller, id).await.err().unwrap_or(not_found(id)));
            }
            Err(error) => return Err(error.into()),
        };
        state.db.wake_relay();
        tracing::info!(
            event = "sync_requested",
            sync.id = enqueued.sync_id,
            storage.id = id,
            sync.created = enqueued.created,
            "sync requested over HTTP"
        );
        Ok((row.into(), enqueued.sync_id))
    }

    /// A stored storage with its secrets.
    pub(super) async fn stored(self, state: &ApiState, caller: &Caller, id: i64) -> ApiResult<Draft> {
        let client = state.db.client().await?;
        let row = self.find(state, &client, caller, id).await?;
        self.open(state, &client, row, false).await
    }

    /// The storage, if it is in this collection and the caller can access it.
    async fn find(self, state: &ApiState, client: &Client, caller: &Caller, id: i64) -> ApiResult<StorageRow> {
        let row = match state.host {
            HostKind::Native => Some(storages::get(client, id).await?),
            HostKind::LabelStudio => handles::find(client, self.kind, self.direction, id).await?.map(|(row, _)| row),
        };
        let row = caller.visible(row, |row| row.project_id, named(id))?;
        if row.kind == self.kind && row.direction == self.direction { Ok(row) } else { Err(not_found(id)) }
    }

    /// The storage with its secrets, as [`open`] opens them. Those of a host are in the host's tables.
    async fn open(self, state: &ApiState, client: &Client, row: StorageRow, sends_secrets: bool) -> ApiResult<Draft> {
        let Some(host_id) = row.host_id else { return open(state, client, row, sends_secrets).await };
        let found = handles::find(client, self.kind, self.direction, host_id).await?;
        let (row, secrets) = found.ok_or_else(|| not_found(host_id))?;
        Ok(Draft { fields: row.into(), secrets })
    }

    async fn audit(
        self,
        tx: &Transaction<'_>,
        caller: &Caller,
        action: &'static str,
        row: &StorageRow,
        sent: &Map<String, Value>,
    ) -> ApiResult<()> {
        // Only names, because some values are secrets, and only those of fields, because a caller may send any name.
        let fields: Vec<&str> = self.kind.data().fields().map(|field| field.name).collect();
        let fields: Vec<&str> = fields.into_iter().filter(|name| sent.contains_key(*name)).collect();
        let entry = audit::Entry {
            project_id: Some(row.project_id),
            storage_id: Some(row.id),
            detail: json!({"kind": row.kind, "direction": row.direction, "fields": fields}),
            ..caller.did(action)
        };
        Ok(audit::write(tx, &entry).await?)
    }
}

/// Whether the host can have storages of this kind.
pub(super) fn is_offered(host: HostKind, kind: StorageKind) -> bool {
    match host {
        HostKind::Native => true,
        HostKind::LabelStudio => handles::has_kind(kind),
    }
}

fn not_found(id: i64) -> ApiError {
    ApiError::not_found(named(id))
}

fn named(id: i64) -> String {
    format!("storage {id}")
}

/// Checks before the commit that the caller still may write the draft: its probe took up to ten seconds.
async fn confirm(state: &ApiState, caller: &Caller, tx: &Transaction<'_>, draft: &Draft) -> ApiResult<()> {
    let caller = caller.confirmed(tx, Role::Admin).await?;
    let project = draft.fields.project_id;
    if !caller.sees(project) {
        return Err(no_project(project).hiding_a_row());
    }
    check_identity(state, &caller, draft)
}
