//! The command-line client, as a person and as a script use it.

mod deletions;
mod everyday;
mod json;
mod names;
mod profiles;
mod refusals;
mod top;

use std::process::{Command, Output};

use longshore_local::app::program;
use longshore_local::s3::Op;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, StorageHandle};
use serde_json::{Value, json};

/// Output and exit code of a command.
struct CommandOutput {
    code: i32,
    out: String,
    err: String,
}

impl CommandOutput {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// The JSON output of a successful command.
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

fn command(url: &str, token: &str, arguments: &str) -> Command {
    let mut command = Command::new(program("longshore").expect("the programs are built"));
    command.args(arguments.split_whitespace()).env("LONGSHORE_URL", url).env("LONGSHORE_TOKEN", token);
    for variable in ["S3_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_SESSION_TOKEN"] {
        command.env_remove(variable);
    }
    command
}

/// Runs `longshore` with these words, the first token and the rig's S3 server in the environment.
async fn longshore(rig: &Rig, arguments: &str) -> CommandOutput {
    let mut command = command(&rig.url(), rig.token(), arguments);
    command.env("S3_ENDPOINT", rig.s3.endpoint());
    command.env("S3_ACCESS_KEY_ID", ACCESS_KEY_ID).env("S3_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    run(command).await
}

async fn run(mut command: Command) -> CommandOutput {
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    CommandOutput::of(&output)
}

/// A project and an import storage made by commands.
async fn made(rig: &Rig, bucket: &str, flags: &str) -> StorageHandle {
    let project = longshore(rig, "project create --title images --json").await.json();
    let project = project["id"].as_i64().expect("an id");
    let create = format!("storage create s3 --project {project} --bucket {bucket} --recursive {flags} --json");
    let storage = longshore(rig, &create).await.json();
    StorageHandle { id: storage["id"].as_i64().expect("an id"), project, path: "/api/storages/s3" }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_sync_needs_three_commands() {
    let rig = Rig::start().await;
    rig.s3.put_many("images", (0..1_200).map(|n| (format!("{n:04}.png"), "image")));
    let storage = made(&rig, "images", "--blob").await;
    let id = storage.id;

    let followed = longshore(&rig, &format!("sync start {id} --follow")).await;
    assert_eq!(followed.code, 0, "{}{}", followed.out, followed.err);
    assert!(followed.out.contains("completed") && followed.out.contains("created 1,200"), "{}", followed.out);
    assert!(followed.err.contains("was started"), "{}", followed.err);

    let list = longshore(&rig, &format!("sync list --storage {id} --json")).await.json();
    let sync = rig.ended(list["syncs"][0]["id"].as_i64().expect("an id")).await;
    let expected = one_each((0..1_200).map(|n| format!("{n:04}.png")));
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);

    // For people: a table; for scripts: the API's own answer.
    let status = longshore(&rig, &format!("sync status {}", sync["id"])).await;
    assert!(status.code == 0 && status.out.contains("JOB") && status.out.contains("import"), "{}", status.out);
    let status = longshore(&rig, &format!("sync status {} --json", sync["id"])).await.json();
    assert_eq!((&status["status"], &status["counts"]), (&json!("completed"), &sync["counts"]));
    let again = longshore(&rig, &format!("sync start {id} --follow --json")).await.json();
    assert_eq!((&again["counts"]["created"], &again["counts"]["existed"]), (&json!(0), &json!(1_200)));

    let storages = longshore(&rig, "storage list").await;
    assert!(storages.out.contains("PLACE") && storages.out.contains("images"), "{}", storages.out);
    let shown = longshore(&rig, &format!("storage show {id} --json")).await.json();
    assert_eq!((&shown["bucket"], &shown["use_blob_urls"]), (&json!("images"), &json!(true)));
    assert_eq!(longshore(&rig, &format!("storage validate {id}")).await.out, "The connection works.\n");
    assert_eq!(longshore(&rig, &format!("storage delete {id} --yes")).await.code, 0);
    assert_eq!(longshore(&rig, "storage list --json").await.json(), json!([]));
    for output in [followed, storages] {
        assert!(!output.out.contains(SECRET_ACCESS_KEY) && !output.err.contains(SECRET_ACCESS_KEY));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn following_a_cancelled_sync_exits_with_code_1() {
    let rig = Rig::start().await;
    rig.s3.put("images", "a.png", "image");
    let storage = made(&rig, "images", "--blob").await;
    let listing = rig.s3.hold(Op::List);
    let follower = command(&rig.url(), rig.token(), &format!("sync start {} --follow", storage.id));
    let (followed, cancelled) = tokio::join!(run(follower), async {
        listing.reached().await;
        let list = longshore(&rig, "sync list --json --limit 1").await.json();
        longshore(&rig, &format!("sync cancel {} --json", list["syncs"][0]["id"])).await.json()
    });
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(followed.code, 1, "{}{}", followed.out, followed.err);
    assert!(followed.out.contains("cancelled"), "{}", followed.out);
    listing.release();
    let retried = longshore(&rig, &format!("sync retry {} --follow --json", cancelled["id"])).await.json();
    rig.check_import(&storage, &retried, &one_each(["a.png"]), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantine_is_listed_replayed_and_discarded() {
    let rig = Rig::start().await;
    rig.s3.put("tasks", "good.json", r#"{"image": "i"}"#);
    rig.s3.put("tasks", "bad.json", "{\"image\":");
    rig.s3.put("tasks", "worse.json", "");
    let storage = made(&rig, "tasks", "").await;
    let id = storage.id;
    let followed = longshore(&rig, &format!("sync start {id} --follow")).await;
    assert_eq!(followed.code, 3, "{}{}", followed.out, followed.err);

    let list = longshore(&rig, &format!("quarantine list --storage {id}")).await;
    for word in ["bad.json", "invalid_json", "worse.json", "empty", "REASON"] {
        assert!(list.out.contains(word), "{word} in {}", list.out);
    }
    let bad = longshore(&rig, &format!("quarantine list --storage {id} --reason invalid_json --json")).await.json();
    assert_eq!(bad["quarantine"].as_array().map(Vec::len), Some(1), "{bad}");

    rig.s3.put("tasks", "bad.json", r#"{"image": "fixed"}"#);
    let replayed = longshore(&rig, &format!("quarantine replay {} --json", bad["quarantine"][0]["id"])).await.json();
    assert_eq!(replayed["count"], 1);
    let sync = rig.ended(replayed["syncs"][0].as_i64().expect("an id")).await;
    rig.check_import(&storage, &sync, &one_each(["good.json", "bad.json"]), &["worse.json"]).await;
    let given_up = longshore(&rig, &format!("quarantine discard --storage {id} --reason empty --json")).await.json();
    assert_eq!(given_up["count"], 1);
    let left = longshore(&rig, &format!("quarantine list --storage {id} --state open")).await;
    assert_eq!(left.out, "(none)\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_a_message_and_an_exit_code() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("images");
    let project = rig.project().await;
    let create = format!("storage create s3 --project {project}");

    let missing = longshore(&rig, &format!("{create} --bucket nowhere")).await;
    assert_eq!(missing.code, 1);
    let advice = "error: The bucket does not exist. Check its name, the region and the endpoint. The server answered";
    assert!(missing.err.starts_with(advice), "{}", missing.err);
    let dry = longshore(&rig, &format!("{create} --bucket images --dry-run")).await;
    assert_eq!((dry.code, dry.out.as_str()), (0, "The connection works.\n"));
    assert_eq!(longshore(&rig, "storage list").await.out, "(none)\n");

    let absent = longshore(&rig, "sync start 77").await;
    assert_eq!((absent.code, absent.out.as_str()), (1, ""));
    assert_eq!(
        absent.err,
        "error: storage 77 not found, or this token cannot access it\nhint: `longshore storage list` shows the storages of this token\n"
    );
    let absent = longshore(&rig, "sync status 77").await;
    assert!(absent.err.contains("There is no sync 77") && absent.err.contains("[not_found]"), "{}", absent.err);

    let stranger = run(command(&rig.url(), "not-a-token", "project list")).await;
    assert_eq!(stranger.code, 1);
    assert!(stranger.err.contains("refused the token") && !stranger.err.contains("not-a-token"), "{}", stranger.err);
    let closed_port = format!("http://127.0.0.1:{}", longshore_local::ports::free().expect("a port"));
    let unreachable = run(command(&closed_port, rig.token(), "project list")).await;
    assert_eq!(unreachable.code, 1);
    assert!(unreachable.err.contains("check that the scheduler runs"), "{}", unreachable.err);
    let other = run(command(&rig.s3.endpoint(), rig.token(), "project list")).await;
    assert!(other.code == 1 && other.err.contains("not a Longshore response"), "{}", other.err);

    for wrong in ["sync start", "storage create s3 --bucket x", "sync follow", "doctor", "fly", "quarantine replay"] {
        let output = longshore(&rig, wrong).await;
        assert_eq!(output.code, 2, "{wrong}: {}{}", output.out, output.err);
    }
    let help = longshore(&rig, "--help").await;
    assert!(help.code == 0 && help.out.contains("Exit codes") && !help.out.contains(rig.token()), "{}", help.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_token_works_until_it_is_deleted() {
    let rig = Rig::with().workers(0).start().await;
    let made = longshore(&rig, "token create --name ci --role read --json").await.json();
    let token = made["token"].as_str().expect("the token").to_owned();
    assert_eq!(run(command(&rig.url(), &token, "project list --json")).await.json()["count"], 0);
    let refused = run(command(&rig.url(), &token, "project create --title mine")).await;
    assert!(refused.code == 1 && refused.err.contains("[forbidden]"), "{}", refused.err);
    let list = longshore(&rig, "token list").await;
    assert!(list.out.contains("ci") && !list.out.contains(&token), "{}", list.out);
    assert_eq!(longshore(&rig, &format!("token delete {}", made["id"])).await.code, 0);
    let output = run(command(&rig.url(), &token, "project list")).await;
    assert!(output.code == 1 && output.err.contains("refused the token"), "{}", output.err);
}
