//! S3 with every credential source, and with both address styles. Each time a real worker imports with that source
//! only.

mod credential_server;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use longshore_local::s3::{AccessKey, Op, Options, S3Server};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, RigOptions, SECRET_ACCESS_KEY, StorageHandle};
use serde_json::{Value, json};

use credential_server::{CredentialServer, IDENTITY, KEY, Metadata, ROLE, SECRET, TOKEN, bucket_server};

const IMPORT: &str = "/api/storages/s3";

/// Options for processes that ignore the profile files of this machine.
fn without_profiles() -> RigOptions {
    let nowhere = "/nonexistent/aws";
    Rig::with().env("AWS_SHARED_CREDENTIALS_FILE", nowhere).env("AWS_CONFIG_FILE", nowhere)
}

/// A file of one test, removed with it.
struct TempFile(PathBuf);

impl TempFile {
    fn new(text: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos();
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{now}", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path of plain characters")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Settings without keys.
fn keyless(project: i64, endpoint: &str) -> Value {
    json!({
        "project": project, "bucket": "pics", "s3_endpoint": endpoint, "recursive_scan": true, "use_blob_urls": true,
    })
}

async fn create(rig: &Rig, settings: Value) -> StorageHandle {
    let project = settings["project"].as_i64().expect("an id");
    let storage = rig.post(IMPORT, settings).await;
    StorageHandle { id: storage["id"].as_i64().expect("an id"), project, path: IMPORT }
}

/// Imports with a storage without keys, and checks which access key signed.
async fn imports_as_what_was_handed_out(rig: &Rig, server: &S3Server) {
    server.put_many("pics", ["a.png", "b/c.png"].map(|key| (key, "x")));
    let storage = create(rig, keyless(rig.project().await, &server.endpoint())).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &one_each(["a.png", "b/c.png"]), &[]).await;
    assert!(server.calls().iter().all(|call| call.access_key.as_deref() == Some(KEY)));
    let logs = rig.logs();
    for secret in [SECRET, TOKEN, IDENTITY] {
        assert!(!logs.contains(secret), "{secret} in a log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_with_a_session_token_import() {
    let server = bucket_server().await;
    server.put("pics", "a.png", "x");
    let rig = without_profiles().start().await;
    let mut settings = keyless(rig.project().await, &server.endpoint());
    settings["aws_access_key_id"] = json!(KEY);
    settings["aws_secret_access_key"] = json!(SECRET);
    let (status, body) = rig.call("POST", IMPORT, Some(settings.clone())).await;
    assert_eq!((status, &body["code"]), (400, &json!("unknown_access_key")), "temporary keys need their token: {body}");
    settings["aws_session_token"] = json!("another");
    let (status, body) = rig.call("POST", IMPORT, Some(settings.clone())).await;
    assert_eq!((status, &body["code"]), (400, &json!("expired_credentials")), "{body}");

    settings["aws_session_token"] = json!(TOKEN);
    let storage = create(&rig, settings).await;
    let sync = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &sync, &one_each(["a.png"]), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_the_environment_import() {
    let server = bucket_server().await;
    let rig = without_profiles()
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_SESSION_TOKEN", TOKEN)
        .start()
        .await;
    imports_as_what_was_handed_out(&rig, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_the_shared_file_imports() {
    let server = bucket_server().await;
    let file = TempFile::new(&format!(
        "[default]\naws_access_key_id = AKIANOBODY\naws_secret_access_key = nothing\n\n[labels]\n\
         aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
    ));
    let rig = Rig::with()
        .env("AWS_CONFIG_FILE", "/nonexistent/aws")
        .env("AWS_SHARED_CREDENTIALS_FILE", file.path())
        .env("AWS_PROFILE", "labels")
        .start()
        .await;
    imports_as_what_was_handed_out(&rig, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_needs_what_longshore_lacks_is_refused_with_its_name() {
    let server = bucket_server().await;
    let file = TempFile::new("[profile tools]\ncredential_process = /bin/false\n");
    let rig = Rig::with()
        .workers(0)
        .env("AWS_CONFIG_FILE", file.path())
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/aws")
        .env("AWS_PROFILE", "tools")
        .start()
        .await;
    let settings = keyless(rig.project().await, &server.endpoint());
    // The SDK reports a faulty profile once; every answer has to name it.
    for _ in 0..2 {
        let (status, body) = rig.call("POST", IMPORT, Some(settings.clone())).await;
        assert_eq!((status, &body["code"]), (400, &json!("missing_credentials")), "{body}");
        assert!(body["detail"].as_str().expect("a text").contains("(`credential_process`)"), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_imports() {
    let (server, credential_server) = (bucket_server().await, CredentialServer::start(Metadata::Forbidden).await);
    let token = TempFile::new(IDENTITY);
    let rig = web_identity(&credential_server, token.path()).start().await;
    imports_as_what_was_handed_out(&rig, &server).await;
    assert!(
        credential_server.requests().iter().all(|line| line == "POST /"),
        "STS alone is asked: {:?}",
        credential_server.requests()
    );
}

fn web_identity(credential_server: &CredentialServer, token_file: &str) -> RigOptions {
    without_profiles()
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ENDPOINT_URL_STS", &credential_server.url)
        .env("AWS_ROLE_ARN", ROLE)
        .env("AWS_ROLE_SESSION_NAME", "longshore")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", token_file)
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &credential_server.url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_that_sts_refuses_is_reported_as_the_operators_problem() {
    let (server, credential_server) = (bucket_server().await, CredentialServer::start(Metadata::Forbidden).await);
    server.create_bucket("pics");
    let token = TempFile::new("somebody-elses-identity");
    let rig = web_identity(&credential_server, token.path()).workers(0).start().await;
    let body = refused(&rig, &server).await;
    assert_eq!(body["code"], "no_identity", "{body}");
    assert!(!rig.logs().contains("somebody-elses-identity"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_of_a_container_imports() {
    let (server, credential_server) = (bucket_server().await, CredentialServer::start(Metadata::Forbidden).await);
    let rig = without_profiles()
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/container", credential_server.url))
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", IDENTITY)
        .start()
        .await;
    imports_as_what_was_handed_out(&rig, &server).await;
    assert!(credential_server.requests().contains(&"GET /container".to_owned()));
}

/// Processes whose only source is the metadata service.
fn instance(credential_server: &CredentialServer) -> RigOptions {
    without_profiles().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &credential_server.url)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_an_instance_imports_by_the_second_version_of_its_metadata() {
    let (server, credential_server) = (bucket_server().await, CredentialServer::start(Metadata::Second).await);
    let rig = instance(&credential_server).start().await;
    imports_as_what_was_handed_out(&rig, &server).await;
    assert!(
        credential_server.requests().contains(&"PUT /latest/api/token".to_owned()),
        "{:?}",
        credential_server.requests()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_or_version_1_metadata_service_means_missing_credentials() {
    for metadata in [Metadata::Forbidden, Metadata::FirstOnly] {
        let (server, credential_server) = (bucket_server().await, CredentialServer::start(metadata).await);
        server.create_bucket("pics");
        let rig = instance(&credential_server).workers(0).start().await;
        let body = refused(&rig, &server).await;
        assert_eq!(body["code"], "missing_credentials", "{body}");
        assert!(body["detail"].as_str().is_some_and(|advice| advice.contains("access key ID")), "{body}");
        let asked = credential_server.requests();
        assert!(asked.contains(&"PUT /latest/api/token".to_owned()), "{asked:?}");
        assert!(!asked.iter().any(|line| line.starts_with("GET ")), "nothing is asked without a token: {asked:?}");
        assert!(server.calls().is_empty(), "no request is signed");
    }
}

/// The answer of the API to a storage without keys.
async fn refused(rig: &Rig, server: &S3Server) -> Value {
    let settings = keyless(rig.project().await, &server.endpoint());
    let (status, body) = rig.call("POST", &format!("{IMPORT}/validate"), Some(settings)).await;
    assert_eq!(status, 400, "{body}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_reached_by_its_own_host_as_well_as_by_a_path() {
    let rig = Rig::start().await;
    let keys = ["a b+c.png", "d//e.png"];
    let project = rig.project().await;
    let server = S3Server::start(Options {
        access_keys: vec![AccessKey::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY)],
        ..Options::default()
    })
    .await
    .expect("an S3 server");
    server.put_many("pics", keys.map(|key| (key, "x")));
    server.create_bucket("out");
    for endpoint in [server.endpoint(), server.bucket_host_endpoint()] {
        server.clear_calls();
        let settings = json!({"s3_endpoint": endpoint, "use_blob_urls": true});
        let storage = rig.import_storage(project, "pics", settings.clone()).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["status"], "completed", "{endpoint}: {sync}");
        rig.check_import(&storage, &sync, &one_each(keys), &[]).await;
        rig.export_storage(project, "out", settings).await;
        assert!(server.count(Op::Put) == 1 && server.count(Op::Delete) == 1, "the probe of an export");
        assert!(server.calls().iter().all(|call| call.status.is_some_and(|status| status < 300)));
    }
    let (status, body) = rig
        .call(
            "POST",
            IMPORT,
            Some(json!({"project": project, "bucket": "Not_A_Host", "s3_endpoint": server.bucket_host_endpoint()})),
        )
        .await;
    assert_eq!(status, 400, "{body}");
    assert!(body["validation_errors"]["bucket"][0].is_string(), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_region_is_used_if_the_storage_names_none() {
    for variable in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        let rig = Rig::with().workers(0).env(variable, "eu-central-1").start().await;
        rig.s3.create_bucket("pics");
        let project = rig.project().await;
        let own = rig.import_storage(project, "pics", json!({"region_name": "ap-south-1"})).await;
        let operators = rig.import_storage(project, "pics", json!({})).await;
        assert!(own.id != operators.id);
        let mut regions: Vec<_> = rig.s3.calls().into_iter().filter_map(|call| call.region).collect();
        regions.dedup();
        assert_eq!(regions, ["ap-south-1", "eu-central-1"], "{variable}");
    }
}
