//! Which objects of a bucket exports of the same project wrote: an import skips them.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::collections::{HashMap, HashSet};

use longshore_model::{Connection, StorageSettings};

use crate::{GenericClient, Result, exports, storages};

/// Where a storage writes exports.
#[derive(Debug)]
struct ExportTarget {
    storage_id: i64,
    prefix: String,
    /// Whether it certainly writes to the same server. If not, the versions of objects decide.
    is_same_server: bool,
}

/// The storages of a project that export to the bucket of an import.
#[derive(Debug, Default)]
pub struct ExportTargets(Vec<ExportTarget>);

impl ExportTargets {
    /// Those of a project, for an import with these settings. None if the import takes all objects.
    pub async fn of_import(client: &impl GenericClient, project_id: i64, settings: &StorageSettings) -> Result<Self> {
        if settings.import_all_objects {
            return Ok(Self::default());
        }
        let own = &settings.connection;
        let stored = storages::exporting(client, project_id).await?;
        let targets = stored.into_iter().filter(|(_, settings)| is_same_bucket(own, &settings.connection));
        Ok(Self(
            targets
                .map(|(storage_id, settings)| ExportTarget {
                    storage_id,
                    prefix: settings.connection.prefix(),
                    is_same_server: own.address() == settings.connection.address(),
                })
                .collect(),
        ))
    }

    /// Whether there are none, so that no key needs a look-up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys among these, each with its etag, that the storages wrote.
    pub async fn written<'k>(
        &self,
        client: &impl GenericClient,
        listed: impl Iterator<Item = (&'k str, Option<&'k str>)> + Clone,
    ) -> Result<HashSet<String>> {
        let mut own = HashSet::new();
        for target in &self.0 {
            let ids: Vec<i64> = listed.clone().filter_map(|(key, _)| target.unit_of(key)).collect();
            if ids.is_empty() {
                continue;
            }
            let etags: HashMap<&str, Option<&str>> = listed.clone().collect();
            for (key, etag) in exports::written(client, target.storage_id, &ids).await? {
                let is_written = |listed: &Option<&str>| target.is_same_server || *listed == etag.as_deref();
                if etags.get(&*key).is_some_and(is_written) {
                    own.insert(key);
                }
            }
        }
        Ok(own)
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
