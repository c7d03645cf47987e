//! S3 through an IAM role: no long-lived keys in the storage, and credentials that are renewed in
//! the middle of a sync.

pub(crate) mod sts;

use std::collections::BTreeSet;
use std::time::Duration;

use longshore_local::s3::{Fault, Op};
use longshore_rig::moto::Moto;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, StorageHandle, rows};
use serde_json::{Value, json};

use sts::{Cloud, HOUR, OPERATOR_KEY, OPERATOR_SECRET, ROLE, ROLE_SECRET};

const IMPORT: &str = "/api/storages/s3s";
const EXPORT: &str = "/api/storages/export/s3s";

/// A project whose external ID the role trusts.
async fn trusted_project(rig: &Rig, cloud: &Cloud) -> i64 {
    let project = rig.project().await;
    cloud.trust(&rig.external_id(project).await);
    project
}

/// A rig whose processes have an identity that may assume roles at this STS.
async fn rig(sts_url: &str) -> Rig {
    Rig::with()
        .env("AWS_ENDPOINT_URL_STS", sts_url)
        .env("AWS_ACCESS_KEY_ID", OPERATOR_KEY)
        .env("AWS_SECRET_ACCESS_KEY", OPERATOR_SECRET)
        .start()
        .await
}

fn settings(endpoint: &str, project: i64, bucket: &str) -> Value {
    json!({
        "project": project, "bucket": bucket, "s3_endpoint": endpoint, "role_arn": ROLE,
        "recursive_scan": true, "use_blob_urls": true,
    })
}

async fn create(rig: &Rig, path: &'static str, settings: Value) -> StorageHandle {
    let storage = rig.post(path, settings).await;
    assert_eq!((&storage["type"], &storage["role_arn"]), (&json!("s3s"), &json!(ROLE)), "{storage}");
    let project = storage["project"].as_i64().expect("an id");
    StorageHandle { id: storage["id"].as_i64().expect("an id"), project, path }
}

fn keys(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("img/{n:05}.png"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_imports_and_exports_without_keys_in_the_storage() {
    let cloud = Cloud::start(HOUR).await;
    let rig = rig(&cloud.sts_url).await;
    let endpoint = cloud.s3.endpoint();
    cloud.s3.put_many("pics", keys(1_200).map(|key| (key, "x")));
    cloud.s3.create_bucket("out");
    let project = trusted_project(&rig, &cloud).await;

    let import = create(&rig, IMPORT, settings(&endpoint, project, "pics")).await;
    let sync = rig.sync_to_end(&import).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&import, &sync, &one_each(keys(1_200)), &[]).await;

    let tasks = rig.get(&format!("/api/tasks/?project={project}&page_size=1&page=1")).await;
    let task = rows(&tasks)[0]["id"].as_i64().expect("an id");
    let annotation = rig.post(&format!("/api/tasks/{task}/annotations/"), json!({"result": []})).await;
    let export = create(&rig, EXPORT, settings(&endpoint, project, "out")).await;
    let sync = rig.sync_to_end(&export).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    let written: Vec<String> = cloud.s3.objects("out").into_iter().map(|(key, _, _)| key).collect();
    assert_eq!(written, [annotation["id"].to_string()]);

    let sealed = rig.database().await.query_one("SELECT count(*) FROM storages WHERE secrets IS NOT NULL", &[]).await;
    assert_eq!(sealed.expect("storages").get::<_, i64>(0), 0, "a role has no secrets to keep");
    let asked = cloud.handed_out();
    assert!((1..=2).contains(&asked), "each process assumes the role once, not {asked} times");
    let logs = rig.logs();
    assert!(!logs.contains(ROLE_SECRET) && !logs.contains(OPERATOR_SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn short_lived_credentials_are_renewed_in_the_middle_of_a_sync() {
    let cloud = Cloud::start(Duration::from_secs(2)).await;
    let rig = rig(&cloud.sts_url).await;
    cloud.s3.put_many("pics", keys(12_000).map(|key| (key, "x")));
    let project = trusted_project(&rig, &cloud).await;
    let storage = create(&rig, IMPORT, settings(&cloud.s3.endpoint(), project, "pics")).await;

    // Twelve pages take longer than any credentials live.
    cloud.s3.clear_calls();
    cloud.s3.fail(Op::List, Fault::Delay(Duration::from_millis(400)));
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &one_each(keys(12_000)), &[]).await;
    let served = cloud.s3.calls().into_iter().filter(|call| call.status == Some(200));
    let signers: BTreeSet<Option<String>> = served.map(|call| call.access_key).collect();
    assert!(signers.len() > 1, "one set of credentials served a sync that outlived it: {signers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_reports_a_role_that_does_not_trust_the_external_id() {
    let cloud = Cloud::start(HOUR).await;
    let rig = rig(&cloud.sts_url).await;
    cloud.s3.create_bucket("pics");
    let project = trusted_project(&rig, &cloud).await;
    let good = settings(&cloud.s3.endpoint(), project, "pics");
    let with = |field: &str, value: &str| {
        let mut settings = good.clone();
        settings[field] = value.into();
        settings
    };
    let validate = format!("{IMPORT}/validate");
    assert_eq!(rig.call("POST", &validate, Some(good.clone())).await.0, 200);

    let another_role = "arn:aws:iam::123456789012:role/somebody-elses";
    // A project whose external ID the role does not trust.
    let mut untrusted = good.clone();
    untrusted["project"] = rig.project().await.into();
    for wrong in [untrusted, with("role_arn", another_role)] {
        for path in [validate.as_str(), IMPORT] {
            let (status, body) = rig.call("POST", path, Some(wrong.clone())).await;
            assert_eq!((status, &body["code"]), (400, &json!("role_denied")), "{path}: {body}");
            let text = body.to_string();
            assert!(text.contains("external ID") && text.contains("trust policy"), "{text}");
            assert!(!text.contains("999999999999"), "whom the operator is, is not the user's: {text}");
        }
    }
    let (status, body) = rig.call("POST", IMPORT, Some(with("role_arn", "reader"))).await;
    assert_eq!(status, 400, "{body}");
    assert!(body["validation_errors"]["role_arn"][0].is_string(), "{body}");
    assert!(rows(&rig.get(&format!("{IMPORT}?project={project}")).await).is_empty(), "nothing was stored");

    let types = rig.get("/api/storages/types").await;
    assert!(rows(&types).contains(&json!({"name": "s3s", "title": "AWS S3 (IAM role access)"})), "{types}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_another_sts_imports_from_another_s3() {
    let moto = Moto::shared().await;
    let bucket = moto.create_bucket("role").await;
    for key in keys(3) {
        moto.put(&bucket, &key, b"x").await;
    }
    let rig = rig(moto.endpoint()).await;
    let project = rig.project().await;
    let storage = create(&rig, IMPORT, settings(moto.endpoint(), project, &bucket)).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &one_each(keys(3)), &[]).await;
}
