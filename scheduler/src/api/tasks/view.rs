//! Answers with tasks: reads the parts, reserves memory for them, and writes the JSON.

use std::collections::HashMap;

use longshore_db::Client;
use longshore_db::annotations::{self, AnnotationRow};
use longshore_db::predictions::{self, PredictionRow};
use longshore_db::printed::JsonTable;
use longshore_db::tasks::{self, MAX_SUMMARY_IDS, Summary, TaskRow};

use super::ListHead;
use super::body::TaskBody;
use crate::api::ApiState;
use crate::api::answer::{Answer, MOST_BYTES, texts_memory};
use crate::api::error::{ApiError, ApiResult};
use crate::api::memory::{Reserved, Unfinished};
use crate::api::offload::Stop;
use crate::api::resolve::{Links, MOST_LINK_BYTES};
use crate::api::results::{ROW_BYTES, ResultRow as _};
use crate::api::texts::{AnswerBudget, ChosenRows, Omission, Sizes, Texts};

/// The most annotations, and the most predictions, in one answer. Each takes about 300 bytes without its result,
/// together 3 MiB.
const MOST_INNER: i64 = 10_000;

/// Memory of a task without its JSON, its key and its lists of IDs, in bytes: its rows and its text in the answer.
/// Measured: 700 in the answer.
const TASK_BYTES: usize = 2048;

/// Memory of an ID in the summary of a task, in bytes: as Postgres sends it, as a value, and in the answer.
const ID_BYTES: usize = 48;

/// The most IDs of annotations in the summary of a task.
const MOST_SUMMARY_IDS: usize = MAX_SUMMARY_IDS as usize;

/// How tasks of a project are shown.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) project: i64,
    /// The ID of the token for which links replace the URIs in the data; `None` leaves the URIs.
    pub(super) links_for: Option<i64>,
    /// Whether annotations and predictions are included.
    pub(super) is_full: bool,
    /// The head of a list; `None` if the answer is a single task.
    pub(super) of_list: Option<ListHead>,
}

/// The rows of an answer, without their JSON.
struct Rows {
    tasks: Vec<TaskRow>,
    summaries: HashMap<i64, Summary>,
    annotations: HashMap<i64, Vec<AnnotationRow>>,
    predictions: HashMap<i64, Vec<PredictionRow>>,
}

impl View {
    /// Answers with these tasks. Memory for each part is reserved before the part is read. If only the rows themselves
    /// show their size, it is reserved right after they are read.
    pub(super) async fn answer(
        self,
        state: &ApiState,
        client: Client,
        tasks: Vec<TaskRow>,
        mut reserved: Reserved,
    ) -> Result<Answer, Unfinished> {
        reserved.grow_to(self.expected_bytes(&tasks))?;
        let rows = self.rows(&client, tasks).await?;
        // The expected size may be too low: hosts also write annotations, without updating the counts of the task.
        let heads = rows.bytes();
        reserved.grow_to(heads)?;
        let stored: Vec<_> = rows.tasks.iter().map(|row| (row.id, row.stored_bytes)).collect();
        let mut chosen_tasks = ChosenRows::new(Sizes::of(&client, JsonTable::Tasks, stored).await?);
        let stored = rows.stored(&rows.annotations, |row| (row.id, row.stored_bytes));
        let mut chosen_annotations = ChosenRows::new(Sizes::of(&client, JsonTable::Annotations, stored).await?);
        let stored = rows.stored(&rows.predictions, |row| (row.id, row.stored_bytes));
        let mut chosen_predictions = ChosenRows::new(Sizes::of(&client, JsonTable::Predictions, stored).await?);

        let (mut budget, mut task_bytes) = (AnswerBudget::default(), 0);
        for task in &rows.tasks {
            let before = budget.taken();
            budget.choose(&mut chosen_tasks, task.id);
            task_bytes += budget.taken() - before;
            if self.of_list.is_none() {
                // Annotations have their own budget, so that the data of the task does not displace them. With a task
                // that is larger than a whole answer, they would take more memory than was reserved.
                budget = if task_bytes > MOST_BYTES { AnswerBudget::full() } else { AnswerBudget::additional() };
            }
            for row in rows.annotations.get(&task.id).into_iter().flatten() {
                budget.choose(&mut chosen_annotations, row.id);
            }
            for row in rows.predictions.get(&task.id).into_iter().flatten() {
                budget.choose(&mut chosen_predictions, row.id);
            }
        }
        let bytes = if self.of_list.is_some() { budget.taken() } else { task_bytes + budget.taken() };
        let links = if self.links_for.is_some() { MOST_LINK_BYTES.min(task_bytes.saturating_mul(8)) } else { 0 };
        reserved.grow_to(texts_memory(bytes) + links + heads)?;
        let texts = chosen_tasks.texts(&client, JsonTable::Tasks).await?;
        let results = chosen_annotations.texts(&client, JsonTable::Annotations).await?;
        let predicted = chosen_predictions.texts(&client, JsonTable::Predictions).await?;
        let links = match self.links_for {
            Some(token) => Some(Links::of(state, &client, self.project, token).await?),
            None => None,
        };
        drop(client);
        if self.of_list.is_none() && rows.tasks.iter().any(|task| texts.get(task.id).is_err()) {
            return Err(ApiError::task_too_large().into());
        }
        let first_left_out = rows.tasks.iter().position(|task| texts.get(task.id).err() == Some(Omission::AnswerFull));
        let next_after = first_left_out.and_then(|first| rows.tasks.get(first.checked_sub(1)?)).map(|task| task.id);
        let texts = AllTexts { tasks: texts, annotations: results, predictions: predicted };
        let expected_bytes = bytes + heads / 2;
        let write = move |stop: &Stop| {
            Answer::new(self.write(rows, &texts, links, next_after, expected_bytes, stop)?, reserved)
        };
        Ok(state.offload.run(bytes + heads, write).await?)
    }

