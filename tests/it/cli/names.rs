//! Titles beside IDs.

use longshore_rig::rig::Rig;

use super::{command, longshore, run};

/// Goal: an ID need not be looked up. Method: every kind of command that asks for a project or storage gets a title with
/// spaces in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_and_a_storage_may_be_named_by_their_titles() {
    let rig = Rig::start().await;
    rig.s3.put("images", "a.png", "image");
    let with = async |words: &[&str]| {
        let mut command = command(&rig.url(), rig.token(), "");
        let s3 =
            [("S3_ENDPOINT", rig.s3.endpoint()), ("S3_ACCESS_KEY_ID", longshore_rig::rig::ACCESS_KEY_ID.to_owned())];
        command.args(words).envs(s3).env("S3_SECRET_ACCESS_KEY", longshore_rig::rig::SECRET_ACCESS_KEY);
        run(command).await
    };
    let project = with(&["project", "create", "--title", "Cats & dogs", "--json"]).await.json();
    let create = ["storage", "create", "s3", "--project", "Cats & dogs", "--title", "My pets", "--bucket", "images"];
    let storage = with(&[&create[..], &["--blob", "--json"]].concat()).await.json();
    assert_eq!(storage["project"], project["id"]);

    let followed = with(&["sync", "start", "My pets", "--follow"]).await;
    assert!(followed.code == 0 && followed.out.contains("created 1"), "{}{}", followed.out, followed.err);
    for words in [
        &["project", "show", "Cats & dogs"][..],
        &["storage", "list", "--project", "Cats & dogs"],
        &["storage", "show", "My pets"],
        &["storage", "validate", "My pets"],
        &["storage", "files", "My pets"],
        &["storage", "update", "My pets", "--recursive"],
        &["doctor", "My pets"],
        &["doctor", "--storage", "My pets"],
        &["task", "list", "--project", "Cats & dogs"],
        &["sync", "list", "--project", "Cats & dogs", "--storage", "My pets"],
        &["sync", "follow", "--storage", "My pets"],
        &["quarantine", "list", "--project", "Cats & dogs", "--storage", "My pets"],
        &["quarantine", "show", "--storage", "My pets"],
        &["quarantine", "replay", "--storage", "My pets"],
        &["audit", "--project", "Cats & dogs", "--storage", "My pets"],
        &["token", "create", "--name", "ci", "--project", "Cats & dogs"],
        &["top", "--once", "--project", "Cats & dogs", "--storage", "My pets"],
        &["storage", "delete", "My pets", "--yes"],
    ] {
        let output = with(words).await;
        assert_eq!(output.code, 0, "{words:?}: {}{}", output.out, output.err);
    }
    let missing = with(&["storage", "show", "My pets"]).await;
    assert!(missing.code == 1 && missing.err.starts_with("error: storage `My pets` not found"), "{}", missing.err);
}

/// Goal: a command never acts on the wrong one of two. Method: two storages and two projects of one title, and a title
/// that is a number.
#[tokio::test(flavor = "multi_thread")]
async fn a_title_of_several_is_refused_with_the_candidates() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("images");
    for _ in 0..2 {
        let project = longshore(&rig, "project create --title twins --json").await.json();
        let create = format!("storage create s3 --project {} --title pets --bucket images --json", project["id"]);
        longshore(&rig, &create).await.json();
    }
    let storages = longshore(&rig, "storage list --json").await.json();
    let refused = longshore(&rig, "storage delete pets").await;
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.starts_with("error: several storages have the title `pets`\nhint: "), "{}", refused.err);
    for storage in storages.as_array().expect("storages") {
        let candidate = format!("{} (s3 import of project {})", storage["id"], storage["project"]);
        assert!(refused.err.contains(&candidate), "{candidate} in {}", refused.err);
    }
    assert_eq!(longshore(&rig, "storage list --json").await.json(), storages, "nothing was deleted");

    let refused = longshore(&rig, "task list --project twins").await;
    assert!(refused.code == 2 && refused.err.contains("several projects have the title"), "{}", refused.err);
    let similar = longshore(&rig, "storage show Pets").await;
    assert!(similar.code == 1 && similar.err.contains("similar titles: "), "{}", similar.err);

    // A number is an ID, unless the user says that it is a title.
    longshore(&rig, "project create --title 2024 --json").await.json();
    assert_eq!(longshore(&rig, "project show 2024").await.code, 1);
    assert_eq!(longshore(&rig, "project show title:2024 --json").await.json()["title"], "2024");
}
