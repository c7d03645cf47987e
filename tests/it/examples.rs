//! Runs the examples of `deploy/examples`.

use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_rig::installed::{self, workspace};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, StorageHandle};
use serde_json::json;

const KEYS: [&str; 3] = ["a.png", "b.png", "c.png"];

/// A rig with an import storage on three images.
async fn with_images() -> (Rig, StorageHandle) {
    let rig = Rig::start().await;
    rig.s3.put_many("images", KEYS.map(|key| (key, "image")));
    let storage = rig.import_storage(rig.project().await, "images", json!({"use_blob_urls": true})).await;
    (rig, storage)
}

fn example(name: &str) -> PathBuf {
    workspace().join("deploy/examples").join(name)
}

/// Runs a program and returns its output.
async fn run(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

async fn python(packages: &'static str) -> PathBuf {
    tokio::task::spawn_blocking(move || installed::python(packages)).await.expect("no panic").expect("Python installs")
}

async fn has_imported(rig: &Rig, storage: &StorageHandle, sync: i64) {
    let sync = rig.ended(sync).await;
    rig.check_import(storage, &sync, &one_each(KEYS), &[]).await;
}

/// The ID in a text such as `sync 7 completed`.
fn id(text: &str) -> i64 {
    let number = text.split(' ').find_map(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("no ID in {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_runs_of_the_http_example_start_one_sync() {
    let (rig, storage) = with_images().await;
    let (url, number) = (rig.url(), storage.id.to_string());
    let environment = [("LONGSHORE_URL", url.as_str()), ("LONGSHORE_TOKEN", rig.token())];
    let script = example("http.sh");
    let script = script.to_str().expect("a plain path");
    let output = run(Path::new("sh"), &[script, &number], &environment).await;
    has_imported(&rig, &storage, id(&output)).await;
    assert_eq!(
        run(Path::new("sh"), &[script, &number], &environment).await,
        output,
        "the same key returns the same sync"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_example_starts_a_sync_in_a_transaction() {
    let (rig, storage) = with_images().await;
    let (url, script) = (rig.roles.host_database_url.clone(), example("enqueue.sql"));
    let (script, set) = (script.to_str().expect("a plain path"), format!("storage={}", storage.id));
    let arguments = [url.as_str(), "--quiet", "--set", &set, "--set", "ON_ERROR_STOP=1", "--file", script];
    let output = run(Path::new("psql"), &arguments, &[]).await;
    has_imported(&rig, &storage, id(&output)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_amqp_example_starts_a_sync_and_receives_its_end() {
    let (rig, storage) = with_images().await;
    let (script, number) = (example("amqp.py"), storage.id.to_string());
    let arguments = [script.to_str().expect("a plain path"), &number];
    let output = run(&python("examples").await, &arguments, &[("AMQP_URL", &rig.roles.host_amqp_url)]).await;
    assert!(output.starts_with("sync.completed "), "{output}");
    has_imported(&rig, &storage, id(&output)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_example_starts_a_sync() {
    let (rig, storage) = with_images().await;
    let (url, script, number) = (rig.url(), example("sdk.py"), storage.id.to_string());
    let arguments = [script.to_str().expect("a plain path"), &number];
    let environment = [("LONGSHORE_URL", url.as_str()), ("LONGSHORE_TOKEN", rig.token())];
    assert_eq!(run(&python("sdk").await, &arguments, &environment).await, "completed 3");
}
