//! Changes of a storage: parse, apply, probe, write.

use jiff::Timestamp;
use longshore_db::{Error, lifecycle, storages};
use longshore_model::Capabilities;
use serde_json::{Map, Value};

use super::super::admission::{admit, check_project};
use super::super::body::StorageBody;
use super::super::change::{Base, Change, Draft};
use super::super::connect;
use super::super::list::SaveQuery;
use super::super::secrets::{open, seal};
use super::{Collection, confirm};
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::error::{ApiError, ApiResult};

/// How often a change is applied again because another request wrote the storage in the meantime. People do not write a
/// storage more often at the same time; a program that does gets the conflict.
const WRITES: usize = 3;

/// A sync keeps the project of its start, but reads credentials afresh: those of the new project.
const SYNC_LIVE: &str =
    "A sync of this storage is running or has just ended. Cancel it or wait, then change the project.";

impl Collection {
    /// Changes a storage. Fields that are not sent keep their values, or get their defaults if `is_whole`.
    ///
    /// # Errors
    /// A field is missing or invalid, the storage cannot be reached with it, a sync keeps it in its project, or another
    /// request changed what this one has probed.
    pub(in crate::api::storages) async fn write(
        self,
        state: &ApiState,
        caller: &Caller,
        id: i64,
        sent: Map<String, Value>,
        is_whole: bool,
        query: SaveQuery,
    ) -> ApiResult<StorageBody> {
        let mut forecast = None;
        let mut probed: Option<Draft> = None;
        let mut found = None;
        // The last failure is a conflict: another request wrote the storage since it was read.
        let mut conflict = None;
        for _ in 0..WRITES {
            let change = Change::parse(self.kind, self.direction, &sent);
            let must_probe = is_whole || change.reconnects();
            // Give the database connection back before the probe, which may take seconds.
            let (version, stored) = {
                let client = state.db.client().await?;
                let row = self.find(state, &client, caller, id).await?;
                (row.updated_at, open(state, &client, row, change.sends_secrets()).await?)
            };
            check_project(state, caller, change.project()).await?;
            let base = Box::new(stored.clone());
            let draft = change.apply(if is_whole { Base::Secrets(base) } else { Base::Stored(base) })?;
            let draft = admit(state, caller, draft, Some(&stored)).await?;
            // Another project may have another document root, and has another external ID.
            let must_probe = must_probe || !draft.reaches_as(&stored);
            match &probed {
                _ if !must_probe => {}
                None => found = connect::probe(state, self.direction, &draft).await?,
                // A title that changed in the meantime stays, but a probe counts only for what it has tried.
                Some(probed) if probed.reaches_as(&draft) => {}
                Some(_) => break,
            }
            let takes_other = must_probe || draft.fields.settings != stored.fields.settings;
            if forecast.is_none() && (takes_other || query.strict == Some(true)) {
                forecast = self.forecast(state, caller, (&draft, Some(id)), &sent, query).await?;
            }
            match self.update(state, caller, (id, version), (&stored, &draft), found, &sent).await {
                Err(ApiError::Refused { code: "conflict", detail }) => conflict = Some(detail),
                written => return written.map(|body| body.with_forecast(forecast)),
            }
            probed = Some(draft);
        }
        Err(ApiError::refused("conflict", conflict.unwrap_or_default()))
    }

    /// Writes a draft over the version of the storage that it was made from.
    async fn update(
        self,
        state: &ApiState,
        caller: &Caller,
        (id, version): (i64, Timestamp),
        (stored, draft): (&Draft, &Draft),
        found: Option<Capabilities>,
        sent: &Map<String, Value>,
    ) -> ApiResult<StorageBody> {
        let mut client = state.db.client().await?;
        let tx = client.transaction().await.map_err(Error::from)?;
        let sealed = seal(state, id, &draft.secrets)?;
        let mut row = storages::update(&tx, id, version, &draft.written(sealed.as_ref())).await?;
        if found.is_some() {
            storages::set_capabilities(&tx, id, found).await?;
        }
        if stored.fields.project_id != draft.fields.project_id {
            if !lifecycle::leave_project(&tx, id).await? {
                return Err(ApiError::refused("sync_live", SYNC_LIVE));
            }
            row = storages::get(&tx, id).await?;
        }
        self.audit(&tx, caller, "storage.update", &row, sent).await?;
        confirm(state, caller, &tx, draft).await?;
        tx.commit().await.map_err(Error::from)?;
        Ok(StorageBody::from(row).changed())
    }
}
