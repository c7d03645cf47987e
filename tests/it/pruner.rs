//! The pruner.

use longshore_db::syncs::{self, Pruned};
use longshore_rig::rig::Rig;

/// Goal: all old syncs are deleted, however many there are and whatever is between them. Method: call what the pruner
/// calls, because it waits ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_old_syncs_is_deleted_and_younger_ones_stay() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("tasks");
    let storage = rig.import_storage(rig.project().await, "tasks", serde_json::json!({})).await;
    let db = rig.database().await;
    // A thousand syncs of other storages that never end, then many old ones with some young between them.
    let fill = format!(
        "INSERT INTO storages (project_id, kind, direction, settings)
         SELECT project_id, kind, direction, settings FROM storages, generate_series(1, 1000) WHERE id = {0};
         INSERT INTO syncs (storage_id, status, requested_by)
         SELECT id, 'queued', 'api' FROM storages WHERE id > {0};
         INSERT INTO syncs (storage_id, status, requested_by, finished_at, reported_at)
         SELECT {0}, 'completed', 'api', now() - interval '1 day' * CASE WHEN n % 7 = 0 THEN 1 ELSE 100 END, now()
           FROM generate_series(1, 7000) n",
        storage.id
    );
    db.batch_execute(&fill).await.expect("syncs");
    let pool = rig.pool();
    let client = pool.client().await.expect("a connection");
    let (mut deleted, mut after) = (0, Some(0));
    while let Some(from) = after {
        let pruned: Pruned = syncs::prune(&client, 90, from).await.expect("pruned");
        deleted += pruned.deleted;
        after = pruned.next;
    }
    assert_eq!(deleted, 6_000);
    let left = db.query_one("SELECT count(*) FROM syncs", &[]).await.expect("syncs");
    assert_eq!(left.get::<_, i64>(0), 2_000);
}