    /// Writes the answer task by task, so that the linked data of only one task is in memory.
    fn write(
        self,
        mut rows: Rows,
        texts: &AllTexts,
        mut links: Option<Links>,
        next_after: Option<i64>,
        expected_bytes: usize,
        stop: &Stop,
    ) -> ApiResult<Vec<u8>> {
        let mut json = Vec::with_capacity(expected_bytes);
        if let Some(head) = &self.of_list {
            serde_json::to_writer(&mut json, head).map_err(ApiError::internal)?;
            json.pop();
            json.extend_from_slice(b",\"tasks\":[");
        }
        for (number, task) in std::mem::take(&mut rows.tasks).into_iter().enumerate() {
            if number > 0 {
                json.push(b',');
            }
            let linked = match (&mut links, texts.tasks.get(task.id)) {
                (Some(links), Ok(text)) => links.link(task.id, task.storage_key.as_deref(), text.first(), stop)?,
                _ => None,
            };
            let body = rows.body(task, self.is_full, linked.as_deref(), texts)?;
            serde_json::to_writer(&mut json, &body).map_err(ApiError::internal)?;
        }
        if self.of_list.is_some() {
            json.push(b']');
            let next = next_after.map(|id| format!(",\"next_after\":{id}")).unwrap_or_default();
            json.extend_from_slice(next.as_bytes());
            json.push(b'}');
        }
        Ok(json)
    }

    /// The expected memory without texts, in bytes, by the counts in the task rows.
    fn expected_bytes(self, tasks: &[TaskRow]) -> usize {
        let count = |count: i32| usize::try_from(count).unwrap_or_default();
        let (mut bytes, mut annotations, mut predictions) = (TASK_BYTES * tasks.len(), 0_usize, 0_usize);
        for task in tasks {
            let own = count(task.total_annotations) + count(task.cancelled_annotations);
            bytes += ID_BYTES * own.min(MOST_SUMMARY_IDS);
            annotations += own;
            predictions += count(task.total_predictions);
        }
        let most = usize::try_from(MOST_INNER).unwrap_or_default();
        let inner = if self.is_full { annotations.min(most) + predictions.min(most) } else { 0 };
        bytes + ROW_BYTES * inner
    }

    async fn rows(self, client: &Client, tasks: Vec<TaskRow>) -> ApiResult<Rows> {
        let ids: Vec<i64> = tasks.iter().map(|row| row.id).collect();
        let summaries = tasks::summaries(client, &ids).await?;
        let (mut annotations, mut predictions) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        if self.is_full {
            for row in annotations::of_tasks(client, &ids, 0, MOST_INNER).await? {
                annotations.entry(row.task_id).or_default().push(row);
            }
            for row in predictions::of_tasks(client, &ids, 0, MOST_INNER).await? {
                predictions.entry(row.task_id).or_default().push(row);
            }
        }
        let summaries = summaries.into_iter().map(|summary| (summary.task_id, summary)).collect();
        Ok(Rows { tasks, summaries, annotations, predictions })
    }
}

impl Rows {
    /// The memory of the rows and of their text in the answer, in bytes.
    fn bytes(&self) -> usize {
        let inner = self.annotations.values().map(Vec::len).sum::<usize>()
            + self.predictions.values().map(Vec::len).sum::<usize>();
        let long = self.tasks.iter().map(|row| row.storage_key.as_ref().map_or(0, String::len)).sum::<usize>()
            + self.summaries.values().map(|row| row.annotation_ids.len() + row.model_versions.len()).sum::<usize>();
        let annotators = self.summaries.values().map(|row| row.annotators.len()).sum::<usize>();
        TASK_BYTES * self.tasks.len() + ROW_BYTES * inner + 3 * long + ID_BYTES * annotators
    }

    /// ID and stored bytes of the annotations or predictions, in the order of their tasks.
    fn stored<T>(&self, inner: &HashMap<i64, Vec<T>>, of: impl Fn(&T) -> (i64, i64)) -> Vec<(i64, i64)> {
        let mut stored = Vec::new();
        for task in &self.tasks {
            stored.extend(inner.get(&task.id).into_iter().flatten().map(&of));
        }
        stored
    }

    /// The JSON body of a task, with the texts that fit into the answer.
    fn body<'a>(
        &mut self,
        row: TaskRow,
        is_full: bool,
        linked: Option<&'a str>,
        texts: &'a AllTexts,
    ) -> ApiResult<TaskBody<'a>> {
        let id = row.id;
        let annotations = self.annotations.remove(&id).unwrap_or_default().into_iter();
        let annotations = annotations.map(|row| row.body(texts.annotations.result(row.id)));
        let predictions = self.predictions.remove(&id).unwrap_or_default().into_iter();
        let predictions = predictions.map(|row| row.body(texts.predictions.result(row.id)));
        let inner = if is_full {
            Some((annotations.collect::<ApiResult<_>>()?, predictions.collect::<ApiResult<_>>()?))
        } else {
            None
        };
        let data = linked.map_or_else(|| texts.tasks.result(id), Ok);
        TaskBody::new(row, self.summaries.remove(&id).unwrap_or_default(), (data, texts.tasks.meta(id)), inner)
    }
}

/// The texts of an answer.
struct AllTexts {
    tasks: Texts,
    annotations: Texts,
    predictions: Texts,
}
