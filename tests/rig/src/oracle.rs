//! The test oracle: what must be true after every sync, whatever faults occurred.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::rig::{Rig, StorageHandle};

impl Rig {
    /// Compares an ended import with the content of its bucket.
    ///
    /// `expected` has the number of tasks of each imported key, `quarantined` the keys that must be in quarantine. Each
    /// task must exist once, the ledger must agree, the sync's counters must add up, and no unfinished job or message
    /// may remain.
    pub async fn check_import(
        &self,
        storage: &StorageHandle,
        sync: &Value,
        expected: &BTreeMap<String, usize>,
        quarantined: &[&str],
    ) {
        let db = self.database().await;
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for row in db
            .query("SELECT storage_key, count(*) FROM tasks WHERE storage_id = $1 GROUP BY 1", &[&storage.id])
            .await
            .expect("tasks")
        {
            found.insert(row.get(0), usize::try_from(row.get::<_, i64>(1)).expect("a count"));
        }
        let with_tasks: BTreeMap<String, usize> =
            expected.iter().filter(|(_, count)| **count > 0).map(|(key, count)| (key.clone(), *count)).collect();
        assert_same(&found, &with_tasks, "tasks by key");

        let mut ledger: BTreeMap<String, usize> = BTreeMap::new();
        for row in db
            .query(
                "SELECT key, count(o.task_id) FROM objects o LEFT JOIN tasks t ON t.id = o.task_id
                  WHERE o.storage_id = $1 AND (o.task_id IS NULL OR t.storage_key = o.key) GROUP BY 1",
                &[&storage.id],
            )
            .await
            .expect("the ledger")
        {
            ledger.insert(row.get(0), usize::try_from(row.get::<_, i64>(1)).expect("a count"));
        }
        assert_same(&ledger, expected, "the ledger");

        let in_quarantine: Vec<String> = db
            .query("SELECT key FROM quarantine WHERE storage_id = $1 ORDER BY key", &[&storage.id])
            .await
            .expect("quarantine")
            .iter()
            .map(|row| row.get(0))
            .collect();
        let mut wanted: Vec<String> = quarantined.iter().map(|key| (*key).to_owned()).collect();
        wanted.sort();
        assert_eq!(in_quarantine, wanted, "quarantine");

        let count = |name: &str| sync["counts"][name].as_i64().unwrap_or_else(|| panic!("no counter {name}: {sync}"));
        let outcomes = ["imported", "existed", "quarantined", "still_quarantined", "vanished"];
        assert_eq!(
            count("matched"),
            outcomes.map(count).iter().sum::<i64>(),
            "matched keys are the sum of their outcomes: {sync}"
        );
        self.check_no_unfinished_work(storage).await;
    }

    /// Checks the counters of the first sync of a storage, which created all its tasks.
    pub fn check_first_counts(&self, sync: &Value, expected: &BTreeMap<String, usize>, quarantined: usize) {
        let count = |name: &str| {
            usize::try_from(sync["counts"][name].as_i64().expect("a counter")).expect("a counter is not negative")
        };
        assert_eq!(count("created"), expected.values().sum::<usize>(), "created: {sync}");
        assert_eq!(count("imported"), expected.len(), "imported: {sync}");
        assert_eq!(count("existed"), 0, "existed: {sync}");
        assert_eq!(count("quarantined"), quarantined, "quarantined: {sync}");
        assert_eq!(count("matched"), expected.len() + quarantined, "matched: {sync}");
    }

    /// Checks that the storage has no unfinished job and no waiting message, and that its status shows the end.
    pub async fn check_no_unfinished_work(&self, storage: &StorageHandle) {
        let db = self.database().await;
        let unfinished: i64 = db
            .query_one(
                "SELECT count(*) FROM jobs j JOIN syncs s ON s.id = j.sync_id
                  WHERE s.storage_id = $1 AND j.finished_at IS NULL",
                &[&storage.id],
            )
            .await
            .expect("jobs")
            .get(0);
        assert_eq!(unfinished, 0, "unfinished jobs");
        crate::rig::until("the outbox is empty", || async {
            let row = db
                .query_one(
                    "SELECT count(*) FROM outbox o JOIN jobs j ON j.id = o.job_id JOIN syncs s ON s.id = j.sync_id
                      WHERE s.storage_id = $1",
                    &[&storage.id],
                )
                .await
                .expect("the outbox");
            (row.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
        crate::rig::until("the storage shows that the sync ended", || async {
            let shown = self.get(&format!("{}/{}", storage.path, storage.id)).await;
            let live = ["queued", "in_progress"].map(Value::from);
            (!live.contains(&shown["status"])).then_some(())
        })
        .await;
    }
}

/// Compares two maps. The message has only the first differences.
fn assert_same(found: &BTreeMap<String, usize>, wanted: &BTreeMap<String, usize>, what: &str) {
    let missing: Vec<_> = wanted.iter().filter(|(key, _)| !found.contains_key(*key)).take(5).collect();
    let surplus: Vec<_> = found.iter().filter(|(key, count)| wanted.get(*key) != Some(count)).take(5).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{what}: {} found, {} wanted; missing {missing:?}, wrong or surplus {surplus:?}",
        found.len(),
        wanted.len()
    );
}

/// The expected result of an import with one task for each of these keys.
pub fn one_each<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> BTreeMap<String, usize> {
    keys.into_iter().map(|key| (key.into(), 1)).collect()
}
