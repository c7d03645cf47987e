//! Reading what an export writes: pages bounded by units and by bytes, and no unit beyond its bound.

use futures::{TryStreamExt, pin_mut};
use longshore_model::ExportMode;
use serde_json::value::RawValue;
use tokio_postgres::Row;

use crate::host::{AnnotationRow, Oversize, Selected, Selection, TaskRow, Unit};
use crate::{Client, Error, Result};

/// Rows per request at most: enough that their number does not show. More would have the database print more large ones
/// in vain, after a run of small ones.
const MOST_ROWS: usize = 128;

/// Annotations, one a unit.
pub(super) async fn annotations(client: &mut Client, selection: &Selection<'_>) -> Result<Selected> {
    read(client, include_str!("../annotations_to_export.sql"), selection, false).await
}

/// Tasks with all of their annotations.
pub(super) async fn tasks(client: &mut Client, selection: &Selection<'_>) -> Result<Selected> {
    read(client, include_str!("../tasks_to_export.sql"), selection, true).await
}

/// The next unit's id, whether it is to be written or not. Its row is not read.
pub(super) async fn next_id(client: &Client, selection: &Selection<'_>, per_task: bool) -> Result<Option<i64>> {
    let (table, task) = if per_task { ("tasks", "id") } else { ("annotations", "task_id") };
    let statement = format!(
        "SELECT id FROM {table} WHERE project_id = $1 AND id > $2 AND id <= $3
            AND (cardinality($4::bigint[]) = 0 OR {task} = ANY ($4)) ORDER BY id LIMIT 1"
    );
    let (project, after, until) = (selection.project_id, selection.after, selection.until);
    let row = client.query_opt(&statement, &[&project, &after, &until, &selection.options.tasks]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// The rows of one of the statements that choose what to export, with their JSON as text.
///
/// Each value is printed once, for its length and for the row. A row of more than $9 bytes comes without its JSON, so
/// that no row is larger than the caller has room for.
fn in_bytes(choosing: &str, order: &str) -> String {
    format!(
        "SELECT rows.walked, rows.id, rows.task_id, rows.project_id, rows.was_cancelled, rows.ground_truth,
                rows.lead_time, rows.completed_by, rows.created_at, rows.updated_at, rows.total_annotations,
                rows.cancelled_annotations, rows.total_predictions, rows.task_created_at, rows.task_updated_at,
                bytes.of_result, bytes.of_task,
                CASE WHEN bytes.of_result + bytes.of_task <= $9 THEN texts.result END AS result,
                CASE WHEN bytes.of_result + bytes.of_task <= $9 THEN texts.data END AS task_data,
                CASE WHEN bytes.of_result + bytes.of_task <= $9 THEN texts.meta END AS task_meta
           FROM ({choosing}) rows
          CROSS JOIN LATERAL (SELECT rows.result::text AS result, rows.task_data::text AS data,
                                     rows.task_meta::text AS meta OFFSET 0) texts
          CROSS JOIN LATERAL (SELECT octet_length(texts.result)::bigint AS of_result,
                                     octet_length(texts.data)::bigint + octet_length(texts.meta) AS of_task
                              OFFSET 0) bytes
          ORDER BY {order}"
    )
}

/// Runs one of the statements that choose what to export: they take the same parameters.
///
/// `grouped` says that several rows may belong to one unit.
async fn read(client: &mut Client, choosing: &str, selection: &Selection<'_>, grouped: bool) -> Result<Selected> {
    let all = selection.options.mode == ExportMode::All;
    let most = i64::try_from(selection.unit_bytes).unwrap_or(i64::MAX);
    let tx = client.transaction().await?;
    // Not cached: a plan made while the tables were small would be kept for when they are large.
    let order = if grouped { "rows.walked, rows.id" } else { "rows.walked" };
    let statement = tx.prepare(&in_bytes(choosing, order)).await?;
    let portal = tx
        .bind(
            &statement,
            &[
                &selection.project_id,
                &selection.storage_id,
                &selection.sync_id,
                &all,
                &selection.options.tasks,
                &selection.after,
                &selection.until,
                &selection.limit,
                &most,
            ],
        )
        .await?;
    let mut page = Reading {
        grouped,
        most: selection.unit_bytes,
        units: Vec::new(),
        bytes: 0,
        unit_bytes: 0,
        largest_row: 0,
        walked: 0,
        before: selection.after,
        until: selection.after,
    };
    // One row first: nothing is known of their size.
    let (mut rows_read, mut ask) = (0, 1);
    let (more, oversize) = 'page: loop {
        let asked = tx.query_portal_raw(&portal, i32::try_from(ask).unwrap_or(i32::MAX)).await?;
        pin_mut!(asked);
        let mut came = 0;
        while let Some(row) = asked.try_next().await? {
            came += 1;
            if let Some(oversize) = page.add(&row)? {
                break 'page page.end_before(oversize);
            }
            // In mid-request: after many rows without bytes the next ones may be large, all of them. The rest of what
            // was asked for is dropped as it comes.
            if page.bytes >= selection.bytes && page.end_early() {
                break 'page (true, None);
            }
        }
        if came < ask {
            break (page.walked >= selection.limit, None);
        }
        rows_read += came;
        // As many as there is room for, if they are like those before.
        let room = selection.bytes.saturating_sub(page.bytes) / (page.bytes / rows_read).max(1);
        ask = room.clamp(1, MOST_ROWS.min(ask * 2));
    };
    tx.rollback().await?;
    Ok(Selected {
        units: page.units,
        walked: page.walked,
        until: page.until,
        more,
        largest_row: page.largest_row,
        oversize,
    })
}

/// The part of a page that was read.
struct Reading {
    grouped: bool,
    /// Bytes that one unit may have.
    most: usize,
    units: Vec<Unit>,
    /// Bytes of all units, and of the last one.
    bytes: usize,
    unit_bytes: usize,
    /// Bytes of the largest row.
    largest_row: usize,
    /// Ids gone through.
    walked: i64,
    /// The last of them but one, and the last.
    before: i64,
    until: i64,
}

impl Reading {
    /// Adds a row; if its unit then has more bytes than it may, the row is not kept.
    fn add(&mut self, row: &Row) -> Result<Option<Oversize>> {
        let walked = row.get("walked");
        let goes_on = self.grouped && walked == self.until && self.walked > 0;
        if !goes_on {
            self.walked += 1;
            self.before = std::mem::replace(&mut self.until, walked);
            self.unit_bytes = 0;
        }
        if row.get::<_, Option<i64>>("id").is_none() {
            return Ok(None);
        }
        let bytes = |column| row.get::<_, Option<i64>>(column).and_then(|bytes| usize::try_from(bytes).ok());
        // A task comes with each of its annotations and is kept once.
        let of_task = if goes_on { 0 } else { bytes("of_task").unwrap_or_default() };
        let row_bytes = bytes("of_result").unwrap_or_default() + of_task;
        self.unit_bytes += row_bytes;
        // A task's data comes with each of its rows.
        self.largest_row = self.largest_row.max(row_bytes).max(bytes("of_task").unwrap_or_default());
        let is_kept = row.get::<_, Option<&str>>("result").is_some();
        if self.unit_bytes > self.most || !is_kept {
            let is_whole = !self.grouped;
            return Ok(Some(Oversize { unit_id: walked, bytes: is_whole.then_some(self.unit_bytes) }));
        }
        self.bytes += row_bytes;
        let annotation = read_annotation(row)?;
        match self.units.last_mut() {
            Some(unit) if goes_on => unit.annotations.push(annotation),
            _ => self.units.push(Unit { task: read_task(row)?, annotations: vec![annotation] }),
        }
        Ok(None)
    }

    /// Ends the page before a unit that is too large, or with it if it has nothing else to write.
    fn end_before(&mut self, oversize: Oversize) -> (bool, Option<Oversize>) {
        if self.grouped {
            self.units.pop_if(|unit| unit.task.id == self.until);
        }
        if self.units.is_empty() {
            return (true, Some(oversize));
        }
        self.leave_last();
        (true, None)
    }

    /// Ends the page here, if that is possible: the last of several units that may have more rows is left
    /// to the next page.
    fn end_early(&mut self) -> bool {
        if self.grouped && self.units.len() <= 1 && self.units.last().is_none_or(|unit| unit.task.id == self.until) {
            return false;
        }
        if self.grouped {
            self.units.pop_if(|unit| unit.task.id == self.until);
            self.leave_last();
        }
        true
    }

    /// Leaves the last id to the next page.
    fn leave_last(&mut self) {
        self.until = self.before;
        self.walked -= 1;
    }
}

fn read_task(row: &Row) -> Result<TaskRow> {
    Ok(TaskRow {
        id: row.get("task_id"),
        project_id: row.get("project_id"),
        data: json(row, "task_data")?,
        meta: json(row, "task_meta")?,
        total_annotations: row.get("total_annotations"),
        cancelled_annotations: row.get("cancelled_annotations"),
        total_predictions: row.get("total_predictions"),
        created_at: row.get("task_created_at"),
        updated_at: row.get("task_updated_at"),
    })
}

fn read_annotation(row: &Row) -> Result<AnnotationRow> {
    Ok(AnnotationRow {
        id: row.get("id"),
        task_id: row.get("task_id"),
        project_id: row.get("project_id"),
        result: json(row, "result")?,
        was_cancelled: row.get("was_cancelled"),
        ground_truth: row.get("ground_truth"),
        lead_time: row.get("lead_time"),
        completed_by: row.get("completed_by"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

fn json(row: &Row, column: &'static str) -> Result<Box<RawValue>> {
    let text: &str = row.try_get(column).map_err(|error| Error::unreadable(column, error))?;
    RawValue::from_string(text.to_owned()).map_err(|error| Error::unreadable(column, error))
}
