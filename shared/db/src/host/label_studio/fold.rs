//! Adds what pages recorded to the summaries of projects.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::recount;
use super::summary::common;
use crate::host::SummaryDelta;
use crate::{Client, Error, RawJson, Result, Transaction};

/// Rows of one project that a transaction adds: those of a million tasks.
const MOST_ROWS: i64 = 1_000;

/// Bytes of their JSON texts. A row alone may have more: where each task has other columns, a page has as many.
const MOST_BYTES: i64 = 4 * 1024 * 1024;

/// The project whose additions wait longest, without those in `but`. `None` if nothing is recorded for another one.
pub async fn next_to_fold(client: &Client, but: &[i64]) -> Result<Option<i64>> {
    let text = "SELECT project_id FROM host_deltas WHERE NOT project_id = ANY ($1) ORDER BY id LIMIT 1";
    Ok(client.query_opt(text, &[&but]).await?.map(|row| row.get(0)))
}

/// Adds what is recorded for a project to its summary, in one transaction. Returns false if nothing is recorded, or another
/// scheduler adds it.
///
/// # Errors
/// Also if the summary stays locked for 5 s.
pub async fn fold(client: &mut Client, project_id: i64) -> Result<bool> {
    let sizes =
        "SELECT id, octet_length(delta::text)::bigint FROM host_deltas WHERE project_id = $1 ORDER BY id LIMIT $2";
    let mut bytes = 0;
    let rows = client.query(sizes, &[&project_id, &MOST_ROWS]).await?;
    let ids = rows.iter().enumerate().map_while(|(index, row)| {
        bytes += row.get::<_, i64>(1);
        (index == 0 || bytes <= MOST_BYTES).then(|| row.get(0))
    });
    let ids: Vec<i64> = ids.collect();
    let tx = client.transaction().await?;
    tx.batch_execute("SET LOCAL lock_timeout = '5s'").await?;
    let rows = tx
        .query(
            "DELETE FROM host_deltas WHERE id = ANY (ARRAY(
                    SELECT d.id FROM host_deltas d WHERE d.id = ANY ($1) ORDER BY d.id FOR UPDATE SKIP LOCKED))
             RETURNING delta::text",
            &[&ids],
        )
        .await?;
    if rows.is_empty() {
        return Ok(false);
    }
    let mut sum = SummaryDelta::default();
    for row in &rows {
        sum.add(&SummaryDelta::of_json(row.get(0))?);
    }
    write(&tx, project_id, &sum).await?;
    recount::schedule(&tx, project_id).await?;
    tx.commit().await?;
    Ok(true)
}

/// Adds what syncs recorded whose end is not shown yet. Users may delete tasks as soon as a sync has ended, and Label Studio
/// subtracts from a summary only what it has.
pub(super) async fn fold_ended(client: &mut Client) -> Result<()> {
    let text = "SELECT DISTINCT d.project_id FROM syncs y JOIN host_deltas d ON d.project_id = y.project_id
                 WHERE y.finished_at IS NOT NULL AND y.reported_at IS NULL";
    for row in client.query(text, &[]).await? {
        while fold(client, row.get(0)).await? {}
    }
    Ok(())
}

/// Adds to a summary under its lock. A project that was deleted meanwhile has none.
async fn write(tx: &Transaction<'_>, project_id: i64, sum: &SummaryDelta) -> Result<()> {
    tx.execute(
        "INSERT INTO public.projects_projectsummary (project_id, created_at, all_data_columns, common_data_columns,
                                                     created_annotations, created_labels, created_labels_drafts)
         SELECT id, now(), '{}', '[]', '{}', '{}', '{}' FROM public.project WHERE id = $1::bigint
             ON CONFLICT (project_id) DO NOTHING",
        &[&project_id],
    )
    .await?;
    let row = tx
        .query_opt(
            "SELECT all_data_columns::text, common_data_columns::text, created_annotations::text, created_labels::text
               FROM public.projects_projectsummary WHERE project_id = $1::bigint FOR UPDATE",
            &[&project_id],
        )
        .await?;
    let Some(row) = row else { return Ok(()) };
    let object = |column: usize| -> Result<Map<String, Value>> {
        let text: Option<&str> = row.get(column);
        serde_json::from_str(text.unwrap_or("{}")).map_err(|error| Error::unreadable("a project summary", error))
    };
    let (mut columns, mut annotations, mut labels) = (object(0)?, object(2)?, object(3)?);
    let before: Vec<String> = serde_json::from_str(row.get::<_, Option<&str>>(1).unwrap_or("[]")).unwrap_or_default();
    // Without columns there was no task, so the new ones decide alone.
    let common = common((!columns.is_empty()).then_some(&before), sum);
    add(&mut columns, &sum.columns);
    add(&mut annotations, &sum.annotations);
    for (control, counts) in &sum.labels {
        let of_control = labels.entry(control).or_insert_with(|| Value::Object(Map::new()));
        if !of_control.is_object() {
            *of_control = Value::Object(Map::new());
        }
        of_control.as_object_mut().into_iter().for_each(|of_control| add(of_control, counts));
    }
    let json = |object: Map<String, Value>| RawJson(Value::Object(object).to_string());
    tx.execute(
        "UPDATE public.projects_projectsummary
            SET all_data_columns = $2, common_data_columns = $3, created_annotations = $4, created_labels = $5
          WHERE project_id = $1::bigint",
        &[&project_id, &json(columns), &RawJson(Value::from(common).to_string()), &json(annotations), &json(labels)],
    )
    .await?;
    Ok(())
}

fn add(totals: &mut Map<String, Value>, counts: &BTreeMap<String, i64>) {
    for (name, count) in counts {
        let before = totals.get(name).and_then(Value::as_i64).unwrap_or_default();
        totals.insert(name.clone(), before.saturating_add(*count).into());
    }
}
