//! The processes' own cloud identity is lent only where the operator says so.

use longshore_local::s3::{AccessKey, Op, Options, S3Server, When};
use longshore_rig::azurite::{self, Azurite};
use longshore_rig::gcs::Gcs;
use longshore_rig::rig::{Rig, RigOptions, StorageHandle};
use serde_json::{Value, json};

use super::{admin_of, call, with};
use crate::s3s::sts::{Cloud, HOUR, OPERATOR_KEY, OPERATOR_SECRET, ROLE};

/// Servers of every cloud that the processes have an identity for.
struct Clouds {
    s3: S3Server,
    /// The STS, and a bucket that accepts only its credentials.
    roles: Cloud,
    gcs: Gcs,
    azurite: std::sync::Arc<Azurite>,
    container: String,
    key_file: std::path::PathBuf,
}

impl Clouds {
    async fn start() -> Self {
        let access_keys = vec![AccessKey::new(OPERATOR_KEY, OPERATOR_SECRET)];
        let s3 = S3Server::start(Options { access_keys, ..Options::default() }).await.expect("an S3 server");
        let (roles, gcs, azurite) = (Cloud::start(HOUR).await, Gcs::start().await, Azurite::shared().await);
        for bucket in ["pics", "payroll"] {
            s3.put(bucket, "a.png", "x");
            roles.s3.put(bucket, "a.png", "x");
            gcs.create_bucket(bucket).await;
            gcs.put(bucket, "a.png", b"x").await;
        }
        let container = azurite.create_container("identity").await;
        azurite.put(&container, "a.png", b"x").await;
        let key_file = std::env::temp_dir().join(format!("longshore-identity-{}.json", uuid::Uuid::new_v4()));
        std::fs::write(&key_file, gcs.key_file().to_string()).expect("a file");
        Self { s3, roles, gcs, azurite, container, key_file }
    }

    fn options(&self) -> RigOptions {
        Rig::with()
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/aws")
            .env("AWS_CONFIG_FILE", "/nonexistent/aws")
            .env("AWS_ACCESS_KEY_ID", OPERATOR_KEY)
            .env("AWS_SECRET_ACCESS_KEY", OPERATOR_SECRET)
            .env("AWS_ENDPOINT_URL_STS", &self.roles.sts_url)
            .env("STORAGE_EMULATOR_HOST", self.gcs.endpoint())
            .env("GOOGLE_APPLICATION_CREDENTIALS", self.key_file.to_string_lossy())
            .env("AZURE_BLOB_ACCOUNT_NAME", azurite::ACCOUNT)
            .env("AZURE_BLOB_ACCOUNT_KEY", azurite::KEY)
            .env("AZURE_BLOB_ENDPOINT", self.azurite.endpoint())
    }

    /// A storage of each kind without credentials, and the field that names what it lacks.
    fn bare(&self, project: i64) -> [(&'static str, Value, &'static str); 4] {
        let base = json!({"project": project, "bucket": "pics", "recursive_scan": true, "use_blob_urls": true});
        let role = json!({"s3_endpoint": self.roles.s3.endpoint(), "role_arn": ROLE});
        [
            ("s3", with(&base, &json!({"s3_endpoint": self.s3.endpoint()})), "aws_access_key_id"),
            ("s3s", with(&base, &role), "role_arn"),
            ("gcs", base.clone(), "google_application_credentials"),
            ("azure", with(&base, &json!({"container": self.container})), "account_name"),
        ]
    }

    /// Whether no server was asked for anything.
    fn are_untouched(&self) -> bool {
        self.s3.calls().is_empty() && self.roles.s3.calls().is_empty() && self.gcs.calls().is_empty()
    }
}

impl Drop for Clouds {
    fn drop(&mut self) {
        std::fs::remove_file(&self.key_file).ok();
    }
}

fn check_denied((status, body): (u16, Value), field: &str, what: &str) {
    assert_eq!((status, &body["code"]), (403, &json!("own_identity_denied")), "{what}: {body}");
    assert!(body["validation_errors"][field][0].is_string(), "{what}: {body}");
}

