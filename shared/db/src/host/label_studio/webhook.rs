//! What a webhook of Label Studio gets: the bodies that Label Studio itself sends about tasks that were created.

use std::collections::BTreeMap;
use std::fmt;

use futures::{TryStreamExt, pin_mut};

use super::deliveries::Delivery;
use crate::{Client, Error, Result, Transaction};

/// Bytes of the tasks in one request. More tasks follow in another request. A single larger task is sent alone.
const BODY_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of a task that is sent at all: an object has at most 32 MiB as it comes, and prints longer with escapes.
const MOST_TASK_BYTES: i64 = 64 * 1024 * 1024;

/// Rows per read, so that few large ones are read in vain at the end of a request.
const MAX_ROWS: usize = 128;

/// The next request of a delivery.
pub struct WebhookCall {
    /// The user's URL, which may contain a password.
    pub url: String,
    /// The user's headers, which may contain secrets.
    pub headers: BTreeMap<String, String>,
    /// The body, in JSON. `None` if all its tasks are left out, and nothing is sent.
    pub body: Option<String>,
    /// Once it is confirmed, all tasks up to this ID are. `None` if it is the delivery's last request.
    pub until: Option<i32>,
    /// Tasks that are too large for a webhook, and left out.
    pub skipped: usize,
}

impl fmt::Debug for WebhookCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.body.as_ref().map(String::len);
        formatter.debug_struct("WebhookCall").field("bytes", &bytes).field("until", &self.until).finish()
    }
}

/// A time as Label Studio's serializers write it.
macro_rules! time {
    ($column:literal) => {
        concat!(
            "replace(to_char(",
            $column,
            " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), '.000000', '') || 'Z'"
        )
    };
}

/// The tasks of a delivery, in the order of their IDs. The name of the data column that the label config shows takes the place of
/// `$undefined$`. Runs are in order, and so are the tasks of each: a sort of the result would print all bodies before the
/// first row.
const TASKS: &str = concat!(
    "SELECT t.id, CASE WHEN octet_length(j.body) <= $5::bigint THEN j.body END AS body
       FROM (SELECT (SELECT key FROM jsonb_object_keys(CASE WHEN jsonb_typeof(data_types) = 'object' THEN data_types END) key LIMIT 1) AS shown
               FROM public.project WHERE id = $4::bigint) p
      CROSS JOIN unnest($1::int[], $2::int[]) r(first, last)
      CROSS JOIN LATERAL (SELECT t.* FROM public.task t
                           WHERE t.id BETWEEN greatest(r.first, $3 + 1) AND r.last AND t.project_id = $4::bigint
                           ORDER BY t.id OFFSET 0) t
      CROSS JOIN LATERAL (SELECT ((to_jsonb(t) - '{project_id,updated_by_id,file_upload_id,data}'::text[]) || jsonb_build_object(
                'project', t.project_id, 'updated_by', t.updated_by_id, 'file_upload', t.file_upload_id,
                'created_at', ", time!("t.created_at"), ", 'updated_at', ", time!("t.updated_at"), ",
                'last_comment_updated_at', ", time!("t.last_comment_updated_at"), ",
                'comment_authors', (SELECT coalesce(jsonb_agg(c.user_id), '[]') FROM public.task_comment_authors c
                                     WHERE c.task_id = t.id),
                'data', CASE WHEN t.data ? '$undefined$' AND p.shown IS NOT NULL
                             THEN (t.data - '$undefined$') || jsonb_build_object(p.shown, t.data -> '$undefined$')
                             ELSE t.data END))::text AS body OFFSET 0) j"
);

/// The project with its eight counters.
const PROJECT: &str = concat!(
    // Version 1.21 has no deleted projects.
    "SELECT ((to_jsonb(p) - '{created_by_id,organization_id,deleted_by_id}'::text[]) || jsonb_build_object(
            'created_by', p.created_by_id, 'organization', p.organization_id, 'deleted_by', to_jsonb(p) -> 'deleted_by_id',
            'created_at', ",
    time!("p.created_at"),
    ", 'updated_at', ",
    time!("p.updated_at"),
    ",
            'pinned_at', ",
    time!("p.pinned_at"),
    ", 'deleted_at', ",
    time!("(to_jsonb(p) ->> 'deleted_at')::timestamptz"),
    ",
            'purge_at', ",
    time!("(to_jsonb(p) ->> 'purge_at')::timestamptz"),
    ",
            'task_number', t.all_tasks, 'finished_task_number', t.finished,
            'total_predictions_number', (SELECT count(*) FROM public.prediction WHERE project_id = p.id),
            'total_annotations_number', a.total, 'num_tasks_with_annotations', a.tasks,
            'useful_annotation_number', a.useful, 'ground_truth_number', a.ground_truth,
            'skipped_annotations_number', a.skipped)
            - CASE WHEN to_jsonb(p) ? 'deleted_at' THEN '{}'::text[] ELSE '{deleted_by,deleted_at,purge_at}' END)::text
       FROM public.project p
      CROSS JOIN LATERAL (SELECT count(*) AS all_tasks, count(*) FILTER (WHERE is_labeled) AS finished
                            FROM public.task WHERE project_id = p.id) t
      CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE NOT was_cancelled) AS total,
                                 count(*) FILTER (WHERE is_useful) AS useful,
                                 count(DISTINCT task_id) FILTER (WHERE is_useful) AS tasks,
                                 count(*) FILTER (WHERE ground_truth) AS ground_truth,
                                 count(*) FILTER (WHERE was_cancelled) AS skipped
                            FROM (SELECT was_cancelled, ground_truth, task_id,
                                         NOT was_cancelled AND NOT ground_truth AND result IS NOT NULL AS is_useful
                                    FROM public.task_completion WHERE project_id = p.id) c) a
      WHERE p.id = $1::bigint AND to_jsonb(p) ->> 'deleted_at' IS NULL"
);

