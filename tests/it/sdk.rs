//! Label Studio's unmodified Python client calls the API: every call, on import and export storages of every kind.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use longshore_rig::installed;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY};
use serde_json::{Value, json};

use crate::all_kinds::AllKinds;

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_makes_syncs_and_removes_storages_of_every_kind() {
    let all = AllKinds::start("sdk").await;
    let order = json!({
        "url": all.rig.url(), "tokens": tokens(&all.rig).await, "project": all.project, "count": 1,
        "storages": &all.storages, "schemes": ["Token", "Token", "Bearer"],
    });
    let output = tokio::task::spawn_blocking(move || run("sdk", "drive.py", &order)).await.expect("no panic");
    assert_eq!(output, "6 kinds, both ways\n");
}

/// Goal: version 1 of the client makes storages of every kind as well. Method: the same script. Its tokens have one form.
#[tokio::test(flavor = "multi_thread")]
async fn version_one_of_the_client_makes_syncs_and_removes_storages_of_every_kind() {
    let all = AllKinds::start("one").await;
    let order = json!({
        "url": all.rig.url(), "tokens": [all.rig.token()], "project": all.project, "count": 1,
        "storages": &all.storages, "schemes": ["Token"],
    });
    let output = tokio::task::spawn_blocking(move || run("sdk-1.0", "drive.py", &order)).await.expect("no panic");
    assert_eq!(output, "6 kinds, both ways\n");
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
