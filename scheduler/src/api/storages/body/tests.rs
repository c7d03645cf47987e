//! Which fields a storage of each kind shows.

use std::collections::BTreeSet;

use longshore_model::StorageSettings;
use serde_json::json;

use super::*;

fn shown(direction: Direction, settings: &Value) -> Value {
    let settings: StorageSettings = serde_json::from_value(settings.clone()).unwrap();
    let row = StorageRow {
        id: 3,
        host_id: None,
        project_id: 1,
        kind: settings.kind(),
        direction,
        title: None,
        description: None,
        settings,
        capabilities: None,
        synchronizable: true,
        status: SyncStatus::Initialized,
        last_sync: None,
        last_sync_count: None,
        last_sync_job: None,
        traceback: None,
        meta: json!({}),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    serde_json::to_value(StorageBody::from(row)).unwrap()
}

fn names(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

const ALL: &str = "id type synchronizable last_sync last_sync_count last_sync_job status traceback meta title \
                   description created_at regex_filter use_blob_urls project";

/// The lists are those of Label Studio 1.23.2, and what Longshore adds.
#[test]
fn every_kind_shows_the_fields_of_label_studio_and_no_others() {
    let s3 = "bucket prefix aws_sse_kms_key_id region_name s3_endpoint";
    for (settings, own, import) in [
        (
            json!({"kind": "s3", "bucket": "b"}),
            s3.to_owned(),
            "import_all_objects presign presign_ttl recursive_scan stop_when_unusable verify_content",
        ),
        (
            json!({"kind": "s3s", "bucket": "b", "role_arn": "r"}),
            format!("{s3} role_arn external_id legacy_auth"),
            "import_all_objects presign presign_ttl recursive_scan stop_when_unusable verify_content",
        ),
        (
            json!({"kind": "gcs", "bucket": "b"}),
            "bucket prefix google_project_id".to_owned(),
            "import_all_objects presign presign_ttl recursive_scan stop_when_unusable verify_content",
        ),
        (
            json!({"kind": "azure", "container": "b"}),
            "container prefix endpoint".to_owned(),
            "import_all_objects presign presign_ttl recursive_scan stop_when_unusable verify_content",
        ),
        (
            json!({"kind": "redis"}),
            "path host port db username tls".to_owned(),
            "import_all_objects stop_when_unusable",
        ),
        (
            json!({"kind": "localfiles", "path": "/data/pics"}),
            "path".to_owned(),
            "import_all_objects recursive_scan stop_when_unusable",
        ),
    ] {
        let body = shown(Direction::Import, &settings);
        assert_eq!(body["type"], settings["kind"]);
        let keys: BTreeSet<String> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, names(&format!("{ALL} {own} {import}")), "import {settings}");

        let body = shown(Direction::Export, &settings);
        let keys: BTreeSet<String> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, names(&format!("{ALL} {own} can_delete_objects export_tasks json_suffix")), "{settings}");
    }
}

/// Goal: a client may send back what it was shown, with the fields that only Longshore writes, and with a report.
#[test]
fn an_answer_can_be_sent_back_as_a_new_storage_and_as_a_change() {
    use super::super::change::{Base, Change};

    for direction in Direction::ALL {
        for settings in [
            json!({"kind": "s3", "bucket": "pets", "prefix": "a"}),
            json!({"kind": "s3s", "bucket": "pets", "role_arn": "arn:aws:iam::123456789012:role/r", "external_id": "own"}),
            json!({"kind": "gcs", "bucket": "pets"}),
            json!({"kind": "azure", "container": "pets"}),
            json!({"kind": "redis", "path": "tasks:", "host": "localhost"}),
            json!({"kind": "localfiles", "path": "/data/pics"}),
        ] {
            let mut answer = shown(*direction, &settings);
            answer["applies_from"] = json!("next_sync");
            answer["report"] = json!({});
            answer["warnings"] = json!([]);
            let kind: StorageKind = answer["type"].as_str().unwrap().parse().unwrap();
            let parsed = || Change::parse(kind, *direction, answer.as_object().unwrap());
            let created = parsed().apply(Base::Nothing).unwrap();
            parsed().apply(Base::Stored(Box::new(created))).unwrap();
        }
    }
}
