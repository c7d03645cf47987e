//! Other storages with the same place: their objects would be imported twice, or exports would come back as tasks.

use longshore_db::host::HostKind;
use longshore_db::storages::{self, Twin};
use longshore_model::{Connection, Direction, StorageSettings};

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
    let (prefix, others_prefix) = (place(own), place(other));
    let (id, project) = (twin.id, twin.project_id);
    let is_other = project != subject.draft.fields.project_id;
    let whose = if is_other { format!("project {project}") } else { "the same project".to_owned() };
    let (code, detail) = match (subject.direction, twin.direction) {
        (Direction::Import, Direction::Import) if prefix == others_prefix => {
            let detail = format!(
                "Storage {id} of {whose} imports from the same place with the same prefix. Both make tasks of the same objects."
            );
            ("same_place", detail)
        }
        (Direction::Import, Direction::Import) if reads(own, &others_prefix) || reads(other, &prefix) => {
            let (inner, outer) =
                if prefix.len() > others_prefix.len() { (&prefix, "this one") } else { (&others_prefix, "that one") };
            let detail = format!(
                "Storage {id} of {whose} imports from the same place, and `{inner}`, the prefix of {outer}, lies below the other \
                 prefix. Both make tasks of the same objects, unless their file filters keep them apart."
            );
            ("overlapping_place", detail)
        }
        // Imports skip the objects that exports of their own project wrote, unless they import all objects.
        (Direction::Import, Direction::Export)
            if (is_other || own.import_all_objects) && reads(own, &others_prefix) =>
        {
            let detail = format!(
                "Storage {id} of {whose} exports to `{others_prefix}`, which lies below the prefix of this import. Its \
                 objects may become tasks: choose a prefix beside that."
            );
            ("reads_exports", detail)
        }
        (Direction::Export, Direction::Import) if (is_other || other.import_all_objects) && reads(other, &prefix) => {
            let detail = format!(
                "Storage {id} of {whose} imports from below `{others_prefix}`, which holds the objects of this export. \
                 They may become tasks: choose a prefix beside that."
            );
            ("read_by_import", detail)
        }
        (Direction::Export, Direction::Export) if prefix == others_prefix => {
            let detail = format!(
                "Storage {id} of {whose} exports to the same place with the same prefix. Objects of the same name \
                 replace each other."
            );
            ("same_place", detail)
        }
        _ => return None,
    };
    Some(StorageWarning::new(code, Some(own.kind().data().place), detail))
}

/// What the keys of a storage begin with. Of local files, their paths.
fn place(settings: &StorageSettings) -> String {
    match &settings.connection {
        Connection::Localfiles(files) => format!("{}/", files.path.trim_end_matches('/')),
        connection => connection.prefix(),
    }
}

/// Whether an import reads objects that begin with this prefix.
fn reads(import: &StorageSettings, prefix: &str) -> bool {
    let is_deep = import.recursive_scan || !import.kind().data().has_folders();
    let own = place(import);
    if is_deep { prefix.starts_with(&own) } else { prefix == own }
}
