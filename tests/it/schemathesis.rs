//! Schemathesis tests the API with thousands of odd paths, queries and bodies, generated from its OpenAPI document.

use std::process::Command;

use longshore_rig::installed;
use longshore_rig::rig::Rig;
use serde_json::json;

/// Runs Schemathesis. Its output has the failed requests and the commands that repeat them.
async fn run(rig: &Rig, token: &str) -> (bool, String) {
    let (document, token) = (format!("{}/api/openapi.json", rig.url()), format!("Authorization: Token {token}"));
    let folder = rig.run_dir.root().to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let python = installed::python("schemathesis").expect("Schemathesis is installed");
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemathesis/schemathesis.toml");
        let mut command = Command::new(python.with_file_name("st"));
        command.args(["--config-file", config, "--no-color", "run", &document, "--header", &token]);
        // One thread, because its generators fail with two.
        command.args(["--workers", "1", "--request-timeout", "60"]);
        // It writes a cache to its working directory.
        command.current_dir(folder).output()
    });
    let output = output.await.expect("no panic").expect("it starts");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_generated_request_gets_a_documented_answer_without_an_internal_error() {
    // Storages without an endpoint are on AWS; the test must not send requests there.
    let rig = Rig::with().workers(0).env("AWS_EC2_METADATA_DISABLED", "true").start().await;
    rig.s3.put("tasks", "one.json", r#"{"image": "s3://tasks/one.png"}"#);
    rig.s3.create_bucket("out");
    let project = rig.project().await;
    let import = rig.import_storage(project, "tasks", json!({})).await;
    rig.export_storage(project, "out", json!({})).await;
    rig.sync(&import).await;
    let db = rig.database().await;
    let rows = "INSERT INTO tasks (project_id, data) SELECT $1, '{\"image\": \"s3://tasks/one.png\"}' FROM generate_series(1, 3)";
    db.execute(rows, &[&project]).await.expect("tasks");
    let annotations = "INSERT INTO annotations (task_id, project_id) SELECT id, project_id FROM tasks";
    db.execute(annotations, &[]).await.expect("annotations");
    // A token with a large ID, so that no generated ID deletes it.
    let token = rig.post("/api/tokens", json!({"name": "tried out", "role": "admin"})).await;
    db.execute("UPDATE api_tokens SET id = id + 987654321", &[]).await.expect("tokens");

    let (passed, output) = run(&rig, token["token"].as_str().expect("the token")).await;
    assert!(passed, "{output}");
    let failures: Vec<String> =
        rig.logs().lines().filter(|line| line.contains("\"event\":\"request_failed\"")).map(str::to_owned).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
