//! The S3 kind on two servers that share no code: the conformance suite, and presigned URLs that read only their own
//! object.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use longshore_local::s3::{Options, S3Server};
use longshore_model::{S3Secrets, Secret, Secrets};
use longshore_rig::moto::Moto;
use longshore_rig::raw_http;
use longshore_rig::rig::until;
use longshore_storage::conformance::{self, Seed, Subject, odd_keys};
use longshore_storage::{AllowedEndpoints, Operator, PutOptions, Storage, StorageMetrics, Stores, WireOptions};
use prometheus::Registry;
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3_600);

fn open(endpoint: &str, bucket: &str) -> Arc<dyn Storage> {
    let settings = json!({"kind": "s3", "bucket": bucket, "s3_endpoint": endpoint});
    let settings = serde_json::from_value(settings).expect("settings");
    let secrets = Secrets::S3(S3Secrets {
        aws_access_key_id: Some(Secret::new("AKIACONFORMANCE")),
        aws_secret_access_key: Some(Secret::new("conformance-secret")),
        aws_session_token: None,
    });
    let allowed = AllowedEndpoints::parse("127.0.0.0/8").expect("a network");
    let options = WireOptions { allowed, ..WireOptions::default() };
    let metrics = StorageMetrics::register(&Registry::new()).expect("a fresh registry");
    let stores = Stores::new(options, Operator::default(), metrics).expect("a client");
    stores.open(1, &settings, &secrets).expect("good settings")
}

/// An in-memory server with a bucket named `bucket`.
async fn server() -> S3Server {
    let options = Options::with_key("AKIACONFORMANCE", "conformance-secret");
    let server = S3Server::start(options).await.expect("a server");
    server.create_bucket("bucket");
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_does_what_every_kind_does_on_our_server() {
    let server = server().await;
    let (own, seeded) = (open(&server.endpoint(), "bucket"), open(&server.endpoint(), "seeded"));
    conformance::all(&Subject { storage: own.as_ref(), seed: None, holds: |_| true }).await;

    let seed: Seed<'_> = &|key: String, content: Bytes| {
        server.put("seeded", &key, content);
        async {}.boxed()
    };
    server.create_bucket("seeded");
    conformance::all(&Subject { storage: seeded.as_ref(), seed: Some(seed), holds: |_| true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_does_what_every_kind_does_on_moto() {
    let moto = Moto::shared().await;
    let bucket = moto.create_bucket("seeded").await;
    let own = open(moto.endpoint(), &moto.create_bucket("own").await);
    conformance::all(&Subject { storage: own.as_ref(), seed: None, holds: Moto::holds }).await;

    let seeded = open(moto.endpoint(), &bucket);
    let seed: Seed<'_> = &|key: String, content: Bytes| {
        let (moto, bucket) = (&moto, &bucket);
        async move { moto.put(bucket, &key, &content).await }.boxed()
    };
    conformance::all(&Subject { storage: seeded.as_ref(), seed: Some(seed), holds: Moto::holds }).await;
}

#[tokio::test]
async fn an_odd_key_is_written_unchanged() {
    let server = server().await;
    let storage = open(&server.endpoint(), "bucket");
    let keys = odd_keys("");
    for key in &keys {
        let put = storage.put(key, Bytes::from(key.clone()), &PutOptions::default()).await;
        put.unwrap_or_else(|error| panic!("put of {key:?}: {error:?}"));
    }
    // The content of the server, not what the storage says about it.
    let held = server.objects("bucket").into_iter().map(|(key, _, content)| (key, content));
    let expected = keys.into_iter().map(|key| (key.clone(), Bytes::from(key)));
    assert_eq!(held.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_presigned_url_reads_every_odd_key_from_our_server() {
    let server = server().await;
    let keys = odd_keys("");
    server.put_many("bucket", keys.iter().map(|key| (key.as_str(), key.clone())));
    signed_urls_read(open(&server.endpoint(), "bucket").as_ref(), &keys).await;
}

#[tokio::test]
async fn a_presigned_url_reads_every_odd_key_from_moto() {
    let moto = Moto::shared().await;
    let bucket = moto.create_bucket("signed").await;
    let keys: Vec<String> = odd_keys("").into_iter().filter(|key| Moto::holds(key)).collect();
    for key in &keys {
        moto.put(&bucket, key, key.as_bytes()).await;
    }
    signed_urls_read(open(moto.endpoint(), &bucket).as_ref(), &keys).await;
}

/// Checks that the content of each object is its key.
async fn signed_urls_read(storage: &dyn Storage, keys: &[String]) {
    for key in keys {
        let url = storage.presign(key, HOUR).await.unwrap_or_else(|error| panic!("presign of {key:?}: {error:?}"));
        let answer = raw_http::get(url.expose()).await;
        assert_eq!((answer.status, answer.text()), (200, key.clone()), "signed URL of {key:?}");
    }
}

#[tokio::test]
async fn a_presigned_url_reads_only_its_own_object() {
    let server = server().await;
    server.put("bucket", "mine+1", "mine");
    server.put("bucket", "theirs", "theirs");
    server.put("others", "mine+1", "of another bucket");
    let storage = open(&server.endpoint(), "bucket");
    let url = storage.presign("mine+1", HOUR).await.expect("a URL").expose().to_owned();
    assert_eq!(raw_http::get(&url).await.text(), "mine");

    let (unsigned, signature) = url.split_once("X-Amz-Signature=").expect("a signature");
    let other_digit = if signature.starts_with('0') { "1" } else { "0" };
    let tampered = [
        format!("{unsigned}X-Amz-Signature={other_digit}{}", &signature[1..]),
        replaced(&url, "/mine%2B1?", "/theirs?"),
        replaced(&url, "/bucket/", "/others/"),
        replaced(&url, "X-Amz-Expires=3600", "X-Amz-Expires=7200"),
        replaced(&url, "AKIACONFORMANCE", "AKIASOMEBODYELSE"),
        replaced(&url, "%2Fus-east-1%2F", "%2Feu-west-1%2F"),
        url.split_once('?').expect("a query").0.to_owned(),
    ];
    for url in tampered {
        let answer = raw_http::get(&url).await;
        assert_eq!(answer.status, 403, "{url}: {}", answer.text());
    }

    let deletion = raw_http::send("DELETE", &url, &[], b"").await;
    assert_eq!(deletion.status, 403, "{}", deletion.text());
    assert!(server.get("bucket", "mine+1").is_some());
}

fn replaced(url: &str, part: &str, other: &str) -> String {
    assert_eq!(url.matches(part).count(), 1, "{part} in {url}");
    url.replace(part, other)
}

#[tokio::test]
async fn a_presigned_url_expires() {
    let server = server().await;
    server.put("bucket", "key", "content");
    let storage = open(&server.endpoint(), "bucket");
    let short = storage.presign("key", Duration::from_secs(1)).await.expect("a URL");
    let long = storage.presign("key", HOUR).await.expect("a URL");

    let refusal = until("the URL has expired", || async {
        let answer = raw_http::get(short.expose()).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(refusal.status, 403, "{}", refusal.text());
    assert!(refusal.text().contains("expired"), "{}", refusal.text());
    assert_eq!(raw_http::get(long.expose()).await.text(), "content");
}
