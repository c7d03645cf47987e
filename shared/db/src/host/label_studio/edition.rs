//! Whether this is the open edition of Label Studio, run as it comes.

use std::collections::BTreeSet;

use super::tables::every_kind;
use crate::{GenericClient, Result};

/// The apps whose migrations the open edition 1.23.2 has.
const APPS: &[&str] = &[
    "admin",
    "auth",
    "authtoken",
    "contenttypes",
    "core",
    "data_export",
    "data_import",
    "data_manager",
    "django_rq",
    "fsm",
    "io_storages",
    "jwt_auth",
    "labels_manager",
    "ml",
    "ml_model_providers",
    "ml_models",
    "organizations",
    "projects",
    "session_policy",
    "sessions",
    "tasks",
    "token_blacklist",
    "users",
    "webhooks",
];

/// Why another edition is refused. `None` if it is the open one.
pub(super) fn fault(apps: &BTreeSet<&str>) -> Option<String> {
    let unknown: Vec<&str> = apps.iter().filter(|app| !APPS.contains(app)).copied().collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "This Label Studio has tables of apps that the open edition lacks: {}. Longshore supports the open edition \
             alone, because others keep rules about tasks that are not in these tables.",
            unknown.join(", ")
        )
    })
}

/// A storage whose last sync seems to have run in a Redis queue: a sign of a Label Studio with such a queue, and no more
/// than that. Users may write the column, and its value stays when the queue is switched off.
pub(super) async fn queued_sync(client: &impl GenericClient) -> Result<Option<String>> {
    for (kind, direction, tables) in every_kind() {
        let text = format!(
            "SELECT s.{}::bigint FROM public.{} s JOIN public.project p ON p.id = s.project_id
              WHERE s.last_sync_job <> '' AND to_jsonb(p) ->> 'deleted_at' IS NULL ORDER BY 1 LIMIT 1",
            tables.id, tables.storages
        );
        if let Some(row) = client.query_opt(&text, &[]).await? {
            let id: i64 = row.get(0);
            return Ok(Some(format!(
                "the last sync of {kind} {direction} storage {id} seems to have run as a job of a Redis queue (RQ); Longshore \
                 needs a Label Studio without that queue, because the queue would fail Longshore's syncs; if it is off, \
                 sync that storage once"
            )));
        }
    }
    Ok(None)
}
