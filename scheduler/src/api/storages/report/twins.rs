//! Other storages with the same place: their objects would be imported twice, or exports would come back as tasks.

use longshore_db::host::HostKind;
use longshore_db::storages::{self, Twin};
use longshore_model::Direction;

use super::Subject;
use super::warning::StorageWarning;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::error::ApiResult;

/// The storages that the caller may see and that have the same place, as warnings.
pub(super) async fn find(state: &ApiState, caller: &Caller, subject: &Subject<'_>) -> ApiResult<Vec<StorageWarning>> {
    if state.host != HostKind::Native {
        // Label Studio shows its own storages.
        return Ok(Vec::new());
    }
    let settings = &subject.draft.fields.settings;
    let client = state.db.client().await?;
    let server = settings.connection.server(&subject.draft.secrets);
    let twins = storages::twins(&client, settings, &server, caller.scope()).await?;
    let others = twins.into_iter().filter(|twin| Some(twin.id) != subject.id);
    Ok(others.filter_map(|twin| warning(subject, &twin)).take(MOST).collect())
}

/// The most warnings of one report.
const MOST: usize = 3;

fn warning(subject: &Subject<'_>, twin: &Twin) -> Option<StorageWarning> {
    let (own, other) = (&subject.draft.fields.settings, &twin.settings);
    let (prefix, others_prefix) = (own.connection.prefix(), other.connection.prefix());
    let (id, project) = (twin.id, twin.project_id);
    let is_other = project != subject.draft.fields.project_id;
    let (code, detail) = match (subject.direction, twin.direction) {
        (Direction::Import, Direction::Import) if prefix == others_prefix => {
            let what = if is_other { format!("project {project}") } else { "the same project".to_owned() };
            let detail = format!(
                "Storage {id} of {what} imports from the same place with the same prefix. Both make tasks of the same objects."
            );
            ("same_place", detail)
        }
        (Direction::Import, Direction::Export) if is_other && others_prefix.starts_with(&prefix) => {
            let detail = format!(
                "Storage {id} of project {project} exports to `{others_prefix}`, which lies below the prefix of this import. Its \
                 objects may become tasks: choose a prefix beside that."
            );
            ("reads_exports", detail)
        }
        (Direction::Export, Direction::Import) if is_other && prefix.starts_with(&others_prefix) => {
            let detail = format!(
                "Storage {id} of project {project} imports from below `{others_prefix}`, which holds the objects of this export. \
                 They may become tasks: choose a prefix beside that."
            );
            ("read_by_import", detail)
        }
        (Direction::Export, Direction::Export) if prefix == others_prefix => {
            let detail = format!(
                "Storage {id} of project {project} exports to the same place with the same prefix. Objects of the same name \
                 replace each other."
            );
            ("same_place", detail)
        }
        _ => return None,
    };
    Some(StorageWarning::new(code, Some(own.kind().data().place), detail))
}
