//! `longshore doctor`: all checks of a storage, and the policies and commands to paste.

use std::process::Command;

use longshore_local::app::program;
use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_rig::azurite::{self, Azurite};
use longshore_rig::gcs::{Gcs, Right};
use longshore_rig::rig::{Rig, SECRET_ACCESS_KEY, StorageHandle, until};
use serde_json::{Value, json};

const ORIGIN: &str = "https://labels.example.com";

/// Output and exit code of a command.
struct CommandOutput {
    code: i32,
    out: String,
    err: String,
}

async fn longshore(rig: &Rig, arguments: &str) -> CommandOutput {
    let mut command = Command::new(program("longshore").expect("the programs are built"));
    command.args(arguments.split_whitespace()).env("LONGSHORE_URL", rig.url()).env("LONGSHORE_TOKEN", rig.token());
    let redis: reqwest::Url = rig.stack.redis.url().parse().expect("a URL");
    command.env("REDIS_PASSWORD", redis.password().unwrap_or_default());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    CommandOutput {
        code: output.status.code().expect("it ended by itself"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Makes a storage by command and gives its id.
async fn create(rig: &Rig, words: &str) -> i64 {
    let output = longshore(rig, &format!("storage create {words} --json")).await;
    assert_eq!(output.code, 0, "{words}: {}{}", output.out, output.err);
    let made: Value = serde_json::from_str(&output.out).expect("JSON");
    made["id"].as_i64().expect("an id")
}

/// The steps of an examination by command, each as `name outcome`, and the answer.
async fn examined(rig: &Rig, id: i64, flags: &str) -> (i32, Vec<String>, Value) {
    let output = longshore(rig, &format!("doctor --storage {id} --json {flags}")).await;
    let answer: Value = serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{}{}", output.out, output.err));
    for secret in [SECRET_ACCESS_KEY, rig.token(), "Signature="] {
        assert!(!output.out.contains(secret) && !output.err.contains(secret), "{secret} in {}", output.out);
    }
    let steps = answer["steps"].as_array().expect("steps").iter();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let steps = steps.map(|step| format!("{} {}", word(&step["step"]), word(&step["outcome"]))).collect();
    assert_eq!(answer["ok"], output.code == 0, "{answer}");
    (output.code, steps, answer)
}

fn step<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let steps = answer["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name}: {answer}"))
}

/// All that a step says to paste.
fn pasted(answer: &Value, name: &str) -> String {
    let snippets = step(answer, name)["snippets"].as_array().expect("a list").iter();
    snippets.map(|snippet| snippet["text"].as_str().expect("a text")).collect::<Vec<_>>().join("\n")
}

/// A rig with an import storage on some objects.
async fn with_import() -> (Rig, StorageHandle) {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.put_many("pics", ["train/a.png", "train/b.txt", "train/deep/c.png"].map(|key| (key, "content")));
    let settings =
        json!({"prefix": "train", "recursive_scan": false, "regex_filter": r".*\.png", "use_blob_urls": true});
    let storage = rig.import_storage(rig.project().await, "pics", settings).await;
    (rig, storage)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_working_import_and_export_is_reported_as_ok() {
    let (rig, import) = with_import().await;
    rig.s3.allow_origin(ORIGIN);
    let (code, steps, answer) = examined(&rig, import.id, &format!("--origin {ORIGIN}/")).await;
    let expected = [
        "settings ok",
        "resolve ok",
        "connect ok",
        "tls skipped",
        "credentials ok",
        "list ok",
        "paging ok",
        "get ok",
        "presign ok",
        "fetch ok",
        "cors ok",
    ];
    assert_eq!((code, steps), (0, expected.map(str::to_owned).to_vec()), "{answer}");
    assert_eq!(step(&answer, "list")["note"], "2 keys on the first page; a sync takes 1 of them");

    let output = longshore(&rig, &format!("doctor --storage {} --origin {ORIGIN}", import.id)).await;
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    assert!(output.out.starts_with(&format!("Storage {}: s3 import\nok       settings ", import.id)), "{}", output.out);

    rig.s3.create_bucket("out");
    rig.s3.clear_calls();
    let export = rig.export_storage(import.project, "out", json!({"prefix": "done"})).await;
    let (code, steps, answer) = examined(&rig, export.id, "").await;
    let expected = ["settings ok", "resolve ok", "connect ok", "tls skipped", "credentials ok", "put ok", "delete ok"];
    assert_eq!((code, steps), (0, expected.map(str::to_owned).to_vec()), "{answer}");
    assert!(rig.s3.calls().iter().any(|call| call.key.starts_with("done/.longshore-doctor-")));
    assert!(rig.s3.objects("out").is_empty(), "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_reported_with_the_policy_that_grants_it() {
    let (rig, import) = with_import().await;
    let denied = || Fault::Error(S3ErrorCode::AccessDenied);
    rig.s3.fail(Op::List, denied());
    let (code, steps, answer) = examined(&rig, import.id, "").await;
    assert_eq!(code, 1);
    assert_eq!(steps[4..7], ["credentials ok", "list failed", "paging skipped"], "{answer}");
    assert_eq!(step(&answer, "list")["code"], "access_denied");
    let policy: Value = serde_json::from_str(&pasted(&answer, "list")).expect("a policy is JSON");
    assert_eq!(policy["Statement"][0]["Action"], "s3:ListBucket");
    assert_eq!(policy["Statement"][0]["Resource"], "arn:aws:s3:::pics");
    assert_eq!(policy["Statement"][1]["Resource"], "arn:aws:s3:::pics/train/*");
    let output = longshore(&rig, &format!("doctor --storage {}", import.id)).await;
    assert_eq!(output.code, 1);
    assert!(output.out.contains("failed   list         [access_denied] The storage denied access"), "{}", output.out);
    assert!(output.out.contains("arn:aws:s3:::pics/train/*"), "{}", output.out);

    rig.s3.clear_faults();
    rig.s3.fail(Op::Get, denied());
    let (_, steps, answer) = examined(&rig, import.id, "").await;
    assert_eq!(steps[5..10], ["list ok", "paging ok", "get failed", "presign ok", "fetch failed"], "{answer}");
    assert!(pasted(&answer, "get").contains("s3:GetObject"));

    rig.s3.clear_faults();
    rig.s3.create_bucket("out");
    let settings = json!({"can_delete_objects": true, "aws_sse_kms_key_id": "key-1"});
    let export = rig.export_storage(import.project, "out", settings).await;
    rig.s3.fail(Op::Put, denied());
    let (code, steps, answer) = examined(&rig, export.id, "").await;
    assert_eq!((code, &steps[4..]), (1, &["credentials ok", "put failed", "delete skipped"].map(str::to_owned)[..]));
    let policy = pasted(&answer, "put");
    for part in ["s3:PutObject", "s3:DeleteObject", "arn:aws:s3:::out/*", "kms:GenerateDataKey", "key/key-1"] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    rig.s3.clear_faults();
    rig.s3.fail(Op::Delete, denied());
    assert_eq!(examined(&rig, export.id, "").await.1[5..], ["put ok", "delete failed"], "it is to delete");
    rig.patch(&export, json!({"can_delete_objects": false})).await;
    assert_eq!(examined(&rig, export.id, "").await.1[5..], ["put ok", "delete ok"], "the right is not needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_cors_refusals_without_a_browser() {
    let (rig, import) = with_import().await;
    let origin = format!("--origin {ORIGIN}");
    let (code, steps, answer) = examined(&rig, import.id, &origin).await;
    assert_eq!(code, 1);
    assert_eq!(steps[9..], ["fetch ok", "cors failed"], "{answer}");
    assert_eq!(step(&answer, "cors")["code"], "cors_refused");
    let rules = pasted(&answer, "cors");
    for part in [ORIGIN, "\"GET\"", "put-bucket-cors --bucket 'pics'"] {
        assert!(rules.contains(part), "{part} in {rules}");
    }
    rig.s3.allow_origin("https://others.example.com");
    assert_eq!(examined(&rig, import.id, &origin).await.0, 1, "another's rule is none");
    rig.s3.allow_origin(ORIGIN);
    assert_eq!(examined(&rig, import.id, &origin).await.0, 0);

    let output = longshore(&rig, &format!("doctor --storage {} --origin labels.example.com", import.id)).await;
    assert!(output.code == 1 && output.err.contains("origin: Send an origin such as"), "{}", output.err);
    rig.patch(&import, json!({"presign": false})).await;
    assert_eq!(examined(&rig, import.id, &origin).await.1[8..], ["presign skipped", "fetch skipped", "cors skipped"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_step_that_fails_is_the_one_that_is_blamed() {
    let (rig, import) = with_import().await;
    let skipped = |steps: &[String]| steps.iter().all(|step| step.ends_with(" skipped"));
    for (fault, code) in [
        (S3ErrorCode::SignatureDoesNotMatch, "wrong_secret_key"),
        (S3ErrorCode::ExpiredToken, "expired_credentials"),
        (S3ErrorCode::RequestTimeTooSkewed, "clock_skew"),
    ] {
        rig.s3.fail(When::any(), Fault::Error(fault));
        let (_, steps, answer) = examined(&rig, import.id, "").await;
        assert_eq!(steps[4], "credentials failed", "{answer}");
        assert_eq!(step(&answer, "credentials")["code"], code);
        assert!(skipped(&steps[5..]), "{steps:?}");
        rig.s3.clear_faults();
    }
    rig.s3.fail(Op::List, Fault::Error(S3ErrorCode::PermanentRedirect));
    let (_, steps, answer) = examined(&rig, import.id, "").await;
    assert_eq!(steps[4..6], ["credentials skipped", "list failed"], "{answer}");
    assert_eq!(step(&answer, "list")["code"], "wrong_region");
    rig.s3.clear_faults();

    // The bucket may have changed after the storage was saved.
    let db = rig.database().await;
    let closed = longshore_local::ports::free().expect("a port");
    for (endpoint, failed, code) in [
        ("http://longshore.invalid".to_owned(), "resolve", "unreachable"),
        ("http://10.255.255.1".to_owned(), "resolve", "blocked_address"),
        (format!("http://127.0.0.1:{closed}"), "connect", "unreachable"),
        (rig.s3.endpoint().replace("http:", "https:"), "tls", "tls"),
    ] {
        db.execute(
            "UPDATE storages SET settings = jsonb_set(settings, '{s3_endpoint}', to_jsonb($2::text)) WHERE id = $1",
            &[&import.id, &endpoint],
        )
        .await
        .expect("a storage");
        let (exit, steps, answer) = examined(&rig, import.id, "").await;
        assert_eq!((exit, &step(&answer, failed)["code"]), (1, &json!(code)), "{endpoint}: {answer}");
        let at = steps.iter().position(|step| *step == format!("{failed} failed")).expect("it failed");
        assert!(skipped(&steps[at + 1..]), "{steps:?}");
    }
    let output = longshore(&rig, "doctor --storage 777").await;
    assert_eq!(
        (output.code, output.err.as_str()),
        (
            1,
            "error: storage 777 not found, or this token cannot access it\nhint: `longshore storage list` shows the storages of this token\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_examines_local_folders_and_redis_with_their_own_steps() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("doctor-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("pics")).expect("a folder");
    std::fs::write(folder.join("pics/a.json"), r#"{"image": "i"}"#).expect("a file");
    let rig = Rig::with()
        .workers(0)
        .env("LOCAL_FILES_SERVING_ENABLED", "true")
        .env("LOCAL_FILES_DOCUMENT_ROOT", folder.to_str().expect("a plain path"))
        .start()
        .await;
    let project = rig.project().await;
    let path = folder.join("pics");
    let files = format!("localfiles --project {project} --path {}", path.display());
    let import = create(&rig, &format!("{files} --recursive")).await;
    let (code, steps, answer) = examined(&rig, import, "").await;
    assert_eq!(code, 0, "{answer}");
    assert_eq!(steps[1..5], ["resolve skipped", "connect skipped", "tls skipped", "credentials ok"]);
    assert_eq!(steps[5..9], ["list ok", "paging skipped", "get ok", "presign skipped"]);
    let export = create(&rig, &format!("{files} --export")).await;
    let (_, steps, answer) = examined(&rig, export, "").await;
    assert_eq!(steps[5..], ["put ok", "delete ok"], "{answer}");
    assert_eq!(std::fs::read_dir(&path).expect("a folder").count(), 1, "nothing is left");

    let url: reqwest::Url = rig.stack.redis.url().parse().expect("a URL");
    let (host, port) = (url.host_str().expect("a host"), url.port().expect("a port"));
    let redis = format!("redis --project {project} --host {host} --port {port} --db 0 --path doctor:");
    let import = create(&rig, &redis).await;
    let (code, steps, answer) = examined(&rig, import, "").await;
    assert_eq!(code, 0, "{answer}");
    assert_eq!(steps[1..6], ["resolve ok", "connect ok", "tls skipped", "credentials ok", "list ok"]);
    assert_eq!(steps[8], "presign skipped");
    let export = create(&rig, &format!("{redis} --export")).await;
    let (_, steps, answer) = examined(&rig, export, "").await;
    assert_eq!(steps[5..], ["put ok", "delete ok"], "{answer}");
    std::fs::remove_dir_all(&folder).ok();

    rig.schedulers[0].stop().await.expect("it ends");
    until("the API is gone", || async { reqwest::get(rig.url()).await.is_err().then_some(()) }).await;
    assert_eq!(longshore(&rig, &format!("doctor --storage {import}")).await.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_examines_other_clouds_and_prints_their_own_commands() {
    let (gcs, azurite) = (Gcs::start().await, Azurite::shared().await);
    gcs.create_bucket("pics").await;
    gcs.put("pics", "a.png", b"content").await;
    let container = azurite.create_container("doctor").await;
    azurite.put(&container, "a.png", b"content").await;
    let rig = Rig::with().workers(0).env("STORAGE_EMULATOR_HOST", gcs.endpoint()).start().await;
    let project = rig.project().await;
    let on_gcs = |key_file: Value| json!({"project": project, "bucket": "pics", "google_application_credentials": key_file.to_string()});
    let on_azure = json!({
        "project": project, "container": container, "endpoint": azurite.endpoint(),
        "account_name": azurite::ACCOUNT, "account_key": azurite::KEY,
    });
    for (kind, settings) in [("gcs", on_gcs(gcs.key_file())), ("azure", on_azure)] {
        let import = rig.post(&format!("/api/storages/{kind}"), settings.clone()).await["id"].as_i64().expect("an id");
        let (code, steps, answer) = examined(&rig, import, "").await;
        assert_eq!(code, 0, "{answer}");
        assert_eq!(steps[1..3], ["resolve ok", "connect ok"], "{answer}");
        assert_eq!(steps[4..7], ["credentials ok", "list ok", "paging ok"]);
        assert_eq!(steps[7..], ["get ok", "presign ok", "fetch ok", "cors skipped"]);
        assert!(!answer.to_string().contains(azurite::KEY) && !answer.to_string().contains("PRIVATE KEY"));
        let (_, steps, answer) = examined(&rig, import, &format!("--origin {ORIGIN}")).await;
        assert_eq!(steps[10], "cors failed", "there are no rules: {answer}");
        assert!(pasted(&answer, "cors").contains(ORIGIN), "{answer}");
        let export = rig.post(&format!("/api/storages/export/{kind}"), settings).await["id"].as_i64().expect("an id");
        assert_eq!(examined(&rig, export, "").await.1[4..], ["credentials ok", "put ok", "delete ok"]);
    }
    // An import storage can be created with only the right to list.
    let list_only = on_gcs(gcs.key_file_with("lister", &[Right::List]));
    let import = rig.post("/api/storages/gcs", list_only).await["id"].as_i64().expect("an id");
    let (_, steps, answer) = examined(&rig, import, "").await;
    assert_eq!(steps[5..8], ["list ok", "paging ok", "get failed"], "{answer}");
    assert!(
        pasted(&answer, "get").contains("'gs://pics'") && pasted(&answer, "get").contains("objectViewer"),
        "{answer}"
    );
}
