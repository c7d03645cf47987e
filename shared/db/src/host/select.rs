//! Reads the units that an export writes, in pages limited by the number of units and by bytes. Units above the limit
//! for one unit are not read.

use futures::{TryStreamExt, pin_mut};
use longshore_model::ExportMode;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio_postgres::Row;

use crate::host::units::{
    AnnotationRow, AnnotationRowDetails, Oversize, SelectedUnits, Selection, TaskDetails, TaskRow, Unit,
};
use crate::{Client, Error, Result};

/// The most rows per request. With this many, the cost per request does not matter. With more, Postgres would print
/// more rows needlessly if large rows follow small ones.
const MAX_ROWS: usize = 128;

/// The statements and tables of one shape of objects of a host.
#[derive(Debug, Clone, Copy)]
pub(in crate::host) struct Source {
    /// The statement that chooses what to export. All of them have the same parameters and columns.
    pub(in crate::host) choosing: &'static str,
    /// The table of the units.
    pub(in crate::host) table: &'static str,
    /// Its column with the ID of the task.
    pub(in crate::host) task: &'static str,
    /// Whether several rows may belong to one unit.
    pub(in crate::host) is_grouped: bool,
}

/// The next unit's ID, whether it needs a write or not. Its row is not read.
pub(super) async fn next_id(client: &Client, source: &Source, selection: &Selection<'_>) -> Result<Option<i64>> {
    let Source { table, task, .. } = source;
    let statement = format!(
        "SELECT id::bigint FROM {table} WHERE project_id = $1::bigint AND id > $2::bigint AND id <= $3::bigint
            AND (cardinality($4::bigint[]) = 0 OR {task} = ANY ($4)) ORDER BY id LIMIT 1"
    );
    let (project, after, until) = (selection.project_id, selection.after, selection.until);
    let row = client.query_opt(&statement, &[&project, &after, &until, &selection.options.tasks]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// The largest ID of a unit in a project. 0 if there is none.
pub(super) async fn last_id(client: &Client, source: &Source, project_id: i64) -> Result<i64> {
    // Not `max`: if the planner expects few rows of the project, it reads all of them for it.
    let statement =
        format!("SELECT id::bigint FROM {} WHERE project_id = $1::bigint ORDER BY id DESC LIMIT 1", source.table);
    Ok(client.query_opt(&statement, &[&project_id]).await?.map_or(0, |row| row.get(0)))
}

/// SQL for the rows of `choosing`, one of the statements that choose what to export, with their JSON as text.
///
/// Postgres prints each value once, for its length and for the row. A row of more than $9 bytes has null instead of its
/// JSON, so no row is larger than the memory that the caller reserved.
fn in_bytes(choosing: &str, order: &str) -> String {
    format!(
        "SELECT rows.walked, rows.id, rows.task_id, rows.project_id, rows.was_cancelled, rows.ground_truth,
                rows.lead_time, rows.completed_by, rows.created_at, rows.updated_at, rows.total_annotations,
                rows.cancelled_annotations, rows.total_predictions, rows.task_created_at, rows.task_updated_at,
                rows.unit_updated_at, bytes.of_result, bytes.of_task,
                CASE WHEN bytes.of_result + bytes.of_task <= $9 THEN texts.result END AS result,
                CASE WHEN bytes.of_result + bytes.of_task <= $9 THEN texts.annotation END AS annotation_details,
                CASE WHEN bytes.of_result + bytes.of_task <= $9 THEN texts.task END AS task_details,
                CASE WHEN bytes.of_result + bytes.of_task <= $9 THEN texts.data END AS task_data,
                CASE WHEN bytes.of_result + bytes.of_task <= $9 THEN texts.meta END AS task_meta
           FROM ({choosing}) rows
          CROSS JOIN LATERAL (SELECT rows.result::text AS result, rows.task_data::text AS data,
                                     rows.task_meta::text AS meta, rows.annotation_details::text AS annotation,
                                     rows.task_details::text AS task OFFSET 0) texts
          CROSS JOIN LATERAL (SELECT octet_length(texts.result)::bigint
                                         + coalesce(octet_length(texts.annotation), 0) AS of_result,
                                     octet_length(texts.data)::bigint + octet_length(texts.meta)
                                         + coalesce(octet_length(texts.task), 0) AS of_task
                              OFFSET 0) bytes
          ORDER BY {order}"
    )
}

/// Reads a page of units.
pub(super) async fn units(client: &mut Client, source: &Source, selection: &Selection<'_>) -> Result<SelectedUnits> {
    let &Source { choosing, is_grouped: grouped, .. } = source;
    let all = selection.options.mode == ExportMode::All;
    let most = i64::try_from(selection.unit_bytes).unwrap_or(i64::MAX);
    let tx = client.transaction().await?;
    // Prepared only for this call: Postgres would keep a plan that it made for small tables.
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
    let mut page = PageReader::new(selection, grouped);
    // Start with one row, because the size of the rows is unknown.
    let (mut rows_read, mut wanted) = (0, 1);
    let (more, oversize) = 'page: loop {
        let rows = tx.query_portal_raw(&portal, i32::try_from(wanted).unwrap_or(i32::MAX)).await?;
        pin_mut!(rows);
        let mut received = 0;
        while let Some(row) = rows.try_next().await? {
            received += 1;
            if let Some(oversize) = page.add(&row)? {
                break 'page page.end_before(oversize);
            }
            // Check within a request as well: after many rows without bytes, all further rows may be large. The driver
            // drops the rest of the requested rows as they arrive.
            if page.bytes >= selection.bytes && page.end_early() {
                break 'page (true, None);
            }
        }
        if received < wanted {
            break (page.walked >= selection.limit, None);
        }
        rows_read += received;
        // Request the number of rows that fit, if their average size is the same as before.
        let room = selection.bytes.saturating_sub(page.bytes) / (page.bytes / rows_read).max(1);
        wanted = room.clamp(1, MAX_ROWS.min(wanted * 2));
    };
    tx.rollback().await?;
    Ok(SelectedUnits {
        units: page.units,
        walked: page.walked,
        until: page.until,
        more,
        largest_row: page.largest_row,
        oversize,
    })
}

/// The state of a page that is being read.
struct PageReader {
    /// Whether several rows may belong to one unit.
    grouped: bool,
    /// The most bytes of one unit.
    most: usize,
    units: Vec<Unit>,
    /// Bytes of all units.
    bytes: usize,
    /// Bytes of the last unit.
    unit_bytes: usize,
    /// Bytes of the largest row.
    largest_row: usize,
    /// Number of units that the page looked at.
    walked: i64,
    /// ID of the last but one of them, or where the page started.
    before: i64,
    /// ID of the last of them, or where the page started.
    until: i64,
}

impl PageReader {
    fn new(selection: &Selection<'_>, grouped: bool) -> Self {
        Self {
            grouped,
            most: selection.unit_bytes,
            units: Vec::new(),
            bytes: 0,
            unit_bytes: 0,
            largest_row: 0,
            walked: 0,
            before: selection.after,
            until: selection.after,
        }
    }

    /// Adds a row. If its unit then exceeds the limit, the row is not kept and the unit is returned as oversize.
    fn add(&mut self, row: &Row) -> Result<Option<Oversize>> {
        let walked = row.get("walked");
        let is_same_unit = self.grouped && walked == self.until && self.walked > 0;
        if !is_same_unit {
            self.walked += 1;
            self.before = std::mem::replace(&mut self.until, walked);
            self.unit_bytes = 0;
        }
        if row.get::<_, Option<i64>>("id").is_none() {
            return Ok(None);
        }
        let bytes = |column| row.get::<_, Option<i64>>(column).and_then(|bytes| usize::try_from(bytes).ok());
        // Each row has the task's data, but the unit keeps it once.
        let of_task = if is_same_unit { 0 } else { bytes("of_task").unwrap_or_default() };
        let row_bytes = bytes("of_result").unwrap_or_default() + of_task;
        self.unit_bytes += row_bytes;
        // Each row has the task's data, even if it counts only once for the unit.
        self.largest_row = self.largest_row.max(row_bytes).max(bytes("of_task").unwrap_or_default());
        let is_kept = row.get::<_, Option<&str>>("result").is_some();
        if self.unit_bytes > self.most || !is_kept {
            let is_whole = !self.grouped;
            return Ok(Some(Oversize { unit_id: walked, bytes: is_whole.then_some(self.unit_bytes) }));
        }
        self.bytes += row_bytes;
        let annotation = read_annotation(row)?;
        match self.units.last_mut() {
            Some(unit) if is_same_unit => unit.annotations.push(annotation),
            _ => self.units.push(Unit {
                task: read_task(row)?,
                annotations: vec![annotation],
                updated_at: row.get("unit_updated_at"),
            }),
        }
        Ok(None)
    }

    /// Ends the page before a unit that is too large. If there is no other unit to write, the page reports this unit.
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

    /// Ends the page here and returns true, if that is possible. If several rows may belong to a unit, the last unit is
    /// left to the next page, because it may have more rows. A single unit cannot be left, so then it returns false.
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

    /// Leaves the last unit to the next page.
    fn leave_last(&mut self) {
        self.until = self.before;
        self.walked -= 1;
    }
}

fn read_task(row: &Row) -> Result<TaskRow> {
    let total_annotations = row.get("total_annotations");
    Ok(TaskRow {
        id: row.get("task_id"),
        project_id: row.get("project_id"),
        data: json(row, "task_data")?,
        meta: json(row, "task_meta")?,
        total_annotations,
        cancelled_annotations: row.get("cancelled_annotations"),
        total_predictions: row.get("total_predictions"),
        created_at: row.get("task_created_at"),
        updated_at: row.get("task_updated_at"),
        details: details(row, "task_details")?.unwrap_or_else(|| TaskDetails::of_native(total_annotations)),
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
        details: details(row, "annotation_details")?.unwrap_or_else(AnnotationRowDetails::of_native),
    })
}

fn json(row: &Row, column: &'static str) -> Result<Box<RawValue>> {
    let text: &str = row.try_get(column).map_err(|error| Error::unreadable(column, error))?;
    RawValue::from_string(text.to_owned()).map_err(|error| Error::unreadable(column, error))
}

/// Values that only Label Studio has. `None` with the native host.
fn details<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<Option<T>> {
    let text: Option<&str> = row.get(column);
    text.map(|text| serde_json::from_str(text).map_err(|error| Error::unreadable(column, error))).transpose()
}
