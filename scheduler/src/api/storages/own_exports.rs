//! The keys that exports of the same project wrote, which a sync would skip.

use std::collections::HashSet;

use longshore_db::host::HostKind;
use longshore_db::own_exports::ExportTargets;
use longshore_storage::ListedObject;
use longshore_telemetry::error_chain;

use super::change::Draft;
use crate::api::ApiState;

/// The storages that export to the bucket of an import. Empty for Label Studio's storages, of which a sync takes all objects.
pub(super) struct OwnExports<'a> {
    /// `None` where no database is needed.
    state: Option<&'a ApiState>,
    targets: ExportTargets,
}

impl<'a> OwnExports<'a> {
    /// No exports.
    pub(super) fn none() -> Self {
        Self { state: None, targets: ExportTargets::default() }
    }

    /// Those of the project of a storage. Without the database, a look at keys goes on as if there were none.
    pub(super) async fn of(state: &'a ApiState, draft: &Draft) -> Self {
        if state.host != HostKind::Native {
            return Self::none();
        }
        let (project, settings) = (draft.fields.project_id, &draft.fields.settings);
        let read = async { ExportTargets::of_import(&state.db.client().await?, project, settings).await };
        Self { state: Some(state), targets: or_none(state.db.in_time(read).await) }
    }

    /// The keys of a page that exports wrote.
    pub(super) async fn among(&self, page: &[ListedObject]) -> HashSet<String> {
        let Some(state) = self.state.filter(|_| !(self.targets.is_empty() || page.is_empty())) else {
            return HashSet::new();
        };
        let listed = page.iter().map(|listed| (&*listed.meta.key, listed.meta.etag.as_deref()));
        let read = async { self.targets.written(&state.db.client().await?, listed).await };
        or_none(state.db.in_time(read).await)
    }
}

fn or_none<T: Default>(read: longshore_db::Result<T>) -> T {
    read.unwrap_or_else(|error| {
        let error = error_chain(&error);
        tracing::debug!(event = "own_exports_unknown", error, "the exports of the project are not known: {error}");
        T::default()
    })
}
