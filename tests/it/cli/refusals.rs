//! Mistakes on the command line: what is printed says what is wrong and what to do.

use longshore_rig::rig::Rig;

use super::{longshore, made};

/// Goal: a newcomer's mistake is answered in plain words. Method: mistakes of several sorts, with the environment that
/// `longshore-local` writes, whose variables clap would list as if they were required.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_on_the_command_line_has_one_line_and_one_hint() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    for (words, message, hint) in [
        ("storage create s4 --project P", "unknown storage kind: s4", "the kinds are: s3 ("),
        ("storage create gcs --project P --container c", "option --container does not apply", "use --bucket"),
        ("storage create azure --project P --bucket c", "option --bucket does not apply", "use --container"),
        ("storage create redis --project P --prefix c", "option --prefix does not apply", "use --path"),
        ("storage create localfiles --project P --prefix c", "option --prefix does not apply", "with --path"),
        ("storage create s3s --project P --access-key-id c", "does not apply to storages of kind s3s", "option of s3"),
        ("storage create s3 --project P --bukket c", "unknown option or argument: --bukket", "an option --bucket"),
        ("storage create s3 --project P", "missing: --bucket", "`longshore storage create s3 --help`"),
        ("storage create s3 --project P --bucket c --blob --can-delete", "does not apply to an import", "add --export"),
        (
            "storage create s3 --project P --bucket c --export --blob",
            "does not apply to an export",
            "leave --export out",
        ),
        ("sync fly", "unknown command: longshore sync fly", "the commands are: start, status"),
        ("sync", "`longshore sync` needs a command", "the commands are: start, status"),
        ("token create --name n --role boss", "invalid value 'boss'", "`longshore token create --help`"),
        (
            "storage create gcs --project P --bucket b --credentials-file /no/key.json",
            "`/no/key.json`",
            "path of a file",
        ),
        ("quarantine show 77", "quarantined object 77 not found", "quarantine list"),
    ] {
        let words = words.replace('P', &project.to_string());
        let refused = longshore(&rig, &words).await;
        let lines: Vec<&str> = refused.err.lines().collect();
        assert!(lines[0].starts_with("error: ") && lines[0].contains(message), "{words}: {}", refused.err);
        assert!(lines[1].starts_with("hint: ") && lines[1].contains(hint), "{words}: {}", refused.err);
        assert!(refused.code > 0 && !refused.err.contains("Usage:"), "{words}: {}", refused.err);
    }
    let route = super::run(super::command(&format!("{}/api", rig.url()), rig.token(), "project list")).await;
    assert!(route.err.contains("hint: LONGSHORE_URL or --url is the address alone"), "{}", route.err);
    let plain = rig.url().replace("http://", "https://");
    let plain = super::run(super::command(&plain, rig.token(), "project list")).await;
    assert!(plain.err.contains("this port speaks no TLS"), "{}", plain.err);
}

/// Goal: a table can be read without looking IDs up, and a twin title is noticed. Method: a storage and a project with
/// titles, and a second project of the same title.
#[tokio::test(flavor = "multi_thread")]
async fn tables_have_titles_beside_ids() {
    let rig = Rig::start().await;
    rig.s3.put("images", "a.json", "no JSON");
    let storage = made(&rig, "images", "--title pets").await;
    longshore(&rig, &format!("project update {} --title Cats", storage.project)).await;
    let sync = rig.sync_to_end(&storage).await;
    longshore(&rig, &format!("token create --name ci --project {}", storage.project)).await;
    let (pets, cats) = (format!("{} (pets)", storage.id), format!("{} (Cats)", storage.project));
    for (words, label) in [
        ("sync list", &pets),
        ("quarantine list", &pets),
        ("audit --action storage.create", &pets),
        ("audit --action storage.create", &cats),
        ("storage list", &cats),
        ("token list", &cats),
    ] {
        let shown = longshore(&rig, words).await;
        assert!(shown.out.contains(label), "{words}: {label} in {}{}", shown.out, shown.err);
    }
    let json = longshore(&rig, "sync list --json").await.json();
    assert_eq!(json["syncs"][0]["storage"], storage.id, "JSON is the answer of the API");

    let twin = longshore(&rig, "project create --title Cats").await;
    assert!(twin.code == 0 && twin.err.contains("another project has the title `Cats`"), "{}", twin.err);
    let ended = longshore(&rig, &format!("sync cancel {}", sync["id"])).await;
    assert!(ended.code == 0 && ended.err.contains("had ended before"), "{}", ended.err);
}
