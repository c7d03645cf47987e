//! The counts of a report and of a dry run are those of the sync that follows.

use std::collections::BTreeMap;

use longshore_local::s3::{Op, When};
use longshore_rig::rig::{Rig, StorageHandle, until};
use serde_json::{Value, json};

use super::{rig, settings};
use crate::overload::metric;

/// The last event of a dry run.
pub(super) async fn dry_run(rig: &Rig, storage: i64) -> Value {
    let path = format!("/api/storages/s3/{storage}/dry-run");
    let answer = rig.request("POST", &path).bearer_auth(rig.token()).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.expect("events");
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().expect("an event");
    serde_json::from_str(last).expect("JSON")
}

/// How many keys were looked at and matched, and how many each rule skipped.
type Counts = (u64, u64, BTreeMap<String, u64>);

fn of_report(report: &Value) -> Counts {
    let groups = report["skipped"].as_array().expect("a list");
    let rule =
        |group: &Value| (group["rule"].as_str().expect("a rule").to_owned(), group["keys"].as_u64().expect("keys"));
    let number = |name: &str| report[name].as_u64().expect("a number");
    (number("looked_at"), number("matched"), groups.iter().map(rule).collect())
}

fn of_sync(sync: &Value) -> Counts {
    let rules = sync["counts"]["skipped"].as_object().expect("rules");
    let rules = rules.iter().map(|(rule, keys)| (rule.clone(), keys.as_u64().expect("keys")));
    let number = |name: &str| sync["counts"][name].as_u64().expect("a number");
    (number("listed"), number("matched"), rules.filter(|(_, keys)| *keys > 0).collect())
}

/// A bucket with what tools leave beside the data, folders of every form, and keys that filters judge differently.
fn fill(rig: &Rig, bucket: &str) {
    for key in
        ["folder/", "folder", "deep/er", "_SUCCESS", ".DS_Store", "part_$folder$", "deep/.gitkeep", "deep/er/._a.png"]
    {
        rig.s3.put(bucket, key, "");
    }
    for key in [
        "folder/a.png",
        "deep/er/b.png",
        "deep/c.PNG",
        "d.png",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
        "e.zip",
        "f.csv",
    ] {
        rig.s3.put(bucket, key, "x");
    }
    rig.s3.put(bucket, "g.json", r#"{"image": "i"}"#);
    rig.s3.put(bucket, "deep/h.jsonl", "{\"image\": \"i\"}\n{\"image\": \"j\"}\n");
    rig.s3.put(bucket, "empty.json", "");
    rig.s3.put_many(bucket, (0..1_200).map(|n| (format!("many/{n:04}.{}", ["png", "txt", "json"][n % 3]), "{}")));
}

/// Goal: what a user is told before a sync is what the sync does. Method: a bucket of two pages with keys of every rule, under
/// settings that use each of them; a report, a dry run and a sync count the same keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_and_a_dry_run_count_what_the_sync_then_counts() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    fill(&rig, "mixed");
    // Takes too many steps on the key of many letters.
    let slow = r"(a|a)*(a|a)*(a|a)*(a|a)*(a|a)*(a|a)*\d(?=x)|.*png";
    for own in [
        json!({"use_blob_urls": true}),
        json!({}),
        json!({"use_blob_urls": true, "import_all_objects": true}),
        json!({"use_blob_urls": true, "recursive_scan": false}),
        json!({"use_blob_urls": true, "prefix": "deep"}),
        json!({"use_blob_urls": true, "prefix": "deep", "recursive_scan": false}),
        json!({"use_blob_urls": true, "regex_filter": r".*\.png"}),
        json!({"use_blob_urls": true, "regex_filter": r"(?i).*\.png$|many/0.*"}),
        json!({"use_blob_urls": true, "regex_filter": slow}),
        json!({"prefix": "many", "regex_filter": r".*\.json"}),
        json!({"prefix": "nothing"}),
    ] {
        let storage = rig.import_storage(project, "mixed", own.clone()).await;
        let told = dry_run(&rig, storage.id).await;
        let report = of_report(&told["forecast"]["report"]);
        assert_eq!((told["looked_at"].as_u64(), told["matched"].as_u64()), (Some(report.0), Some(report.1)), "{own}");
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(report, of_sync(&sync), "{own}: {told} {sync}");
    }
    // One page holds all of it, so the report of the save counts all, too.
    rig.s3.put_many("small", (0..50).map(|n| (format!("{n:02}.{}", ["png", "txt"][n % 2]), "x")));
    rig.s3.put("small", "a", "");
    rig.s3.put("small", "a/b.png", "x");
    let own = json!({"bucket": "small", "use_blob_urls": true, "regex_filter": ".*png"});
    let saved = rig.post("/api/storages/s3", settings(&rig, project, &own)).await;
    let storage = StorageHandle { id: saved["id"].as_i64().expect("an ID"), project, path: "/api/storages/s3" };
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(of_report(&saved["report"]), of_sync(&sync), "{saved}");
}

/// Goal: a dry run leaves out what exports of the project wrote, as a sync does. Method: an export into the bucket of an import.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_leaves_out_what_exports_of_the_project_wrote() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    rig.s3.put_many("both", (0..3).map(|n| (format!("in/{n}.json"), r#"{"image": "i"}"#)));
    let import = rig.import_storage(project, "both", json!({})).await;
    rig.sync_to_end(&import).await;
    let tasks = rig.get(&format!("/api/tasks?project={project}")).await;
    for task in tasks["tasks"].as_array().expect("tasks") {
        rig.post(&format!("/api/tasks/{}/annotations", task["id"]), json!({"result": []})).await;
    }
    let export = rig.export_storage(project, "both", json!({"prefix": "out"})).await;
    rig.sync_to_end(&export).await;
    let again = rig.import_storage(project, "both", json!({})).await;
    let told = of_report(&dry_run(&rig, again.id).await["forecast"]["report"]);
    assert_eq!(told, (6, 3, BTreeMap::from([("export".to_owned(), 3)])));
    assert_eq!(told, of_sync(&rig.sync_to_end(&again).await));
}

/// Goal: a dry run ends with its caller. Method: a caller who goes while a listing is held; then the listing is let go.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_ends_when_its_caller_goes() {
    let (rig, project) = rig().await;
    rig.s3.put_many("large", (0..3_500).map(|n| (format!("{n:04}.png"), "x")));
    let storage = rig.import_storage(project, "large", json!({"use_blob_urls": true})).await;
    rig.s3.clear_calls();
    let held = rig.s3.hold(When::op(Op::List).nth(2));
    let path = format!("/api/storages/s3/{}/dry-run", storage.id);
    let answer = rig.request("POST", &path).bearer_auth(rig.token()).send().await.expect("an answer");
    held.reached().await;
    drop(answer);
    until("the stream is closed", || async {
        (metric(&rig.schedulers[0], "longshore_event_streams", "").await == 0.0).then_some(())
    })
    .await;
    held.release();
    let listings = rig.s3.calls().iter().filter(|call| call.op == Op::List).count();
    assert_eq!(listings, 2, "no page is listed for a caller who went");
}
