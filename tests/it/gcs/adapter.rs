//! The storage adapter alone, with the proxy that checks what Google would check.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use longshore_model::{FailureReason, GcsSecrets, Secret, Secrets};
use longshore_rig::gcs::{Fault, Gcs, Op, Right};
use longshore_rig::raw_http;
use longshore_storage::conformance::{self, Seed, Subject, odd_keys};
use longshore_storage::{
    AllowedEndpoints, ErrorKind, ListRequest, Operator, Probe, PutOptions, Storage, StorageMetrics, Stores, WireOptions,
};
use prometheus::Registry;
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3_600);

fn stores(gcs: &Gcs, allowed: &str) -> Stores {
    let allowed = AllowedEndpoints::parse(allowed).expect("a list");
    let options = WireOptions { allowed, ..WireOptions::default() };
    let operator = Operator { storage_emulator_host: Some(gcs.endpoint().to_owned()), ..Operator::default() };
    let metrics = StorageMetrics::register(&Registry::new()).expect("a fresh registry");
    Stores::new(options, operator, metrics).expect("a client")
}

fn open_in(stores: &Stores, bucket: &str, file: &Value) -> Arc<dyn Storage> {
    let settings = serde_json::from_value(json!({"kind": "gcs", "bucket": bucket})).expect("settings");
    let secrets = Secrets::Gcs(GcsSecrets { google_application_credentials: Some(Secret::new(file.to_string())) });
    stores.open(1, &settings, &secrets).expect("good settings")
}

fn open(gcs: &Gcs, bucket: &str, file: &Value) -> Arc<dyn Storage> {
    open_in(&stores(gcs, "127.0.0.1"), bucket, file)
}

