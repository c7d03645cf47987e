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

/// Why another edition, or one with a job queue, is refused. `None` if it is neither.
pub(super) async fn fault(client: &impl GenericClient, apps: &BTreeSet<&str>) -> Result<Option<String>> {
    let unknown: Vec<&str> = apps.iter().filter(|app| !APPS.contains(app)).copied().collect();
    if !unknown.is_empty() {
        return Ok(Some(format!(
            "This Label Studio has tables of apps that the open edition lacks: {}. Longshore supports the open edition \
             alone, because others keep rules about tasks that are not in these tables.",
            unknown.join(", ")
        )));
    }
    queued_sync(client).await
}

/// The first storage whose last sync ran in a Redis queue. The open edition as it comes has none.
async fn queued_sync(client: &impl GenericClient) -> Result<Option<String>> {
    for (kind, direction, tables) in every_kind() {
        let text = format!(
            "SELECT s.{}::bigint FROM public.{} s WHERE s.last_sync_job <> '' ORDER BY 1 LIMIT 1",
            tables.id, tables.storages
        );
        if let Some(row) = client.query_opt(&text, &[]).await? {
            let id: i64 = row.get(0);
            return Ok(Some(format!(
                "Label Studio ran the last sync of {kind} {direction} storage {id} as a job of a Redis queue (RQ). \
                 Longshore needs a Label Studio without that queue, because the queue would fail Longshore's syncs. If it \
                 is off already, sync that storage once in Label Studio."
            )));
        }
    }
    Ok(None)
}
