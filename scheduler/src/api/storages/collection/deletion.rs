//! Deletions of the tasks of a storage.

use axum::response::Response;
use longshore_db::syncs::NewDeletion;
use longshore_model::{Deletion, Direction, Removed};

use super::Collection;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::deletions::{self, Confirmed};
use crate::api::error::{ApiError, ApiResult};

impl Collection {
    /// Deletes the tasks of a storage as a sync, and then perhaps the storage.
    ///
    /// # Errors
    /// It is an export storage, the request does not say how many tasks there are, or an import is live.
    pub(in crate::api::storages) async fn delete_tasks(
        self,
        state: &ApiState,
        caller: &Caller,
        id: i64,
        removes: Option<Removed>,
        confirmed: Confirmed<'_>,
    ) -> ApiResult<Response> {
        let row = self.find(state, &state.db.client().await?, caller, id).await?;
        if self.direction == Direction::Export {
            return Err(ApiError::invalid("tasks", "An export storage has no tasks."));
        }
        let deletion = Deletion { keep: confirmed.keep, removes, tasks: 0 };
        let new = NewDeletion { project_id: row.project_id, storage_id: Some(id), deletion };
        deletions::start(state, caller, new, confirmed.confirm).await
    }
}
