//! Exports: on one project, Label Studio's own and Longshore's write the same objects and links.

mod beside;
mod content;
mod kinds;
mod recovery;
mod settings;

use std::collections::BTreeMap;

use longshore_rig::label_studio::TOKEN;
use longshore_rig::rig::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, send_json};
use serde_json::{Value, json};

use super::Twins;

/// Settings that make both sides write an object per task.
pub(super) const PER_TASK: [&str; 2] = ["LONGSHORE_LABEL_STUDIO_EXPORT_TASKS", "FUTURE_SAVE_TASK_TO_STORAGE"];
/// Settings that end the names of such objects in `.json`, or not.
const JSON_SUFFIX: [&str; 2] = ["LONGSHORE_LABEL_STUDIO_EXPORT_JSON_SUFFIX", "FUTURE_SAVE_TASK_TO_STORAGE_JSON_EXT"];

/// An export storage of Label Studio.
#[derive(Debug, Clone, Copy)]
struct Target {
    kind: &'static str,
    id: i64,
}

impl Twins {
    /// An export storage of S3.
    async fn target(&self, project: i64, bucket: &str, settings: Value) -> Target {
        self.rig.s3.create_bucket(bucket);
        let mut body = json!({"project": project, "bucket": bucket, "s3_endpoint": self.rig.s3.endpoint(),
            "region_name": "us-east-1", "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY});
        body.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
        self.make_target("s3", body).await
    }

    async fn make_target(&self, kind: &'static str, body: Value) -> Target {
        let storage = self.studio.send("POST", &format!("/api/storages/export/{kind}"), Some(&body)).await;
        Target { kind, id: storage["id"].as_i64().expect("an ID") }
    }

    /// Label Studio's own export.
    async fn export_theirs(&self, target: Target) -> Value {
        let path = format!("/api/storages/export/{}/{}/sync", target.kind, target.id);
        self.studio.send("POST", &path, Some(&json!({}))).await
    }

    /// Longshore's export, asked by the first user of Label Studio.
    async fn export_ours(&self, target: Target) -> Value {
        let request = self
            .rig
            .request("POST", &format!("/api/storages/export/{}/{}/sync", target.kind, target.id))
            .json(&json!({}));
        let (status, body) = send_json(request.header("authorization", format!("Token {TOKEN}"))).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The objects of a bucket.
    fn exported(&self, bucket: &str) -> BTreeMap<String, String> {
        let objects = self.rig.s3.objects(bucket);
        objects.into_iter().map(|(key, _, bytes)| (key, String::from_utf8(bytes.to_vec()).expect("text"))).collect()
    }

    /// The links of a storage of S3: annotation, and whether its object exists.
    async fn links(&self, target: Target) -> Vec<(i64, bool)> {
        let text = "SELECT annotation_id::bigint, object_exists FROM public.io_storages_s3exportstoragelink
                     WHERE storage_id = $1::bigint ORDER BY 1, id";
        let rows = self.rig.database().await.query(text, &[&target.id]).await.expect("links");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

/// Replaces the time span, which depends on a clock.
fn timeless(text: &str) -> String {
    const MEMBER: &str = r#""created_ago": ""#;
    text.split_once(MEMBER).map_or_else(
        || text.to_owned(),
        |(before, after)| format!("{before}{MEMBER}\"{}", after.split_once('"').map_or("", |(_, rest)| rest)),
    )
}

/// A body to compare: numbers as doubles, as Label Studio reads them, and lists that it does not sort in one order.
fn comparable(text: &str) -> Value {
    fn doubles(value: &mut Value) {
        match value {
            Value::Number(number) => *value = json!(number.as_f64()),
            Value::Array(list) => list.iter_mut().for_each(doubles),
            Value::Object(members) => members.values_mut().for_each(doubles),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    let mut body: Value = serde_json::from_str(&timeless(text)).unwrap_or_else(|error| panic!("{error}: {text}"));
    doubles(&mut body);
    let order = |value: &Value| value.get("id").unwrap_or(value).to_string();
    for list in ["annotations", "drafts", "predictions", "comment_authors"] {
        for pointer in [format!("/{list}"), format!("/task/{list}")] {
            if let Some(Value::Array(list)) = body.pointer_mut(&pointer) {
                list.sort_by_key(order);
            }
        }
    }
    body
}

/// What differs between the objects of both sides. Keys are compared without the doubled slash that Label Studio writes
/// after a prefix that ends in one.
fn differences(theirs: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> Vec<String> {
    let theirs: BTreeMap<String, &String> = theirs.iter().map(|(key, text)| (key.replace("//", "/"), text)).collect();
    let mut found = Vec::new();
    if !theirs.keys().eq(ours.keys()) {
        found.push(format!("keys: theirs {:?}, ours {:?}", theirs.keys(), ours.keys()));
    }
    for (key, text) in ours {
        let Some(expected) = theirs.get(key) else { continue };
        if comparable(expected) != comparable(text) {
            found.push(format!("{key}:\n  theirs {expected}\n  ours   {text}"));
        }
        // The text is the same too, unless it has numbers that Label Studio rounds, or lists in no order.
        let is_exact = !text.contains("numbers")
            && !["annotations\": [{", "comment_authors\": ["].iter().any(|list| {
                text.split_once(list)
                    .is_some_and(|(_, rest)| rest.contains("}, {\"id\"") || rest.starts_with(char::is_numeric))
            });
        if is_exact && timeless(expected) != timeless(text) {
            found.push(format!("{key}, as text:\n  theirs {expected}\n  ours   {text}"));
        }
    }
    found
}

/// Exports one project to two storages, twice with changes in between, and returns what differs.
pub(super) async fn compare(twins: &Twins, prefix: Option<&str>) -> Vec<String> {
    let content = twins.content().await;
    let name = |side: &str| format!("{side}-{}", content.project);
    let settings = json!({"prefix": prefix});
    let theirs = twins.target(content.project, &name("theirs"), settings.clone()).await;
    let ours = twins.target(content.project, &name("ours"), settings).await;
    let mut found = Vec::new();
    for round in ["first", "second"] {
        let shown = [twins.export_theirs(theirs).await, twins.export_ours(ours).await];
        let expected = twins.links(theirs).await;
        found.extend(
            differences(&twins.exported(&name("theirs")), &twins.exported(&name("ours")))
                .into_iter()
                .map(|difference| format!("{prefix:?}, {round} sync, {difference}")),
        );
        let [expected_row, row] = shown.map(|row| {
            json!([row["status"], row["last_sync_count"], row["meta"]["total_annotations"], row["meta"]["attempts"]])
        });
        if expected_row != row {
            found.push(format!("{round} status: theirs {expected_row}, ours {row}"));
        }
        if round == "first" {
            assert_eq!(twins.links(ours).await, [], "an annotation has one link per kind of storage");
            // Label Studio's links make room for ours.
            let remove = "DELETE FROM public.io_storages_s3exportstoragelink WHERE storage_id = $1::bigint";
            twins.rig.database().await.execute(remove, &[&theirs.id]).await.expect("links");
            twins.export_ours(ours).await;
            if twins.links(ours).await != expected {
                found.push(format!("links: theirs {expected:?}, ours {:?}", twins.links(ours).await));
            }
            // Both have asked as often.
            twins.export_theirs(theirs).await;
            twins.change(&content).await;
        }
    }
    // One annotation was deleted. The new one has its link with the storage that exported it first; all others keep theirs.
    if twins.links(ours).await.len() != content.annotations.len() - 1 {
        found.push(format!("links after changes: {:?}", twins.links(ours).await));
    }
    found
}

/// Goal: nothing in a bucket shows who exported. Method: one project with tasks of all kinds and two storages.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_export_per_annotation_writes_what_label_studio_writes() {
    let twins = Twins::start().await;
    let mut found = Vec::new();
    for prefix in [None, Some("out"), Some("ännöt/out/")] {
        found.extend(compare(&twins, prefix).await);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_export_per_task_writes_what_label_studio_writes() {
    let yes = "true".to_owned();
    let twins = Twins::start_with(&[(PER_TASK[0], yes.clone())], &[(PER_TASK[1], yes)]).await;
    let mut found = Vec::new();
    for prefix in [None, Some("out/")] {
        found.extend(compare(&twins, prefix).await);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_export_per_task_leaves_out_the_suffix_where_label_studio_does() {
    let both = |side: usize| [(PER_TASK[side], "true".to_owned()), (JSON_SUFFIX[side], "false".to_owned())];
    let twins = Twins::start_with(&both(0), &both(1)).await;
    let found = compare(&twins, Some("out")).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}
