//! Label Studio's unmodified Python client calls the API: every call, on import and export storages of every kind.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use longshore_rig::azurite::{self, Azurite};
use longshore_rig::gcs::Gcs;
use longshore_rig::installed;
use longshore_rig::moto::Moto;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::123456789012:role/labels";
const TASK: &str = r#"{"image": "i"}"#;

/// Input of the script for each kind: valid and invalid settings.
fn storages(rig: &Rig, moto: &Moto, azurite: &Azurite, gcs: &Gcs, places: &SdkLocations, external_id: &str) -> Value {
    let redis: reqwest::Url = rig.stack.redis.url().parse().expect("a URL");
    json!({
        "s3": {
            "both": {"bucket": "sdk", "s3endpoint": rig.s3.endpoint(), "aws_access_key_id": ACCESS_KEY_ID,
                     "aws_secret_access_key": SECRET_ACCESS_KEY},
            "import": {"prefix": "in", "recursive_scan": true, "presign": true, "presign_ttl": 5},
            "export": {"prefix": "out", "can_delete_objects": true},
            "wrong": {"fields": {"aws_secret_access_key": "not-it"}, "code": "wrong_secret_key",
                      "field": "aws_secret_access_key"},
        },
        "s3s": {
            "both": {"bucket": places.role_bucket, "s3endpoint": moto.endpoint(), "role_arn": ROLE,
                     "external_id": external_id, "region_name": "us-east-1"},
            "import": {"prefix": "in"},
            "export": {"prefix": "out"},
            "wrong": {"fields": {"bucket": "nowhere-at-all"}, "code": "no_such_bucket", "field": "bucket"},
        },
        "gcs": {
            "both": {"bucket": "sdk", "google_application_credentials": gcs.key_file().to_string()},
            "import": {"prefix": "in", "google_project_id": "labels"},
            "export": {"prefix": "out"},
            "wrong": {"fields": {"bucket": "nowhere"}, "code": "no_such_bucket", "field": "bucket"},
        },
        "azure": {
            "both": {"container": places.container, "account_name": azurite::ACCOUNT, "account_key": azurite::KEY},
            "import": {"prefix": "in"},
            "export": {"prefix": "out"},
            "wrong": {"fields": {"container": "nowhere"}, "code": "no_such_bucket", "field": "container"},
            "extra": {"endpoint": azurite.endpoint()},
        },
        "redis": {
            "both": {"host": redis.host_str(), "port": redis.port().map(|port| port.to_string()),
                     "password": redis.password()},
            // Label Studio itself cannot use database 0.
            "import": {"path": places.redis_prefix, "db": 0},
            "export": {"path": format!("{}done:", places.redis_prefix), "db": 1},
            "wrong": {"fields": {"password": "not-it"}, "code": "wrong_password", "field": "password"},
        },
        "localfiles": {
            "both": {},
            "import": {"path": places.folder.join("in")},
            "export": {"path": places.folder.join("out")},
            "wrong": {"fields": {"path": places.folder.join("nowhere")}, "code": "no_such_folder", "field": "path"},
        },
    })
}

/// Buckets, containers and folders of the test.
struct SdkLocations {
    role_bucket: String,
    container: String,
    redis_prefix: String,
    folder: std::path::PathBuf,
}

