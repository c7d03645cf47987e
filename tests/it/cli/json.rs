//! `--json` for scripts: one value per line, also for errors and progress.

use longshore_local::s3::Op;
use longshore_rig::rig::Rig;
use serde_json::{Value, json};

use super::{CommandOutput, command, longshore, made, run};

/// The events on standard error, one per line.
fn events(output: &CommandOutput) -> Vec<Value> {
    let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    output.err.lines().map(read).collect()
}

/// Goal: a script needs no regular expression to know what failed. Method: an error of each origin, each of which has
/// the same fields.
#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_one_line_of_json_with_the_same_fields() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("images");
    let project = rig.project().await;
    let closed = format!("http://127.0.0.1:{}", longshore_local::ports::free().expect("a port"));
    let at = |url: &str, token: &str, words: &str| command(url, token, &format!("{words} --json"));
    for (command, exit, code) in [
        (at(&rig.url(), rig.token(), "sync start 77"), 1, "not_found"),
        (at(&rig.url(), rig.token(), "sync status 77"), 1, "not_found"),
        (at(&rig.url(), "not-a-token", "project list"), 1, "unauthorized"),
        (at(&closed, rig.token(), "project list"), 1, "unreachable"),
        (at(&rig.s3.endpoint(), rig.token(), "project list"), 1, "not_longshore"),
        (at("longshore:8080", rig.token(), "project list"), 1, "invalid_url"),
        (at(&rig.url(), rig.token(), "sync start"), 2, "invalid_command_line"),
        (at(&rig.url(), rig.token(), "storage create s3 --bucket x"), 2, "invalid_command_line"),
    ] {
        let output = run(command).await;
        assert_eq!((output.code, output.out.as_str()), (exit, ""), "{code}: {}", output.err);
        let [error] = &events(&output)[..] else { panic!("one line: {}", output.err) };
        assert_eq!((&error["event"], &error["code"]), (&json!("error"), &json!(code)));
        let names: Vec<&String> = error.as_object().expect("an object").keys().collect();
        assert_eq!(names.len(), 6, "{names:?}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
    let refused = run(at(&rig.url(), "not-a-token", "project list")).await;
    assert_eq!(events(&refused)[0]["status"], 401, "the status of an answer");
    let refused = longshore(&rig, &format!("storage create s3 --project {project} --bucket nowhere --json")).await;
    let [error] = &events(&refused)[..] else { panic!("one line: {}", refused.err) };
    assert_eq!((&error["code"], &error["status"]), (&json!("no_such_bucket"), &json!(400)));
    assert!(error["fields"]["bucket"].is_array(), "{error}");
}

/// Goal: a script can show progress. Method: hold the listing, so that an event says what it waits for, and release it.
#[tokio::test(flavor = "multi_thread")]
async fn progress_is_one_line_of_json_per_event_and_the_result_one_line() {
    let rig = Rig::start().await;
    rig.s3.put_many("images", (0..1_500).map(|n| (format!("{n:04}.png"), "image")));
    let storage = made(&rig, "images", "--blob").await;
    let listing = rig.s3.hold(Op::List);
    let follow = format!("sync start {} --follow --expect 1500 --json", storage.id);
    let (output, ()) = tokio::join!(longshore(&rig, &follow), async {
        listing.reached().await;
        listing.release();
    });
    assert_eq!((output.code, output.out.lines().count()), (0, 1), "{}{}", output.out, output.err);
    let events = events(&output);
    let sync = output.json()["id"].clone();
    assert_eq!(events[0], json!({"event": "started", "sync": sync}));
    assert!(events.len() > 1, "{}", output.err);
    for progress in &events[1..] {
        assert_eq!((&progress["event"], &progress["sync"]), (&json!("progress"), &sync));
        assert!(progress["done"].is_u64() && progress["counts"]["listed"].is_u64(), "{progress}");
        assert_eq!(progress["total"], 1_500);
    }
}