async fn keys(storage: &dyn Storage) -> Vec<String> {
    let (mut keys, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let request = ListRequest { cursor: cursor.as_deref(), limit: 1_000, ..ListRequest::default() };
        let page = storage.list_page(request).await.expect("a page");
        keys.extend(page.objects.into_iter().map(|listed| listed.meta.key));
        cursor = page.next;
        if cursor.is_none() {
            return keys;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_does_what_every_kind_does() {
    let gcs = Gcs::start().await;
    gcs.create_bucket("own").await;
    let own = open(&gcs, "own", &gcs.key_file());
    conformance::all(&Subject { storage: own.as_ref(), seed: None, holds: |_| true }).await;

    gcs.create_bucket("seeded").await;
    let seeded = open(&gcs, "seeded", &gcs.key_file());
    let seed: Seed<'_> = &|key: String, content: Bytes| {
        let gcs = &gcs;
        async move { gcs.put("seeded", &key, &content).await }.boxed()
    };
    conformance::all(&Subject { storage: seeded.as_ref(), seed: Some(seed), holds: |_| true }).await;
    assert!(gcs.calls().iter().any(|call| call.op == Op::Signed && call.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_does_what_every_kind_does_with_shorter_pages_than_requested() {
    let gcs = Gcs::start().await;
    gcs.create_bucket("own").await;
    gcs.set_page(2);
    let own = open(&gcs, "own", &gcs.key_file());
    let subject = Subject { storage: own.as_ref(), seed: None, holds: |_| true };
    conformance::pages_of_every_size_give_each_key_once(&subject).await;
    conformance::odd_keys_are_listed_read_signed_and_deleted_unchanged(&subject).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_key_is_written_unchanged_and_its_presigned_url_reads_it() {
    let gcs = Gcs::start().await;
    gcs.create_bucket("odd").await;
    let storage = open(&gcs, "odd", &gcs.key_file());
    let wanted = odd_keys("");
    for key in &wanted {
        let put = storage.put(key, Bytes::from(key.clone()), &PutOptions::default()).await;
        put.unwrap_or_else(|error| panic!("put of {key:?}: {error:?}"));
    }
    // The content of the server, not what the storage says about it.
    assert_eq!(gcs.keys("odd").await, wanted);
    for key in &wanted {
        let url = storage.presign(key, HOUR).await.unwrap_or_else(|error| panic!("presign of {key:?}: {error:?}"));
        let answer = raw_http::get(url.expose()).await;
        assert_eq!((answer.status, answer.text()), (200, key.clone()), "signed URL of {key:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_url_reads_only_its_own_object() {
    let gcs = Gcs::start().await;
    for bucket in ["bucket", "others"] {
        gcs.create_bucket(bucket).await;
        gcs.put(bucket, "mine+1", bucket.as_bytes()).await;
    }
    gcs.put("bucket", "theirs", b"theirs").await;
    gcs.key_file_with("somebody", &[Right::Get]);
    let storage = open(&gcs, "bucket", &gcs.key_file());
    gcs.clear();
    let url = storage.presign("mine+1", HOUR).await.expect("a URL").expose().to_owned();
    assert!(gcs.calls().is_empty(), "signing sends no request");
    assert_eq!(raw_http::get(&url).await.text(), "bucket");

    let (unsigned, signature) = url.split_once("X-Goog-Signature=").expect("a signature");
    let other_digit = if signature.starts_with('0') { "1" } else { "0" };
    let day = unsigned.split_once("%2F").expect("a date").1.split_once("%2F").expect("a date").0.to_owned();
    let tampered = [
        format!("{unsigned}X-Goog-Signature={other_digit}{}", &signature[1..]),
        replaced(&url, "/mine%2B1?", "/theirs?"),
        replaced(&url, "/bucket/", "/others/"),
        replaced(&url, "X-Goog-Expires=3600", "X-Goog-Expires=7200"),
        replaced(&url, "longshore%40tests", "somebody%40tests"),
        url.replace(&day, "20300101"),
        format!("{url}&response-content-type=text%2Fhtml"),
        url.split_once('?').expect("a query").0.to_owned(),
    ];
    for url in tampered {
        let answer = raw_http::get(&url).await;
        assert!([403, 404].contains(&answer.status), "{url}: {} {}", answer.status, answer.text());
    }
    let deletion = raw_http::send("DELETE", &url, &[], b"").await;
    assert_eq!(deletion.status, 403, "{}", deletion.text());
    let elsewhere = replaced(&url, "127.0.0.1", "localhost");
    assert_eq!(raw_http::get(&elsewhere).await.status, 403, "signed for another host");
}

fn replaced(url: &str, part: &str, other: &str) -> String {
    assert_eq!(url.matches(part).count(), 1, "{part} in {url}");
    url.replace(part, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_url_expires_after_at_most_seven_days() {
    let gcs = Gcs::start().await;
    gcs.create_bucket("bucket").await;
    gcs.put("bucket", "key", b"content").await;
    let storage = open(&gcs, "bucket", &gcs.key_file());
    let short = storage.presign("key", Duration::from_secs(60)).await.expect("a URL");
    let long = storage.presign("key", Duration::from_secs(u64::MAX)).await.expect("a URL");
    assert!(long.expose().contains("&X-Goog-Expires=604800&"), "{}", long.expose());
    for (ahead, short_status, long_status) in [(0, 200, 200), (62, 400, 200), (604_802, 400, 400)] {
        gcs.set_clock(ahead);
        assert_eq!(raw_http::get(short.expose()).await.status, short_status, "{ahead} s later");
        assert_eq!(raw_http::get(long.expose()).await.status, long_status, "{ahead} s later");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_serves_all_storages_of_an_account_until_it_is_revoked() {
    let gcs = Gcs::start().await;
    for bucket in ["one", "two"] {
        gcs.create_bucket(bucket).await;
        gcs.put(bucket, "key", b"content").await;
    }
    let stores = stores(&gcs, "127.0.0.1");
    let open = |bucket: &str| open_in(&stores, bucket, &gcs.key_file());
    let reads = ["one", "two", "one", "two"].map(|bucket| {
        let storage = open(bucket);
        async move { storage.get("key", None, 100).await.expect("a get").bytes }
    });
    for content in futures::future::join_all(reads).await {
        assert_eq!(content, "content");
    }
    assert_eq!((gcs.count(Op::Token), gcs.count(Op::Get)), (1, 4));

    gcs.clear();
    gcs.fail(Op::Get, 1..=1, Fault::Revoke);
    assert_eq!(open("one").get("key", None, 100).await.expect("a get").bytes, "content");
    assert_eq!((gcs.count(Op::Token), gcs.count(Op::Get)), (1, 2));

    // After a new token is refused, the adapter does not request more tokens without end.
    gcs.clear();
    gcs.fail(Op::Get, 1..=usize::MAX, Fault::Status(401, "authError", None));
    let error = open("one").get("key", None, 100).await.expect_err("no rights at all");
    assert_eq!((error.kind, error.reason), (ErrorKind::Denied, FailureReason::ExpiredCredentials));
    assert_eq!((gcs.count(Op::Token), gcs.count(Op::Get)), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_server_of_a_key_file_is_reached_only_where_the_operator_allows_it() {
    let gcs = Gcs::start().await;
    gcs.create_bucket("bucket").await;
    let port = gcs.endpoint().rsplit(':').next().expect("a port");
    let mut file = gcs.key_file();
    // The user controls the key file: an allowed storage server must not open other addresses.
    for host in ["localhost", "127.0.0.2", "2130706434", "[::ffff:127.0.0.2]", "169.254.169.254", "10.1.2.3"] {
        file["token_uri"] = format!("http://{host}:{port}/token").into();
        let storage = open_in(&stores(&gcs, "127.0.0.1/32"), "bucket", &file);
        let error = storage.probe(Probe::Read).await.expect_err("a blocked address");
        // `localhost` is 127.0.0.1 here, which is allowed; its audience is not the server's.
        let expected = if host == "localhost" { FailureReason::InvalidSettings } else { FailureReason::BlockedAddress };
        assert_eq!(error.reason, expected, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_credentials_read_and_write_but_sign_no_urls() {
    let gcs = Gcs::start().await;
    gcs.create_bucket("bucket").await;
    let storage = open(&gcs, "bucket", &gcs.user_credentials_file());
    storage.put("key", Bytes::from_static(b"x"), &PutOptions::default()).await.expect("a put");
    assert_eq!(keys(storage.as_ref()).await, ["key"]);
    let error = storage.presign("key", HOUR).await.expect_err("no key to sign with");
    assert_eq!((error.kind, error.reason), (ErrorKind::Denied, FailureReason::NoSignedUrls));

    let mut revoked = gcs.user_credentials_file();
    revoked["refresh_token"] = "another".into();
    let error = open(&gcs, "bucket", &revoked).probe(Probe::Read).await.expect_err("no access");
    assert_eq!((error.kind, error.reason), (ErrorKind::Denied, FailureReason::ExpiredCredentials));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_distinguished_from_a_missing_object() {
    let gcs = Gcs::start().await;
    gcs.create_bucket("bucket").await;
    let (here, gone) = (open(&gcs, "bucket", &gcs.key_file()), open(&gcs, "no-bucket", &gcs.key_file()));
    let meaning = |error: longshore_storage::StorageError| (error.kind, error.reason);
    let no_object = (ErrorKind::NotFound, FailureReason::NoSuchObject);
    assert_eq!(meaning(here.get("key", None, 1).await.expect_err("nothing")), no_object);
    assert_eq!(meaning(here.head("key").await.expect_err("nothing")), no_object);
    here.delete("key").await.expect("nothing to delete");

    let no_bucket = (ErrorKind::Invalid, FailureReason::NoSuchBucket);
    assert_eq!(meaning(gone.get("key", None, 1).await.expect_err("nothing")), no_bucket);
    assert_eq!(meaning(gone.head("key").await.expect_err("nothing")), no_bucket);
    assert_eq!(meaning(gone.delete("key").await.expect_err("nothing")), no_bucket);
    assert_eq!(meaning(gone.probe(Probe::Read).await.expect_err("nothing")), no_bucket);
    assert_eq!(meaning(gone.probe(Probe::Write).await.expect_err("nothing")), no_bucket);
    assert_eq!(meaning(here.get("", None, 1).await.expect_err("no key")).0, ErrorKind::Invalid);
    assert_eq!(
        meaning(here.put("", Bytes::new(), &PutOptions::default()).await.expect_err("no key")).0,
        ErrorKind::Invalid
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_needs_only_the_rights_of_its_storage() {
    let gcs = Gcs::start().await;
    gcs.create_bucket("bucket").await;
    for (rights, read, write) in [
        (vec![Right::List], true, false),
        (vec![Right::Get], false, false),
        (vec![Right::Put], false, true),
        (vec![Right::Put, Right::Delete], false, true),
    ] {
        let storage = open(&gcs, "bucket", &gcs.key_file_with("some", &rights));
        for (probe, passes) in [(Probe::Read, read), (Probe::Write, write)] {
            let result = storage.probe(probe).await;
            assert_eq!(result.is_ok(), passes, "{rights:?} {probe:?}");
            if let Err(error) = result {
                assert_eq!((error.kind, error.reason), (ErrorKind::Denied, FailureReason::AccessDenied));
            }
        }
    }
    // Without the right to delete, the test object stays; with it, the object is removed.
    assert_eq!(gcs.keys("bucket").await.len(), 1);
}