/// One task below `in` in each of them.
async fn places(rig: &Rig, moto: &Moto, azurite: &Azurite, gcs: &Gcs, folder: std::path::PathBuf) -> SdkLocations {
    rig.s3.put("sdk", "in/task.json", TASK);
    let role_bucket = moto.create_bucket("sdk").await;
    moto.put(&role_bucket, "in/task.json", TASK.as_bytes()).await;
    gcs.create_bucket("sdk").await;
    gcs.put("sdk", "in/task.json", TASK.as_bytes()).await;
    let container = azurite.create_container("sdk").await;
    azurite.put(&container, "in/task.json", TASK.as_bytes()).await;
    let redis_prefix = format!("sdk-{}:", std::process::id());
    let client = redis::Client::open(rig.stack.redis.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("redis answers");
    let mut set = redis::cmd("SET");
    set.arg(format!("{redis_prefix}task.json")).arg(TASK);
    set.query_async::<()>(&mut connection).await.expect("redis takes it");
    for name in ["in", "out"] {
        std::fs::create_dir_all(folder.join(name)).expect("a folder");
    }
    std::fs::write(folder.join("in/task.json"), TASK).expect("a file");
    SdkLocations { role_bucket, container, redis_prefix, folder }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_makes_syncs_and_removes_storages_of_every_kind() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sdk-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (moto, azurite, gcs) = (Moto::shared().await, Azurite::shared().await, Gcs::start().await);
    let rig = Rig::with()
        .env("STORAGE_EMULATOR_HOST", gcs.endpoint())
        .env("AWS_ENDPOINT_URL_STS", moto.endpoint())
        .env("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
        .env("AWS_SECRET_ACCESS_KEY", "operator-secret")
        .env("LOCAL_FILES_SERVING_ENABLED", "true")
        .env("LOCAL_FILES_DOCUMENT_ROOT", folder.to_str().expect("a plain path"))
        .start()
        .await;
    let places = places(&rig, &moto, &azurite, &gcs, folder.clone()).await;
    let project = rig.project().await;
    // Users copy it from the project into their script, as they do with Label Studio's.
    let external_id = rig.external_id(project).await;
    let order = json!({
        "url": rig.url(), "tokens": tokens(&rig).await, "project": project, "count": 1,
        "storages": storages(&rig, &moto, &azurite, &gcs, &places, &external_id),
    });
    let output = tokio::task::spawn_blocking(move || drive(&order)).await.expect("no panic");
    assert_eq!(output, "6 kinds, both ways\n");
    std::fs::remove_dir_all(&folder).ok();
}

/// A token of each form that the client knows.
async fn tokens(rig: &Rig) -> Vec<String> {
    let mut tokens = vec![rig.token().to_owned()];
    for form in ["plain", "jwt"] {
        let made = rig.post("/api/tokens", json!({"name": form, "role": "admin", "form": form})).await;
        tokens.push(made["token"].as_str().expect("a token").to_owned());
    }
    tokens
}

/// Runs the client's script and gives what it printed.
fn drive(order: &Value) -> String {
    run("sdk", "drive.py", order)
}

/// Runs a script with the client that `tests/<client>/requirements.txt` pins, and gives what it printed.
fn run(client: &str, script: &str, order: &Value) -> String {
    let python = installed::python(client).expect("the client is installed");
    let script = installed::workspace().join("tests/sdk").join(script);
    let mut process = Command::new(python)
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = process.stdin.take().expect("a pipe");
    stdin.write_all(order.to_string().as_bytes()).expect("the script reads");
    drop(stdin);
    let output = process.wait_with_output().expect("the script ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The client's versions: the folder with its pins, and its version.
const CLIENTS: [(&str, &str); 2] = [("sdk-1.0", "1.0.20"), ("sdk", "2.1.2")];

/// The page with the table of calls.
const PAGE: &str = "deploy/examples/sdk.md";

/// Goal: scripts for Label Studio work whatever version of its client they use. Method: each version makes the calls of
/// `tests/sdk/calls.py`; the page lists exactly the calls that passed.
#[tokio::test(flavor = "multi_thread")]
async fn each_version_of_the_client_makes_every_call_that_has_a_meaning_here() {
    let rig = Rig::start().await;
    let order = json!({"url": rig.url(), "token": rig.token(), "name": "bootstrap"});
    let mut passed: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (client, version) in CLIENTS {
        let order = order.clone();
        let output = tokio::task::spawn_blocking(move || run(client, "calls.py", &order)).await.expect("no panic");
        for call in output.lines() {
            passed.entry(call.to_owned()).or_default().insert(version);
        }
    }
    let page = std::fs::read_to_string(installed::workspace().join(PAGE)).expect("the page");
    let mut table = format!("| Call | {} |\n|---|---|---|\n", CLIENTS.map(|(_, version)| version).join(" | "));
    for (call, versions) in &passed {
        let marks = CLIENTS.map(|(_, version)| if versions.contains(version) { "yes" } else { "" });
        table += &format!("| `{call}` | {} |\n", marks.join(" | "));
    }
    assert!(page.contains(&table), "replace the table in {PAGE} with this one:\n{table}");
}

/// Goal: scripts for the client before version 1 work as well. Method: its calls, on an import storage; the page lists exactly
/// those that passed.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_before_version_one_constructs_and_makes_its_calls() {
    const COUNT: usize = 120;
    let rig = Rig::start().await;
    rig.s3.put_many("legacy", (0..COUNT).map(|n| (format!("{n}.jpg"), "")));
    let order = json!({
        "url": rig.url(), "token": rig.token(), "count": COUNT,
        "storage": {"bucket": "legacy", "s3_endpoint": rig.s3.endpoint(), "aws_access_key_id": ACCESS_KEY_ID,
                    "aws_secret_access_key": SECRET_ACCESS_KEY, "use_blob_urls": true, "title": "by the client"},
    });
    let output = tokio::task::spawn_blocking(move || run("sdk-0.0", "legacy.py", &order)).await.expect("no panic");
    let calls: BTreeSet<&str> = output.lines().collect();
    let list: String = calls.iter().map(|call| format!("* `{call}`\n")).collect();
    let page = std::fs::read_to_string(installed::workspace().join(PAGE)).expect("the page");
    assert!(page.contains(&format!("\n\n{list}\n")), "replace the list in {PAGE} with this one:\n{list}");
}
