//! What annotations and predictions of objects refer to in Label Studio: users, parents, models and unique IDs. They are
//! looked up before the page's transaction, where one that is missing would fail all, and left out with a warning.

use std::collections::BTreeSet;

use longshore_db::host::{AnnotationDetails, Host, KnownReferences, LabelReferences};
use longshore_db::{Client, Error};
use longshore_items::{AnnotationItem, Item, PredictionItem, Warnings};
use longshore_model::ItemWarning;

use super::fetch::FetchedPart;
use super::{Import, ImportedObject};
use crate::job_error::JobError;

impl Import<'_> {
    /// Leaves out what the host does not have.
    pub(super) async fn correct(&self, fetched: &mut FetchedPart) -> Result<(), JobError> {
        let storage = &self.storage;
        if !(storage.task_format.has_summary() && fetched.imported.iter().any(has_labels)) {
            return Ok(());
        }
        let (host, db) = (&*self.context.host, &self.context.db);
        let imported = &mut fetched.imported;
        Ok(db.in_time(async { correct(host, &db.client().await?, storage.project_id, imported).await }).await?)
    }
}

fn has_labels(imported: &ImportedObject) -> bool {
    imported.items.iter().any(|item| !(item.annotations().is_empty() && item.predictions().is_empty()))
}

/// Asks the host about the references of objects, and leaves out those that it does not have.
pub(super) async fn correct(
    host: &dyn Host,
    client: &Client,
    project_id: i64,
    imported: &mut [ImportedObject],
) -> Result<(), Error> {
    let wanted = wanted(imported);
    if wanted == LabelReferences::default() {
        return Ok(());
    }
    let mut known = host.known_references(client, project_id, &wanted).await?;
    for ImportedObject { items, warnings, .. } in imported {
        items.iter_mut().for_each(|item| correct_item(item, &mut known, warnings));
    }
    Ok(())
}

/// What the annotations and predictions of objects refer to.
fn wanted(imported: &[ImportedObject]) -> LabelReferences {
    let mut wanted = LabelReferences::default();
    for item in imported.iter().flat_map(|imported| &imported.items) {
        for annotation in item.annotations() {
            let Some(details) = &annotation.details else { continue };
            wanted.users.extend(annotation.completed_by);
            wanted.users.extend(details.last_created_by.map(i64::from));
            wanted.emails.extend(details.email.clone());
            wanted.predictions.extend(details.parent_prediction.map(i64::from));
            wanted.annotations.extend(details.parent_annotation.map(i64::from));
            wanted.unique_ids.extend(details.unique_id);
        }
        for details in item.predictions().iter().filter_map(|prediction| prediction.details.as_ref()) {
            wanted.models.extend(details.model.map(i64::from));
            wanted.model_runs.extend(details.model_run.map(i64::from));
        }
    }
    wanted
}

fn correct_item(item: &mut Item, known: &mut KnownReferences, warnings: &mut Warnings) {
    let row = usize::try_from(item.row_index).unwrap_or_default();
    let (annotations, predictions) = item.labels_mut();
    for annotation in annotations {
        correct_annotation(annotation, known, &mut |warning| warnings.add(warning, row));
    }
    for PredictionItem { details, .. } in predictions {
        let Some(details) = details else { continue };
        let is_kept = keep(&mut details.model, &known.ids.models) & keep(&mut details.model_run, &known.ids.model_runs);
        if !is_kept {
            warnings.add(ItemWarning::ReferenceIgnored, row);
        }
    }
}

fn correct_annotation(annotation: &mut AnnotationItem, known: &mut KnownReferences, warn: &mut dyn FnMut(ItemWarning)) {
    let Some(details) = &mut annotation.details else { return };
    let AnnotationDetails { email, unique_id, last_created_by, parent_prediction, parent_annotation, .. } =
        &mut **details;
    let ids = &mut known.ids;
    let was_named = email.is_some() || annotation.completed_by.is_some();
    annotation.completed_by = match email.take() {
        Some(email) => known.members.get(&email).copied(),
        None => annotation.completed_by.filter(|id| ids.users.contains(id)),
    };
    if was_named && annotation.completed_by.is_none() {
        warn(ItemWarning::AnnotatorUnknown);
    }
    let is_kept = keep(last_created_by, &ids.users)
        & keep(parent_prediction, &ids.predictions)
        & keep(parent_annotation, &ids.annotations);
    if !is_kept {
        warn(ItemWarning::ReferenceIgnored);
    }
    if let Some(id) = *unique_id
        && !ids.unique_ids.insert(id)
    {
        *unique_id = None;
        warn(ItemWarning::UniqueIdIgnored);
    }
}

/// Keeps an ID that is among these. Returns whether it is kept, or there is none.
fn keep(id: &mut Option<i32>, known: &BTreeSet<i64>) -> bool {
    let is_known = id.is_none_or(|id| known.contains(&i64::from(id)));
    if !is_known {
        *id = None;
    }
    is_known
}
