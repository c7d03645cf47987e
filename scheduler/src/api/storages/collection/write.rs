//! Changes of a storage: parse, apply, probe, write.

use jiff::Timestamp;
use longshore_db::{Error, storages};
use serde_json::{Map, Value};

use super::super::body::StorageBody;
use super::super::change::{Base, Change, Draft};
use super::super::connect;
use super::super::secrets::{open, seal};
use super::{Collection, check_project};
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::error::{ApiError, ApiResult};

/// How often a change is applied again because another request wrote the storage in the meantime. People do not write a
/// storage more often at the same time; a program that does gets the conflict.
const WRITES: usize = 3;

impl Collection {
    /// Changes a storage. Fields that are not sent keep their values, or get their defaults if `is_whole`.
    ///
    /// # Errors
    /// A field is missing or invalid, the storage cannot be reached with it, or another request changed what this one
    /// has probed.
    pub(in crate::api::storages) async fn write(
        self,
        state: &ApiState,
        caller: &Caller,
        id: i64,
        sent: Map<String, Value>,
        is_whole: bool,
    ) -> ApiResult<StorageBody> {
        let mut probed: Option<Draft> = None;
        // The last failure is a conflict: another request wrote the storage since it was read.
        let mut conflict = None;
        for _ in 0..WRITES {
            let change = Change::parse(self.kind, self.direction, &sent);
            let must_probe = is_whole || change.reconnects();
            // Give the database connection back before the probe, which may take seconds.
            let (version, stored) = {
                let client = state.db.client().await?;
                let row = self.find(&client, caller, id).await?;
                (row.updated_at, Box::new(open(state, &client, row, change.sends_secrets()).await?))
            };
            let draft = change.apply(if is_whole { Base::Secrets(stored) } else { Base::Stored(stored) })?;
            check_project(state, caller, draft.fields.project_id).await?;
            match &probed {
                _ if !must_probe => {}
                None => connect::probe(state, self.direction, &draft).await?,
                // A title that changed in the meantime stays, but a probe counts only for what it has tried.
                Some(probed) if probed.reaches_as(&draft) => {}
                Some(_) => break,
            }
            match self.update(state, caller, (id, version), &draft, &sent).await {
                Err(ApiError::Refused { code: "conflict", detail }) => conflict = Some(detail),
                written => return written,
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
        draft: &Draft,
        sent: &Map<String, Value>,
    ) -> ApiResult<StorageBody> {
        let mut client = state.db.client().await?;
        let tx = client.transaction().await.map_err(Error::from)?;
        let sealed = seal(state, id, &draft.secrets)?;
        let row = storages::update(&tx, id, version, &draft.written(sealed.as_ref())).await?;
        self.audit(&tx, caller, "storage.update", &row, sent).await?;
        tx.commit().await.map_err(Error::from)?;
        Ok(StorageBody::from(row).changed())
    }
}
