//! Which objects are task files, whatever their names are, and what becomes of the shapes that people have.

use std::io::Write;

use longshore_local::s3::Op;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, rows};
use serde_json::{Value, json};

const TASK: &str = r#"{"text": "a"}"#;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(content).expect("a vector takes all");
    packed.finish().expect("a vector takes all")
}

/// Bytes that no compression makes smaller, and that are no text.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 | 0x80
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

async fn tasks(rig: &Rig, project: i64) -> Vec<Value> {
    rows(&rig.get(&format!("/api/tasks/?project={project}&page_size=100&fields=all&resolve_uri=false")).await).to_vec()
}

/// Goal: what cannot hold tasks costs next to nothing. Method: count the bytes between worker and server, and the requests.
/// Objects of other formats by name cost no request, and those whose names say nothing cost their first 4 KiB.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_cannot_hold_tasks_are_not_read_whole() {
    const MIB: usize = 1024 * 1024;
    let rig = Rig::start().await;
    let named = [
        "1.png",
        "2.JPG",
        "3.mp3",
        "4.mp4",
        "5.zip",
        "6.tar.gz",
        "7.jpg.gz",
        "8.pdf",
        "9.JXL",
        "10.TAR.ZST",
        "11.tzst",
        "12.mka",
        "13.json.jpeg",
        "x/14.RMVB",
        "15.json.zip",
    ];
    let unknown = ["a", "b.2024", "c/export_2024.11.05", "d.bin"];
    for key in named.iter().chain(&unknown) {
        rig.s3.put("tasks", key, noise(4 * MIB));
    }
    rig.s3.put("tasks", "packed.2024", gzip(&noise(4 * MIB)));
    let storage = rig.import_storage(rig.project().await, "tasks", json!({})).await;
    rig.s3.clear_calls();
    let before = rig.storage_link.bytes();
    let sync = rig.sync_to_end(&storage).await;
    let bytes = rig.storage_link.bytes() - before;
    assert_eq!(sync["counts"]["quarantined"], named.len() + unknown.len() + 1, "{sync}");
    let mut read: Vec<String> =
        rig.s3.calls().iter().filter(|call| call.op == Op::Get).map(|call| call.key.clone()).collect();
    read.sort();
    assert_eq!(read, ["a", "b.2024", "c/export_2024.11.05", "d.bin", "packed.2024"]);
    // One page of the listing and five heads, with their requests.
    assert!(bytes < 64 * 1024, "{bytes} bytes for 80 MiB of objects");
    for row in rig.quarantine(&storage).await {
        let reason = if row["key"] == "a" { "invalid_json" } else { "unsupported_extension" };
        assert_eq!(row["reason"], reason, "{row}");
    }
}

/// Goal: the content decides where the name says nothing or the wrong. Method: small and large task files under such names.
#[tokio::test(flavor = "multi_thread")]
async fn task_files_under_any_name_are_imported() {
    let rig = Rig::start().await;
    let large = json!({"text": "x".repeat(100_000)}).to_string();
    let names = [
        "export_2024.11.05",
        "task-v1.2",
        "user@example.com",
        "a.json.bak",
        "b.jsonlines",
        "c.jl",
        "d.ldjson",
        "notes.txt",
    ];
    for name in names {
        rig.s3.put("tasks", &format!("small/{name}"), TASK);
        rig.s3.put("tasks", &format!("large/{name}"), large.clone());
        rig.s3.put("tasks", &format!("packed/{name}"), gzip(large.as_bytes()));
    }
    rig.s3.put("tasks", "plain.json.gz", TASK);
    rig.s3.put("tasks", "twice.json.gz", gzip(&gzip(TASK.as_bytes())));
    let storage = rig.import_storage(rig.project().await, "tasks", json!({})).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    let folders = ["small", "large", "packed"];
    let keys = folders.iter().flat_map(|folder| names.iter().map(move |name| format!("{folder}/{name}")));
    let packed = ["plain.json.gz", "twice.json.gz"].map(str::to_owned);
    rig.check_import(&storage, &sync, &one_each(keys.chain(packed)), &[]).await;
}

/// Goal: what was left out of tasks is seen, wherever the tasks are made. Method: two jobs with warnings of one kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_with_something_left_out_is_made_and_the_sync_warns() {
    let rig = Rig::start().await;
    let by_email = |result: Value| json!({"data": {"text": "a"}, "annotations": [{"completed_by": {"email": "a@b.org"}, "result": result}]});
    rig.s3.put("tasks", "1.json", by_email(json!([{"id": "r"}])).to_string());
    rig.s3.put("tasks", "2.json", json!([{"text": "b"}, by_email(json!([])), by_email(json!([]))]).to_string());
    rig.s3.put("tasks", "3.json", json!({"data": {}, "completions": [{"result": [{"id": "c"}]}]}).to_string());
    rig.s3.put("tasks", "4.json", r#"{"data": {}, "predictions": [{"result": [], "score": "high"}]}"#);
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(6)), "{sync}");
    let warnings = sync["warnings"].as_array().expect("warnings");
    let seen: Vec<Value> = warnings
        .iter()
        .map(|warning| json!([warning["code"], warning["count"], warning["key"], warning["row_index"]]))
        .collect();
    assert_eq!(
        json!(seen),
        json!([["annotator_unknown", 3, "1.json", 0], ["score_ignored", 1, "4.json", 0]]),
        "{sync}"
    );
    assert!(warnings.iter().all(|warning| warning["detail"].as_str().is_some_and(|detail| detail.contains(". "))));
    let tasks = tasks(&rig, project).await;
    let labels: Vec<&Value> = tasks.iter().map(|task| &task["annotations"][0]["result"][0]["id"]).collect();
    assert_eq!(json!(labels), json!(["r", null, null, null, "c", null]));
}

/// Goal: exports of both shapes come back with their labels. Method: export one project, import it into two others.
#[tokio::test(flavor = "multi_thread")]
async fn exports_of_another_project_come_back_as_tasks_with_annotations() {
    let rig = Rig::start().await;
    for n in 0..3 {
        let task = json!({
            "data": {"image": format!("s3://b/{n}.jpg")}, "meta": {"n": n},
            "annotations": [{"result": [{"id": format!("r{n}")}], "lead_time": 1.5, "ground_truth": true}],
            "predictions": [{"result": []}],
        });
        rig.s3.put("tasks", &format!("{n}.json"), task.to_string());
    }
    let project = rig.project().await;
    let source = rig.import_storage(project, "tasks", json!({})).await;
    rig.sync_to_end(&source).await;
    for (bucket, is_per_task) in [("annotations", false), ("whole", true)] {
        rig.s3.create_bucket(bucket);
        let target = rig.export_storage(project, bucket, json!({"export_tasks": is_per_task})).await;
        rig.sync_to_end(&target).await;
        let other = rig.project().await;
        let storage = rig.import_storage(other, bucket, json!({})).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(3)), "{sync}");
        for (n, task) in tasks(&rig, other).await.iter().enumerate() {
            assert_eq!(
                (&task["data"]["image"], &task["meta"]["n"]),
                (&json!(format!("s3://b/{n}.jpg")), &json!(n)),
                "{task}"
            );
            let [annotation] = task["annotations"].as_array().expect("annotations").as_slice() else {
                panic!("{task}")
            };
            assert_eq!(
                (&annotation["result"][0]["id"], &annotation["lead_time"]),
                (&json!(format!("r{n}")), &json!(1.5))
            );
            assert_eq!(annotation["ground_truth"], true, "{task}");
        }
        assert_eq!(sync["warnings"], json!([]), "{sync}");
    }
}
