//! Which listed keys a sync skips, and by which rule. The names decide first; here is what only a listing, or the database,
//! shows: objects that stand for folders, and those that exports of the project wrote.

use std::collections::HashSet;

use longshore_db::SkippedCounts;
use longshore_db::own_exports::ExportTargets;
use longshore_filter::Skip;
use longshore_storage::{ListPage, StorageError, filter_keys, folder_markers};
use tokio::sync::OnceCell;

use super::candidate::Candidate;
use super::{Import, count};
use crate::job_error::JobError;

/// A listed page, judged.
pub(super) struct Judged {
    /// The keys to import.
    pub(super) found: Vec<Candidate>,
    /// The keys that the file filter, the level or the prefix leaves out. They may be imported with other settings.
    pub(super) left_out: Vec<Candidate>,
    pub(super) skipped: SkippedCounts,
}

/// The storages of the project that export to the bucket of the import, once they were read.
#[derive(Debug, Default)]
pub(super) struct KnownTargets(OnceCell<ExportTargets>);

impl Import<'_> {
    /// Decides which of the listed keys to import. `folders` are the keys that [`Self::folders`] found.
    pub(super) async fn judge(&self, listed: Vec<Candidate>, folders: &HashSet<String>) -> Result<Judged, JobError> {
        // If the attempt is dropped by a drain, a cancellation or a lost lease, this is dropped too and matching stops.
        let judged = filter_keys(&self.filter, listed, |found: &Candidate| &found.object.key).await;
        let mut skipped = SkippedCounts::default();
        let (mut found, mut left_out) = (Vec::with_capacity(judged.len()), Vec::new());
        for (candidate, skip) in judged {
            let skip = if folders.contains(&candidate.object.key) { Some(Skip::Folder) } else { skip };
            let Some(skip) = skip else {
                found.push(candidate);
                continue;
            };
            match skip {
                Skip::RegexTooSlow => {
                    found.push(candidate.undecided());
                    continue;
                }
                Skip::Regex | Skip::RegexOfName | Skip::TooDeep | Skip::Prefix => left_out.push(candidate),
                // They leave the quarantine, like objects that left the bucket.
                Skip::Folder | Skip::Hadoop | Skip::Desktop | Skip::Export => {}
            }
            skipped.count(skip.rule());
        }
        let own = self.own_exports(&found).await?;
        skipped.add(Skip::Export.rule(), count(own.len()));
        found.retain(|candidate| !own.contains(&candidate.object.key));
        Ok(Judged { found, left_out, skipped })
    }

    /// The keys on a page that stand for folders, unless they are imported like others.
    pub(super) async fn folders(&self, page: &ListPage) -> Result<HashSet<String>, StorageError> {
        folder_markers(&*self.store, page, &self.filter, self.is_ordered()).await
    }

    /// The keys among these that exports of the same project wrote to this bucket.
    async fn own_exports(&self, found: &[Candidate]) -> Result<HashSet<String>, JobError> {
        if self.storage.settings.import_all_objects || found.is_empty() {
            return Ok(HashSet::new());
        }
        let (db, storage) = (&self.context.db, &self.storage);
        let read = || {
            db.in_time(async {
                ExportTargets::of_import(&db.client().await?, storage.project_id, &storage.settings).await
            })
        };
        let targets = self.export_targets.0.get_or_try_init(read).await?;
        if targets.is_empty() {
            return Ok(HashSet::new());
        }
        let listed = found.iter().map(|found| (&*found.object.key, found.object.etag.as_deref()));
        Ok(db.in_time(async { targets.written(&db.client().await?, listed).await }).await?)
    }
}
