//! `longshore top`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use longshore_local::s3::Op;
use longshore_rig::rig::Rig;
use serde_json::{Value, json};

use super::{command, longshore, made};

/// Goal: running syncs are seen at a glance. Method: hold the listing of one sync, look once, without a terminal, and again and
/// again through a pipe until Ctrl-C.
#[tokio::test(flavor = "multi_thread")]
async fn top_shows_running_syncs_until_ctrl_c() {
    let rig = Rig::start().await;
    rig.s3.put_many("images", (0..1_200).map(|n| (format!("{n:04}.png"), "image")));
    let storage = made(&rig, "images", "--blob --title pets").await;
    rig.sync_to_end(&storage).await;
    let idle = longshore(&rig, "top --once").await;
    assert_eq!((idle.code, idle.out.as_str()), (0, "No sync is running.\n"), "{}", idle.err);

    let listing = rig.s3.hold(Op::List);
    let sync = rig.sync(&storage).await;
    listing.reached().await;
    let once = longshore(&rig, "top --once").await;
    for word in ["SYNC", "PROGRESS", "pets", "in_progress", "0%"] {
        assert!(once.out.contains(word), "{word} in {}{}", once.out, once.err);
    }
    let once = longshore(&rig, "top --once --json").await.json();
    let [shown] = once["syncs"].as_array().expect("syncs").as_slice() else { panic!("one sync: {once}") };
    assert_eq!((&shown["sync"], &shown["total"], &shown["title"]), (&json!(sync), &json!(1_200), &json!("pets")));

    // A script that reads its output does not wait forever.
    let piped = longshore(&rig, "top").await;
    assert!(piped.code == 0 && piped.out.matches("pets").count() == 1, "{}{}", piped.out, piped.err);

    let mut top = command(&rig.url(), rig.token(), "top --interval 1 --json");
    let mut top = top.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(top.stdout.take().expect("a pipe")).lines();
    let mut next =
        move || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    let ended = tokio::task::spawn_blocking(move || {
        assert_eq!(next()["syncs"][0]["sync"], sync);
        listing.release();
        while next()["syncs"].as_array().is_some_and(|syncs| !syncs.is_empty()) {}
        interrupt(&top);
        top.wait().expect("it ends")
    });
    assert_eq!(ended.await.expect("no panic").code(), Some(0));
    rig.ended(sync).await;
}

/// Goal: Ctrl-C ends only the display. Method: interrupt a command that follows a held sync, then let the sync go on.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_display_of_a_sync_and_not_the_sync() {
    let rig = Rig::start().await;
    rig.s3.put("images", "a.png", "image");
    let storage = made(&rig, "images", "--blob").await;
    let listing = rig.s3.hold(Op::List);
    let mut command = command(&rig.url(), rig.token(), &format!("sync start {} --follow --json", storage.id));
    let mut follower = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    listing.reached().await;
    let ended = tokio::task::spawn_blocking(move || {
        // The second event comes from within the loop that can be interrupted.
        let events = BufReader::new(follower.stderr.take().expect("a pipe")).lines();
        let events: Vec<Value> =
            events.take(2).map(|line| serde_json::from_str(&line.expect("text")).expect("JSON")).collect();
        interrupt(&follower);
        (events, follower.wait().expect("it ends"))
    });
    let (events, status) = ended.await.expect("no panic");
    assert_eq!((&events[0]["event"], &events[1]["event"]), (&json!("started"), &json!("progress")));
    assert_eq!(status.code(), Some(130));
    listing.release();
    assert_eq!(rig.ended(events[0]["sync"].as_i64().expect("an id")).await["status"], "completed");
}

fn interrupt(program: &Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(program.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("it runs");
}
