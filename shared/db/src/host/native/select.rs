//! Reading what an export writes: pages bounded by units and by bytes.

use longshore_model::ExportMode;
use serde_json::value::RawValue;
use tokio_postgres::Row;

use crate::host::{AnnotationRow, Selected, Selection, TaskRow, Unit};
use crate::{Client, Error, RawJson, Result};

/// Rows per request at most: enough that their number does not show, few enough that a sudden run of large
/// ones does not fill the memory.
const MOST_ROWS: usize = 128;

/// Annotations, one a unit.
pub(super) async fn annotations(client: &mut Client, selection: &Selection<'_>) -> Result<Selected> {
    read(client, include_str!("../annotations_to_export.sql"), selection, false).await
}

/// Tasks with all of their annotations.
pub(super) async fn tasks(client: &mut Client, selection: &Selection<'_>) -> Result<Selected> {
    read(client, include_str!("../tasks_to_export.sql"), selection, true).await
}

/// Runs one of the statements that choose what to export: they take the same parameters.
///
/// `grouped` says that several rows may belong to one unit.
async fn read(client: &mut Client, statement: &str, selection: &Selection<'_>, grouped: bool) -> Result<Selected> {
    let all = selection.options.mode == ExportMode::All;
    let tx = client.transaction().await?;
    // Not cached: a plan made while the tables were small would be kept for when they are large.
    let statement = tx.prepare(statement).await?;
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
            ],
        )
        .await?;
    let mut page = Reading { grouped, units: Vec::new(), walked: 0, before: selection.after, until: selection.after };
    // One row first: nothing is known of their size.
    let (mut bytes, mut rows_read, mut ask) = (0, 0, 1);
    let more = loop {
        let rows = tx.query_portal(&portal, i32::try_from(ask).unwrap_or(i32::MAX)).await?;
        for row in &rows {
            bytes += row.raw_size_bytes();
            page.add(row)?;
        }
        if rows.len() < ask {
            break page.walked >= selection.limit;
        }
        if bytes >= selection.bytes && page.end_early() {
            break true;
        }
        rows_read += rows.len();
        // As many as there is room for, if they are like those before.
        let room = selection.bytes.saturating_sub(bytes) / (bytes / rows_read).max(1);
        ask = room.clamp(1, MOST_ROWS.min(ask * 2));
    };
    tx.rollback().await?;
    Ok(Selected { units: page.units, until: page.until, more })
}

/// The part of a page that was read.
struct Reading {
    grouped: bool,
    units: Vec<Unit>,
    /// Ids gone through.
    walked: i64,
    /// The last of them but one, and the last.
    before: i64,
    until: i64,
}

impl Reading {
    fn add(&mut self, row: &Row) -> Result<()> {
        let walked = row.get("walked");
        let goes_on = self.grouped && walked == self.until && self.walked > 0;
        if !goes_on {
            self.walked += 1;
            self.before = std::mem::replace(&mut self.until, walked);
        }
        if row.get::<_, Option<i64>>("id").is_none() {
            return Ok(());
        }
        let annotation = read_annotation(row)?;
        match self.units.last_mut() {
            Some(unit) if goes_on => unit.annotations.push(annotation),
            _ => self.units.push(Unit { task: read_task(row)?, annotations: vec![annotation] }),
        }
        Ok(())
    }

    /// Ends the page here, if that is possible: the last of several units that may have more rows is left
    /// to the next page.
    fn end_early(&mut self) -> bool {
        if self.grouped && self.walked == 1 {
            return false;
        }
        if self.grouped {
            self.units.pop_if(|unit| unit.task.id == self.until);
            self.until = self.before;
        }
        true
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
    let RawJson(text) = row.try_get::<_, RawJson<&str>>(column).map_err(|error| Error::unreadable(column, error))?;
    RawValue::from_string(text.to_owned()).map_err(|error| Error::unreadable(column, error))
}
