//! Objects whose annotations or predictions name users, parents, models or unique IDs that the host refuses. They are found before the page's
//! transaction, where one of them would fail all.

use std::collections::{HashMap, HashSet};

use longshore_db::Client;
use longshore_db::host::{Host, ObjectReferences};
use longshore_model::QuarantineReason;

use super::fetch::FetchedPart;
use super::{Import, ImportedObject};
use crate::job_error::JobError;
use crate::quarantine::object;
use longshore_items::PredictionItem;

/// Objects that the host accepts, and those that it refuses, with a sentence for the user.
pub(super) struct Judged {
    pub(super) accepted: Vec<ImportedObject>,
    pub(super) refused: Vec<(ImportedObject, String)>,
}

/// Asks the host about the references of objects. Objects without any need no query.
pub(super) async fn judge(
    host: &dyn Host,
    client: &Client,
    imported: Vec<ImportedObject>,
) -> Result<Judged, longshore_db::Error> {
    let references: Vec<ObjectReferences> = imported.iter().map(of_object).collect();
    let mut refusals: HashMap<usize, String> = host.refusals(client, &references).await?.into_iter().collect();
    let mut judged = Judged { accepted: Vec::with_capacity(imported.len()), refused: Vec::new() };
    for (index, imported) in imported.into_iter().enumerate() {
        match refusals.remove(&index) {
            Some(detail) => judged.refused.push((imported, detail)),
            None => judged.accepted.push(imported),
        }
    }
    Ok(judged)
}

/// Whether an object refers to anything.
fn has_references(imported: &ImportedObject) -> bool {
    let is_made = |prediction: &PredictionItem| {
        prediction.details.as_ref().is_some_and(|details| details.model.or(details.model_run).is_some())
    };
    imported.items.iter().any(|item| !item.annotations().is_empty() || item.predictions().iter().any(is_made))
}

fn of_object(imported: &ImportedObject) -> ObjectReferences {
    let mut references = ObjectReferences::default();
    for annotation in imported.items.iter().flat_map(|item| item.annotations()) {
        let Some(details) = &annotation.details else { continue };
        references.users.extend(annotation.completed_by);
        references.users.extend(details.last_created_by.map(i64::from));
        references.predictions.extend(details.parent_prediction);
        references.annotations.extend(details.parent_annotation);
        references.unique_ids.extend(details.unique_id);
    }
    let predictions = imported.items.iter().flat_map(|item| item.predictions());
    for details in predictions.filter_map(|prediction| prediction.details.as_ref()) {
        references.models.extend(details.model);
        references.model_runs.extend(details.model_run);
    }
    references
}

impl Import<'_> {
    /// Quarantines the objects of a part that the host would refuse.
    pub(super) async fn refuse(&self, fetched: &mut FetchedPart) -> Result<(), JobError> {
        if !(self.storage.task_format.has_summary() && fetched.imported.iter().any(has_references)) {
            return Ok(());
        }
        let (host, db) = (&*self.context.host, &self.context.db);
        let imported = std::mem::take(&mut fetched.imported);
        let judged = db.in_time(async { judge(host, &db.client().await?, imported).await }).await?;
        fetched.imported = judged.accepted;
        let refused: HashSet<&str> = judged.refused.iter().map(|(imported, _)| &*imported.object.key).collect();
        fetched.released.retain(|key| !refused.contains(key.as_str()));
        let reason = QuarantineReason::UnsupportedValue;
        let quarantined =
            judged.refused.iter().map(|(imported, detail)| object(&imported.object, reason, detail.clone()));
        fetched.quarantined.extend(quarantined);
        Ok(())
    }
}