fn handle(storage: &Value, path: &'static str) -> StorageHandle {
    let id = |field: &str| storage[field].as_i64().unwrap_or_else(|| panic!("no {field}: {storage}"));
    StorageHandle { id: id("id"), project: id("project"), path }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_of_some_projects_does_not_get_the_processes_identity_with_any_kind_or_route() {
    let clouds = Clouds::start().await;
    let rig = clouds.options().workers(0).start().await;
    let project = rig.project().await;
    clouds.roles.trust(&rig.external_id(project).await);
    let scoped = admin_of(&rig, &[project]).await;
    for (kind, settings, field) in clouds.bare(project) {
        let blank =
            json!({"aws_access_key_id": " ", "aws_secret_access_key": "", "account_name": null, "account_key": " "});
        for settings in [settings.clone(), with(&settings, &blank)] {
            for path in ["", "/validate", "/files"] {
                for direction in ["", "export/"] {
                    if path == "/files" && direction == "export/" {
                        continue;
                    }
                    let path = format!("/api/storages/{direction}{kind}{path}");
                    check_denied(call(&rig, &scoped, "POST", &path, &settings).await, field, &path);
                }
            }
        }
    }
    assert!(clouds.are_untouched(), "a refused request reaches no cloud");
    assert_eq!(rig.get(&format!("/api/storages?project={project}")).await, json!([]));
    // An admin of all projects has it with each of them.
    for (kind, settings, _) in clouds.bare(project) {
        rig.post(&format!("/api/storages/{kind}"), settings).await;
    }
}

/// Goal: what an admin of all projects saved works, and no change by another admin widens it.
#[tokio::test(flavor = "multi_thread")]
async fn a_saved_storage_keeps_the_identity_and_an_admin_of_its_project_can_only_take_it_away() {
    let clouds = Clouds::start().await;
    let rig = clouds.options().start().await;
    let (project, other) = (rig.project().await, rig.project().await);
    let scoped = admin_of(&rig, &[project, other]).await;
    let (_, settings, field) = clouds.bare(project)[0].clone();
    let storage = handle(&rig.post("/api/storages/s3", settings.clone()).await, "/api/storages/s3");
    let path = format!("{}/{}", storage.path, storage.id);
    clouds.s3.clear_calls();

    let whole = with(&settings, &json!({"bucket": "payroll"}));
    for (method, change) in [
        ("PATCH", json!({"bucket": "payroll"})),
        ("PATCH", json!({"s3_endpoint": "https://relay.test"})),
        ("PATCH", json!({"title": "T"})),
        ("PATCH", json!({"project": other})),
        ("PUT", whole.clone()),
    ] {
        check_denied(call(&rig, &scoped, method, &path, &change).await, field, &change.to_string());
    }
    for route in ["validate", "files"] {
        let borrowed = with(&whole, &json!({"id": storage.id}));
        check_denied(call(&rig, &scoped, "POST", &format!("/api/storages/s3/{route}"), &borrowed).await, field, route);
    }
    assert!(clouds.s3.calls().is_empty(), "a refused change reaches no cloud");

    // What was saved is used: by syncs, by the doctor, and for the images of its tasks.
    let (status, started) = call(&rig, &scoped, "POST", &format!("{path}/sync"), &json!({})).await;
    assert_eq!(status, 200, "{started}");
    let sync: i64 = started["last_sync_job"].as_str().and_then(|id| id.parse().ok()).expect("a sync");
    assert_eq!(rig.ended(sync).await["status"], "completed");
    let (status, examined) = call(&rig, &scoped, "POST", &format!("{path}/doctor"), &json!({})).await;
    assert_eq!((status, &examined["ok"]), (200, &json!(true)), "{examined}");
    let tasks = rig.get(&format!("/api/tasks?project={project}")).await;
    let resolved = rig.post("/api/resolve", json!({"task": tasks["tasks"][0]["id"]})).await;
    assert_eq!(resolved["resolved"], 1, "{resolved}");

    let keys = json!({"aws_access_key_id": OPERATOR_KEY, "aws_secret_access_key": OPERATOR_SECRET});
    let (status, body) = call(&rig, &scoped, "PATCH", &path, &keys).await;
    assert_eq!(status, 200, "{body}");
    for (method, change) in [
        ("PATCH", json!({"aws_access_key_id": null, "aws_secret_access_key": ""})),
        ("PUT", with(&settings, &json!({"aws_access_key_id": "", "aws_secret_access_key": ""}))),
    ] {
        check_denied(call(&rig, &scoped, method, &path, &change).await, field, method);
    }
    assert_eq!(call(&rig, &scoped, "DELETE", &path, &Value::Null).await.0, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_none_not_even_a_saved_storage_uses_the_identity() {
    let clouds = Clouds::start().await;
    let mut rig = clouds.options().start().await;
    let project = rig.project().await;
    let bare = clouds.bare(project);
    let (_, settings, field) = bare[0].clone();
    let storage =
        handle(&rig.post("/api/storages/s3", with(&settings, &json!({"presign": false}))).await, "/api/storages/s3");
    assert_eq!(rig.sync_to_end(&storage).await["status"], "completed");
    let task = rig.get(&format!("/api/tasks?project={project}&resolve_uri=false")).await["tasks"][0].clone();

    rig.set_environment("LONGSHORE_OWN_IDENTITY", "none");
    for app in [rig.schedulers.remove(0), rig.workers.remove(0)] {
        app.stop().await.expect("it ends");
    }
    rig.add_scheduler().await;
    rig.add_worker().await;
    clouds.s3.clear_calls();
    check_denied(rig.call("POST", "/api/storages/s3", Some(settings)).await, field, "create");
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("own_identity_denied")), "{sync}");
    let path = format!("{}/{}/doctor", storage.path, storage.id);
    assert_eq!(rig.post(&path, json!({})).await["steps"][0]["code"], "own_identity_denied");
    let resolve = format!("/tasks/{}/resolve?fileuri={}", task["id"], task["data"]["image"].as_str().expect("a URI"));
    let (status, body) = rig.call("GET", &resolve, None).await;
    assert_eq!((status, &body["code"]), (424, &json!("own_identity_denied")), "{body}");
    assert_eq!(clouds.s3.count(Op::List) + clouds.s3.count(Op::Get), 0);
}

/// The identity of Google Cloud, which has no endpoint that users choose.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_lends_the_identity_to_these_buckets_of_these_projects_alone() {
    let clouds = Clouds::start().await;
    // The first projects of a database.
    let rig = clouds.options().env("LONGSHORE_OWN_IDENTITY", "1:pics, roles").workers(0).start().await;
    let (listed, other) = (rig.project().await, rig.project().await);
    assert_eq!((listed, other), (1, 2));
    let (own, others) = (admin_of(&rig, &[1]).await, admin_of(&rig, &[2]).await);
    let path = "/api/storages/gcs";
    let gcs = |project: i64, bucket: &str| json!({"project": project, "bucket": bucket});
    let (status, made) = call(&rig, &own, "POST", path, &gcs(1, "pics")).await;
    assert_eq!(status, 201, "{made}");
    let field = "google_application_credentials";
    check_denied(call(&rig, &own, "POST", path, &gcs(1, "payroll")).await, field, "another bucket");
    check_denied(call(&rig, &others, "POST", path, &gcs(2, "pics")).await, field, "another project");
    check_denied(rig.call("POST", path, Some(gcs(2, "pics"))).await, field, "an admin of all projects");
    let moved = format!("{path}/{}", made["id"]);
    check_denied(call(&rig, &own, "PATCH", &moved, &json!({"bucket": "payroll"})).await, field, "a change");

    // At an endpoint that a user chooses, signed requests could be sent on to another bucket.
    let (_, s3, field) = clouds.bare(1)[0].clone();
    check_denied(call(&rig, &own, "POST", "/api/storages/s3", &s3).await, field, "an endpoint");
    assert!(clouds.s3.calls().is_empty());
    rig.post("/api/storages/s3", s3).await;

    // `roles`: every project assumes roles that trust its external ID.
    let (_, role, _) = clouds.bare(2)[1].clone();
    clouds.roles.trust(&rig.external_id(2).await);
    let (status, body) = call(&rig, &others, "POST", "/api/storages/s3s", &role).await;
    assert_eq!(status, 201, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_every_admin_has_the_identity() {
    let clouds = Clouds::start().await;
    let rig = clouds.options().env("LONGSHORE_OWN_IDENTITY", "all").workers(0).start().await;
    let project = rig.project().await;
    clouds.roles.trust(&rig.external_id(project).await);
    let scoped = admin_of(&rig, &[project]).await;
    for (kind, settings, _) in clouds.bare(project) {
        let (status, body) = call(&rig, &scoped, "POST", &format!("/api/storages/{kind}"), &settings).await;
        assert_eq!(status, 201, "{kind}: {body}");
    }
}

/// Goal: a sync with keys of its user does not go on with the identity for its old bucket, which no request that saves a
/// storage was checked for. Method: the storage gets another bucket and loses its keys while the second page is listed.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_sync_does_not_get_the_identity_for_a_bucket_that_its_storage_has_left() {
    let clouds = Clouds::start().await;
    let rig = clouds.options().start().await;
    clouds.s3.put_many("shared", (0..2_500).map(|n| (format!("{n:05}.png"), "x")));
    let (_, bare, _) = clouds.bare(rig.project().await)[0].clone();
    let keys = json!({"aws_access_key_id": OPERATOR_KEY, "aws_secret_access_key": OPERATOR_SECRET});
    let settings = with(&with(&bare, &keys), &json!({"bucket": "shared"}));
    let storage = handle(&rig.post("/api/storages/s3", settings).await, "/api/storages/s3");

    let second_page = clouds.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&storage).await;
    second_page.reached().await;
    rig.until_counted(sync, "pages", 1).await;
    rig.patch(&storage, json!({"bucket": "pics", "aws_access_key_id": null, "aws_secret_access_key": null})).await;
    // A new attempt reads the settings again.
    rig.workers[0].process.kill().await.expect("killed");
    second_page.release();
    rig.restart_worker(0).await;
    let sync = rig.ended(sync).await;
    assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("storage_moved")), "{sync}");
    // The saved bucket has the identity.
    assert_eq!(rig.sync_to_end(&storage).await["status"], "completed");
}