/// That there is such a project, without its content.
const PROJECT_ALONE: &str =
    "SELECT NULL FROM public.project p WHERE p.id = $1::bigint AND to_jsonb(p) ->> 'deleted_at' IS NULL";

/// The next request of a delivery. `None` if nothing is left to send: the webhook or the project is deleted or not active
/// anymore, or the remaining tasks are deleted.
///
/// # Errors
/// The database is unavailable, or does not print a row.
pub async fn next_call(client: &mut Client, delivery: &mut Delivery) -> Result<Option<WebhookCall>> {
    let tx = client.transaction().await?;
    let webhook = "SELECT url, headers::text, send_payload FROM public.webhook WHERE id = $1::bigint AND is_active";
    let Some(webhook) = tx.query_opt(webhook, &[&delivery.webhook_id]).await? else { return Ok(None) };
    let has_payload: bool = webhook.get("send_payload");
    if delivery.project.is_none() || !has_payload {
        // The counters of a body read all tasks and annotations of the project.
        let text = if has_payload { PROJECT } else { PROJECT_ALONE };
        let Some(project) = tx.query_opt(text, &[&delivery.project_id]).await? else { return Ok(None) };
        delivery.project = project.get(0);
    }
    // Without a payload, one task is enough to know that there are any.
    let page = tasks(&tx, delivery, if has_payload { BODY_BYTES } else { 0 }).await?;
    tx.rollback().await?;
    if page.tasks == 0 && page.skipped == 0 {
        return Ok(None);
    }
    let (body, until) = if !has_payload {
        (Some(r#"{"action":"TASKS_CREATED"}"#.to_owned()), None)
    } else if page.tasks == 0 {
        (None, page.until)
    } else {
        let mut body = page.body;
        body.push_str(r#"],"project":"#);
        body.push_str(delivery.project.as_deref().unwrap_or_default());
        body.push('}');
        (Some(body), page.until)
    };
    Ok(Some(WebhookCall {
        url: webhook.get("url"),
        headers: headers(webhook.get("headers"))?,
        body,
        until,
        skipped: page.skipped,
    }))
}

/// The headers of a webhook. Label Studio permits texts only.
fn headers(text: &str) -> Result<BTreeMap<String, String>> {
    serde_json::from_str(text).map_err(|error| Error::unreadable("webhook.headers", error))
}

/// How a body with tasks begins.
const BEGINNING: &str = r#"{"action":"TASKS_CREATED","tasks":["#;

/// Tasks of one request.
struct TaskPage {
    /// [`BEGINNING`], and the tasks separated by commas.
    body: String,
    /// Tasks in the body.
    tasks: usize,
    skipped: usize,
    until: Option<i32>,
}

async fn tasks(tx: &Transaction<'_>, delivery: &Delivery, most_bytes: usize) -> Result<TaskPage> {
    let statement = tx.prepare(TASKS).await?;
    let runs = &delivery.runs;
    let portal = tx
        .bind(&statement, &[&runs.first, &runs.last, &delivery.sent_until, &delivery.project_id, &MOST_TASK_BYTES])
        .await?;
    let mut page = TaskPage { body: BEGINNING.to_owned(), tasks: 0, skipped: 0, until: None };
    let (mut read, mut wanted) = (0, 1);
    loop {
        let rows = tx.query_portal_raw(&portal, i32::try_from(wanted).unwrap_or(i32::MAX)).await?;
        pin_mut!(rows);
        let mut received = 0;
        while let Some(row) = rows.try_next().await? {
            received += 1;
            let id: i32 = row.get("id");
            // Tasks below the last one count as sent.
            if page.until.is_some_and(|last| id <= last) {
                return Err(Error::unreadable(
                    "the order of tasks",
                    format!("{id} follows {}", page.until.unwrap_or_default()),
                ));
            }
            let body: Option<&str> = row.try_get("body").map_err(|error| Error::unreadable("a task", error))?;
            if let Some(body) = body {
                if page.tasks > 0 {
                    if page.body.len() + body.len() > most_bytes {
                        return Ok(page);
                    }
                    page.body.push(',');
                }
                page.body.push_str(body);
                page.tasks += 1;
            } else {
                page.skipped += 1;
            }
            page.until = Some(id);
        }
        if received < wanted {
            page.until = None;
            return Ok(page);
        }
        read += received;
        // The number of rows that fit, if their average size is the same as before.
        let room = most_bytes.saturating_sub(page.body.len()) / (page.body.len() / read).max(1);
        wanted = room.clamp(1, MAX_ROWS.min(wanted * 2));
    }
}
