//! Which listed keys a sync skips, and by which rule. The names decide first; here is what only a listing, or the database,
//! shows: objects that stand for folders, and those that exports of the project wrote.

use std::collections::{HashMap, HashSet};

use longshore_db::{SkippedCounts, exports};
use longshore_filter::Skip;
use longshore_model::Connection;
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

/// Where a storage writes exports.
#[derive(Debug)]
struct ExportTarget {
    storage_id: i64,
    prefix: String,
    /// Whether it certainly writes to the same server. If not, the versions of objects decide.
    is_same_server: bool,
}

/// The storages of the project that export to the bucket of the import.
#[derive(Debug, Default)]
pub(super) struct ExportTargets(OnceCell<Vec<ExportTarget>>);

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
        if self.filter.skips_markers() { folder_markers(&*self.store, page).await } else { Ok(HashSet::new()) }
    }

    /// The keys among these that exports of the same project wrote to this bucket.
    async fn own_exports(&self, found: &[Candidate]) -> Result<HashSet<String>, JobError> {
        let mut own = HashSet::new();
        if self.storage.settings.import_all_objects || found.is_empty() {
            return Ok(own);
        }
        for target in self.export_targets().await? {
            let units: HashMap<i64, &Candidate> =
                found.iter().filter_map(|found| Some((target.unit_of(&found.object.key)?, found))).collect();
            if units.is_empty() {
                continue;
            }
            let ids: Vec<i64> = units.keys().copied().collect();
            let db = &self.context.db;
            let read = async { exports::written(&db.client().await?, target.storage_id, &ids).await };
            for (key, etag) in db.in_time(read).await? {
                let listed = found.iter().find(|found| found.object.key == key);
                let is_written = |listed: &Candidate| target.is_same_server || listed.object.etag == etag;
                if listed.is_some_and(is_written) {
                    own.insert(key);
                }
            }
        }
        Ok(own)
    }

    async fn export_targets(&self) -> Result<&[ExportTarget], JobError> {
        let read = || async {
            let db = &self.context.db;
            let project = self.storage.project_id;
            let stored =
                db.in_time(async { longshore_db::storages::exporting(&db.client().await?, project).await }).await?;
            let own = &self.storage.settings.connection;
            let targets = stored.into_iter().filter(|(_, settings)| is_same_bucket(own, &settings.connection));
            Ok::<_, JobError>(
                targets
                    .map(|(storage_id, settings)| ExportTarget {
                        storage_id,
                        prefix: settings.connection.prefix(),
                        is_same_server: own.address() == settings.connection.address(),
                    })
                    .collect(),
            )
        };
        self.export_targets.0.get_or_try_init(read).await.map(Vec::as_slice)
    }
}

impl ExportTarget {
    /// The annotation or task whose object has this key, by the name that exports give it. The prefix may have been
    /// another one.
    fn unit_of(&self, key: &str) -> Option<i64> {
        let name = key.strip_prefix(&self.prefix).filter(|name| !name.contains('/'));
        let name = name.or_else(|| key.rsplit('/').next())?;
        name.strip_suffix(".json").unwrap_or(name).parse().ok()
    }
}

/// Whether both name the same bucket, as far as the settings tell.
fn is_same_bucket(a: &Connection, b: &Connection) -> bool {
    a.kind().data().uri == b.kind().data().uri && a.bucket() == b.bucket()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_exported_object_has_the_id_of_its_unit() {
        let unit = |prefix: &str, key: &str| {
            ExportTarget { storage_id: 1, prefix: prefix.to_owned(), is_same_server: true }.unit_of(key)
        };
        assert_eq!((unit("out/", "out/17"), unit("out/", "out/17.json")), (Some(17), Some(17)));
        assert_eq!((unit("", "17"), unit("labels:", "labels:17")), (Some(17), Some(17)));
        assert_eq!(unit("new/", "old/17"), Some(17), "written before the prefix was changed");
        assert!(["out/a", "out/17.jsonl", "out/", "out/1e3"].iter().all(|key| unit("out/", key).is_none()));
    }
}
