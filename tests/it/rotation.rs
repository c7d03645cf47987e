//! Encryption keys change while all processes run: secrets are sealed again with the new key, then the old one is
//! removed.

use std::process::{Command, Output};

use base64::{Engine, engine::general_purpose::STANDARD};
use longshore_db::Sealer;
use longshore_local::app::program;
use longshore_local::s3::{Op, When};
use longshore_model::Secret;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, StorageHandle, until};
use serde_json::json;

/// A fresh key under an id, as the environment has it.
fn key(id: &str) -> String {
    format!("{id}:{}", STANDARD.encode(rand::random::<[u8; 32]>()))
}

fn rotation(rig: &Rig, keys: &str) -> Command {
    let mut command = Command::new(program("longshore-scheduler").expect("the programs are built"));
    command.arg("rotate-keys").env_clear();
    command.env("DATABASE_URL", &rig.roles.database_url).env("LONGSHORE_SECRET_KEYS", keys);
    command
}

/// Output and exit code of a command.
fn read_output(output: &Output, keys: &str) -> (i32, String) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8(text).expect("text");
    for key in keys.split(',') {
        let (_, secret) = key.split_once(':').expect("an id and a key");
        assert!(!text.contains(secret), "{text}");
    }
    assert!(!text.contains(SECRET_ACCESS_KEY), "{text}");
    (output.status.code().expect("it ended by itself"), text)
}

async fn rotate(rig: &Rig, keys: &str) -> (i32, String) {
    let mut command = rotation(rig, keys);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    read_output(&output, keys)
}

/// The ids of the keys that sealed each storage, in the order of the storages.
async fn key_ids(rig: &Rig) -> Vec<String> {
    let query = "SELECT secrets_key_id FROM storages WHERE secrets IS NOT NULL ORDER BY id";
    rig.database().await.query(query, &[]).await.expect("storages").iter().map(|row| row.get(0)).collect()
}

/// Replaces the processes of a rig by ones that have these keys.
async fn restart_with(rig: &mut Rig, keys: &str) {
    let (scheduler, worker) = (rig.schedulers.remove(0), rig.workers.remove(0));
    rig.set_environment("LONGSHORE_SECRET_KEYS", keys);
    rig.add_scheduler().await;
    rig.add_worker().await;
    scheduler.stop().await.expect("the scheduler ends");
    worker.stop().await.expect("the worker ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_sealed_again_while_syncs_run_and_then_the_old_key_can_be_removed() {
    // A message for every page: each asks for the secrets again.
    let mut rig = Rig::with().env("LONGSHORE_QUANTUM_SECONDS", "0").start().await;
    let (old, new) = (rig.secret_keys().to_owned(), key("new"));
    let mut before = rig.images("before", 2_500).await;
    let sync = rig.sync(&before.storage).await;
    rig.check_first_sync(&before, sync).await;
    let mut during = rig.images("during", 2_500).await;
    let lost = rig.images("lost", 1).await;
    let db = rig.database().await;
    let lose = "UPDATE storages SET secrets_key_id = 'dropped' WHERE id = $1";
    db.execute(lose, &[&lost.storage.id]).await.expect("a key is lost");

    let both = format!("{new},{old}");
    restart_with(&mut rig, &both).await;
    let made_with_new = rig.images("after", 3).await;
    assert_eq!(key_ids(&rig).await, ["local", "local", "dropped", "new"]);

    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&during.storage).await;
    second_page.reached().await;
    let (code, text) = rotate(&rig, &both).await;
    assert_eq!(code, 1, "{text}");
    let expected = format!(
        "sealed again with key \"new\": the secrets of 2 storages\nalready sealed with this key: 1 storage\n\
         not changed: storage {}, whose secrets are sealed with key \"dropped\", which is not configured\n",
        lost.storage.id
    );
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!(key_ids(&rig).await, ["new", "new", "dropped", "new"]);
    second_page.release();
    rig.check_first_sync(&during, sync).await;

    // The user enters the secrets of the remaining storage again; a second run finds no other work.
    let secrets = json!({"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY});
    rig.patch(&lost.storage, secrets).await;
    let (code, text) = rotate(&rig, &both).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.starts_with("sealed again with key \"new\": the secrets of 0 storages\nalready sealed with this key: 4"),
        "{text}"
    );
    assert_eq!(key_ids(&rig).await, ["new"; 4]);

    restart_with(&mut rig, &new).await;
    for images in [&mut before, &mut during] {
        rig.check_next_sync(images).await;
    }
    for images in [&lost, &made_with_new] {
        let sync = rig.sync(&images.storage).await;
        rig.check_first_sync(images, sync).await;
    }
    let audited = "SELECT detail FROM audit WHERE action = 'keys.rotate'";
    let details: Vec<serde_json::Value> =
        db.query(audited, &[]).await.expect("the audit").iter().map(|row| row.get(0)).collect();
    assert_eq!(details, [json!({"key": "new", "storages": 2})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_changes_a_storage_while_keys_rotate_wins() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("tasks");
    let StorageHandle { id, .. } = rig.import_storage(rig.project().await, "tasks", json!({})).await;
    let keys = format!("{},{}", key("new"), rig.secret_keys());
    let name = longshore_db::storages::seal_name(id);
    // A process that still seals with the old key is about to commit other secrets.
    let sealer = Sealer::parse(&Secret::new(rig.secret_keys())).expect("the rig's keys");
    let changed = sealer.seal(&name, &Secret::new("{\"aws_secret_access_key\":\"changed\"}")).expect("sealed");
    let user = rig.database().await;
    user.batch_execute("BEGIN").await.expect("a transaction");
    let update = "UPDATE storages SET secrets = $2, secrets_key_id = $3 WHERE id = $1";
    user.execute(update, &[&id, &changed.bytes, &changed.key_id]).await.expect("a change");

    let mut command = rotation(&rig, &keys);
    let rotating = tokio::task::spawn_blocking(move || command.output());
    let watch = rig.database().await;
    until("the rotation waits for the user", || async {
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                        AND application_name = 'longshore-rotate-keys'";
        watch.query_opt(waiting, &[]).await.expect("the list of processes").map(drop)
    })
    .await;
    user.batch_execute("COMMIT").await.expect("the change");

    let (code, text) = read_output(&rotating.await.expect("no panic").expect("it starts"), &keys);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("sealed again with key \"new\": the secrets of 1 storage\n"), "{text}");
    let sealer = Sealer::parse(&Secret::new(keys)).expect("both keys");
    let sealed = sealed_of(&rig, id).await;
    assert_eq!(sealed.key_id, "new");
    assert!(sealer.open(&name, &sealed).expect("it opens").expose().contains("changed"));
}

async fn sealed_of(rig: &Rig, id: i64) -> longshore_db::SealedSecrets {
    let query = "SELECT secrets_key_id, secrets FROM storages WHERE id = $1";
    let row = rig.database().await.query_one(query, &[&id]).await.expect("a storage");
    longshore_db::SealedSecrets { key_id: row.get(0), bytes: row.get(1) }
}
