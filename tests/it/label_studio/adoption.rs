//! The ledger follows Label Studio's links, however many there are.

use longshore_rig::rig::until;
use serde_json::json;

use super::Twins;

/// More links than fit into a hash table of Postgres's default memory, about 120,000.
const LINKS: i64 = 250_000;

/// Goal: the pass over the links is linear. When it compared each ledger row with each link, this sync did not end.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_storage_with_a_quarter_of_a_million_links_is_adopted_in_one_pass() {
    let twins = Twins::start().await;
    twins.put_objects("links", &["a.json", "b.json"]);
    let twin = twins.import("links", json!({})).await;
    let database = twins.rig.database().await;
    // What Label Studio's own syncs of a large bucket leave.
    let tasks = "WITH made AS (
            INSERT INTO public.task (data, created_at, updated_at, is_labeled, project_id, overlap, inner_id, total_annotations,
                                     cancelled_annotations, total_predictions, comment_count, unresolved_comment_count)
            SELECT '{}', now(), now(), false, $1::bigint, 1, n, 0, 0, 0, 0, 0 FROM generate_series(1, $3::bigint) n
            RETURNING id, inner_id)
        INSERT INTO public.io_storages_s3importstoragelink (task_id, key, object_exists, created_at, storage_id)
        SELECT id, 'gone/' || lpad(inner_id::text, 40, '0'), true, now(), $2::bigint FROM made";
    database.execute(tasks, &[&twin.project, &twin.storage, &LINKS]).await.expect("tasks and links");
    database.batch_execute("ANALYZE public.io_storages_s3importstoragelink").await.expect("an analyze");
    let ended = async |count: i64| {
        twins.sync_ours(&twin).await;
        let shown = until("the sync has ended", async || {
            let row = twins.studio.send("GET", &format!("/api/storages/s3/{}", twin.storage), None).await;
            (row["status"] != "queued" && row["status"] != "in_progress").then_some(row)
        })
        .await;
        assert_eq!((&shown["status"], &shown["last_sync_count"]), (&json!("completed"), &json!(count)), "{shown}");
        database.batch_execute("ANALYZE objects").await.expect("an analyze");
        let rows = "SELECT count(*) FILTER (WHERE key LIKE 'gone/%'), count(*) FROM objects";
        let row = database.query_one(rows, &[]).await.expect("a ledger");
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    assert_eq!(ended(2).await, (LINKS, LINKS + 2), "unknown links are adopted");
    assert_eq!(ended(0).await, (LINKS, LINKS + 2), "known ones stay");
    let text = "DELETE FROM public.io_storages_s3importstoragelink WHERE storage_id = $1::bigint
                   AND (key LIKE 'gone/%9' OR key = 'b.json')";
    database.execute(text, &[&twin.storage]).await.expect("links");
    let left = LINKS - LINKS / 10;
    assert_eq!(ended(1).await, (left, left + 2), "those without a link go, and a listed object comes back");
}

impl Twins {
    /// Stores objects of one task each.
    fn put_objects(&self, bucket: &str, keys: &[&str]) {
        self.rig.s3.create_bucket(bucket);
        for key in keys {
            self.rig.s3.put(bucket, key, json!({"data": {"image": "i"}}).to_string().into_bytes());
        }
    }
}
