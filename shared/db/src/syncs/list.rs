//! Lists syncs for the API.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;
use longshore_model::SyncStatus;
use tokio_postgres::types::ToSql;

use super::{SyncRow, read};
use crate::bounded::{bounded, settings_bytes};
use crate::jobs::OpenJob;
use crate::{Bounded, Counts, GenericClient, Result};

/// Which syncs to list.
#[derive(Debug, Clone, Default)]
pub struct SyncFilter {
    /// Only this project; `None` means any.
    pub project: Option<i64>,
    /// Only these projects; `None` means all.
    pub projects: Option<Vec<i64>>,
    /// Only this storage; `None` means any.
    pub storage: Option<i64>,
    /// Only this status; `None` means any.
    pub status: Option<SyncStatus>,
    /// Only syncs that were requested at this time or later; `None` means any time.
    pub since: Option<Timestamp>,
    /// Only syncs that were requested at an earlier time; `None` means any time.
    pub until: Option<Timestamp>,
    /// Only syncs with a smaller ID, for the next page. `None` for the first page.
    pub before: Option<i64>,
    /// The most syncs to return.
    pub limit: i64,
}

/// Syncs, newest first, as far as they fit into `most` bytes.
///
/// The statement finds the IDs of the page first, then its counts. With a filter on storages or projects, it reads the
/// newest syncs of each of these storages; a scan backwards over the syncs of all other storages could take very long.
/// With a time, it walks back from the newest sync to that time.
/// The SQL text has only the filters that are set, so each combination gets its own plan. It is not prepared.
pub async fn list(client: &impl GenericClient, filter: &SyncFilter, most: i64) -> Result<Bounded<SyncRow>> {
    let before = filter.before.unwrap_or(i64::MAX);
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&before, &filter.limit];
    let ids = ids(filter, &mut values);
    let page = format!(
        "SELECT s.*, st.kind, st.direction, coalesce(s.storage_id, s.deletes_from) AS of_storage,
                CASE WHEN s.storage_id IS NULL THEN s.project_id ELSE st.project_id END AS of_project
           FROM syncs s LEFT JOIN storages st ON st.id = coalesce(s.storage_id, s.deletes_from)
          WHERE s.id = ANY (ARRAY({ids})) ORDER BY s.id DESC"
    );
    values.push(&most);
    let most = format!("${}", values.len());
    let bytes = format!("1536 + {} + coalesce(octet_length(detail), 0)", settings_bytes("options"));
    let shown = "id, of_storage AS storage_id, of_project AS project_id, kind, direction, deletion, status, options, requested_by, idempotency_key, reason,
                 detail, created_at, started_at, finished_at";
    let kept = bounded(&page, &bytes, "id DESC", shown, &most);
    // Compute counts only for the syncs that are shown.
    let text = format!(
        "SELECT s.id, s.storage_id, s.project_id, s.kind, s.direction, s.deletion::text AS deletion, s.status, s.options::text AS options,
                s.requested_by, s.idempotency_key, s.reason, s.detail, s.created_at, s.started_at, s.finished_at,
                s.page_rows, c.*, open_job.*
           FROM ({kept}) s CROSS JOIN LATERAL (SELECT {} FROM jobs j WHERE j.sync_id = s.id) c {}
          ORDER BY s.id DESC",
        Counts::SUMS,
        OpenJob::JOIN
    );
    let rows = client.query(&text, &values).await?;
    Bounded::read(&rows, read)
}

/// The statement that finds the IDs of a page. `$1` is the ID before which it starts, and `$2` the limit; the values of
/// the filter are added to `values`.
fn ids<'a>(filter: &'a SyncFilter, values: &mut Vec<&'a (dyn ToSql + Sync)>) -> String {
    // Within the SQL text, which is safe for a word of a closed set. With a parameter, Postgres could not use the
    // partial index on the status.
    let status = filter.status.map(|status| format!(" AND y.status = '{}'", status.as_str())).unwrap_or_default();
    let mut times = String::new();
    for (comparison, time) in [(">=", &filter.since), ("<", &filter.until)] {
        if let Some(time) = time {
            values.push(time);
            times.push_str(&format!(" AND y.created_at {comparison} ${}", values.len()));
        }
    }
    let newest =
        |of: &str| format!("SELECT y.id FROM syncs y WHERE {of}y.id < $1{status}{times} ORDER BY y.id DESC LIMIT $2");
    let (mut storages, mut deletions) = (Vec::new(), String::new());
    let mut with = |of_storage: &str, of_deletion: &str, value| {
        values.push(value);
        let number = format!("${}", values.len());
        storages.push(of_storage.replace('?', &number));
        deletions.push_str(&format!("y.{} AND ", of_deletion.replace('?', &number)));
    };
    if let Some(project) = &filter.project {
        with("project_id = ?", "project_id = ?", project);
    }
    if let Some(projects) = &filter.projects {
        with("project_id = ANY (?)", "project_id = ANY (?)", projects);
    }
    if let Some(storage) = &filter.storage {
        with("id = ?", "deletes_from = ?", storage);
    }
    match storages.is_empty() {
        true => newest(""),
        // Deletions of tasks have no storage.
        false => format!(
            "SELECT id FROM (
                 SELECT newest.id FROM (SELECT id FROM storages WHERE {} OFFSET 0) o CROSS JOIN LATERAL ({}) newest
                  UNION ALL ({})) of_both
              ORDER BY id DESC LIMIT $2",
            storages.join(" AND "),
            newest("y.storage_id = o.id AND "),
            newest(&format!("y.storage_id IS NULL AND {deletions}"))
        ),
    }
}
