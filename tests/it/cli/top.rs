//! `longshore top`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use longshore_local::s3::Op;
use longshore_rig::rig::Rig;
use serde_json::{Value, json};

use super::{command, longshore, made};

/// Goal: running syncs are seen at a glance. Method: hold the listing of one sync, look once, and look again and again
/// through a pipe until Ctrl-C.
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

    let mut top = command(&rig.url(), rig.token(), "top --interval 1 --json");
    let mut top = top.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(top.stdout.take().expect("a pipe")).lines();
    let mut next =
        move || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    let ended = tokio::task::spawn_blocking(move || {
        assert_eq!(next()["syncs"][0]["sync"], sync);
        listing.release();
        while next()["syncs"].as_array().is_some_and(|syncs| !syncs.is_empty()) {}
        let pid = nix::unistd::Pid::from_raw(i32::try_from(top.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("it runs");
        top.wait().expect("it ends")
    });
    assert_eq!(ended.await.expect("no panic").code(), Some(0));
    rig.ended(sync).await;
}
