//! The server as a client sees it: signed requests over raw sockets, because HTTP libraries normalize paths and hide
//! how an answer ended.

mod client;
mod faults;
mod keys;
mod listing;

use std::time::Duration;

use self::client::Client;
use super::{AccessKey, Op, Options, S3Server};

async fn server() -> (S3Server, Client) {
    let server = S3Server::start(Options::with_key("AKTEST", "secret")).await.unwrap();
    server.create_bucket("bucket");
    let client = Client::new(server.address(), "AKTEST", "secret");
    (server, client)
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let (server, _) = server().await;
    let answer = Client::new(server.address(), "AKTEST", "wrong").get("/bucket/key").await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("SignatureDoesNotMatch"), "{}", answer.text());
}

#[tokio::test]
async fn an_unknown_access_key_is_refused() {
    let (server, _) = server().await;
    let answer = Client::new(server.address(), "AKOTHER", "secret").get("/bucket/key").await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("InvalidAccessKeyId"), "{}", answer.text());
}

#[tokio::test]
async fn an_unsigned_request_is_refused() {
    let (server, client) = server().await;
    server.put("bucket", "key", "content");
    let answer = client.unsigned("GET", "/bucket/key").await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("AccessDenied"), "{}", answer.text());
}

#[tokio::test]
async fn a_session_token_is_required_and_checked() {
    let key = AccessKey::new("ASTEMP", "secret").with_session_token("the+token=");
    let server = S3Server::start(Options { access_keys: vec![key], ..Options::default() }).await.unwrap();
    server.put("bucket", "key", "content");
    let client = |token| Client { token, ..Client::new(server.address(), "ASTEMP", "secret") };

    assert_eq!(client(Some("the+token=")).get("/bucket/key").await.status, 200);
    let answer = client(Some("another")).get("/bucket/key").await;
    assert!(answer.text().contains("InvalidToken"), "{}", answer.text());
    let answer = client(None).get("/bucket/key").await;
    assert!(answer.text().contains("InvalidAccessKeyId"), "{}", answer.text());

    let url = client(Some("the+token=")).presign("/bucket/key", Duration::from_secs(60), Duration::ZERO);
    assert_eq!(client(None).unsigned("GET", &url).await.status, 200);
}

#[tokio::test]
async fn a_presigned_url_works_until_it_expires() {
    let (server, client) = server().await;
    server.put("bucket", "a b+c.txt", "content");
    let path = "/bucket/a%20b%2Bc.txt";

    let url = client.presign(path, Duration::from_secs(60), Duration::ZERO);
    let answer = client.unsigned("GET", &url).await;
    assert_eq!((answer.status, answer.text()), (200, "content".into()));

    let url = client.presign(path, Duration::from_secs(60), Duration::from_secs(61));
    let answer = client.unsigned("GET", &url).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("expired"), "{}", answer.text());
}

#[tokio::test]
async fn a_presigned_url_for_another_key_is_refused() {
    let (server, client) = server().await;
    server.put("bucket", "other", "content");
    let url = client.presign("/bucket/key", Duration::from_secs(60), Duration::ZERO);
    let answer = client.unsigned("GET", &url.replace("/bucket/key", "/bucket/other")).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_put_stores_the_values_of_its_headers() {
    let (server, client) = server().await;
    let headers = [
        ("content-type", "application/json"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key-1"),
    ];
    let answer = client.send("PUT", "/bucket/key", &headers, b"{}").await;
    assert_eq!(answer.status, 200);
    // The MD5 of `{}`.
    assert_eq!(answer.header("etag"), Some("\"99914b932bd37a50b983c5e7c90ae93b\""));

    let object = server.get("bucket", "key").unwrap();
    assert_eq!(&object.bytes[..], b"{}");
    assert_eq!(object.content_type.as_deref(), Some("application/json"));
    assert_eq!(object.encryption.as_deref(), Some("aws:kms"));
    assert_eq!(object.kms_key_id.as_deref(), Some("key-1"));
}

#[tokio::test]
async fn a_range_request_gets_that_part_of_the_object() {
    let (server, client) = server().await;
    server.put("bucket", "key", "0123456789");
    let part = async |range| client.send("GET", "/bucket/key", &[("range", range)], b"").await;

    let answer = part("bytes=2-4").await;
    assert_eq!((answer.status, answer.text()), (206, "234".into()));
    assert_eq!(answer.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(part("bytes=-3").await.text(), "789");
    assert_eq!(part("bytes=8-100").await.text(), "89");
    assert_eq!(part("bytes=10-").await.status, 416);
}

#[tokio::test]
async fn buckets_are_created_and_listed_over_the_api() {
    let (_server, client) = server().await;
    assert_eq!(client.send("HEAD", "/made", &[], b"").await.status, 404);
    assert_eq!(client.send("PUT", "/made", &[], b"").await.status, 200);
    assert_eq!(client.send("HEAD", "/made", &[], b"").await.status, 200);
    assert_eq!(client.send("PUT", "/made", &[], b"").await.status, 409);
    let names = client.get("/").await.text().into_owned();
    assert!(names.contains("<Name>bucket</Name>") && names.contains("<Name>made</Name>"), "{names}");
    assert!(client.get("/absent?list-type=2").await.text().contains("NoSuchBucket"));
    assert!(client.get("/bucket/absent").await.text().contains("NoSuchKey"));
}

#[tokio::test]
async fn listings_of_the_first_version_continue_after_a_marker() {
    let (server, client) = server().await;
    server.put_many("bucket", [("a", "1"), ("b/1", "2"), ("b/2", "3"), ("c", "4")]);
    let first = client.get("/bucket?max-keys=2&encoding-type=url").await.text().into_owned();
    assert!(
        first.contains("<Key>a</Key>") && first.contains("<Key>b/1</Key>") && !first.contains("<Key>b/2"),
        "{first}"
    );
    assert!(first.contains("<IsTruncated>true</IsTruncated>") && !first.contains("NextMarker"), "{first}");
    let rest = client.get("/bucket?marker=b/1").await.text().into_owned();
    assert!(rest.contains("<Key>b/2</Key>") && rest.contains("<Key>c</Key>") && !rest.contains("<Key>a<"), "{rest}");
    let folders = client.get("/bucket?delimiter=/&max-keys=2").await.text().into_owned();
    assert!(folders.contains("<Prefix>b/</Prefix>") && folders.contains("<NextMarker>b/</NextMarker>"), "{folders}");
}

#[tokio::test]
async fn every_call_is_recorded_with_its_status() {
    let (server, client) = server().await;
    server.put_many("bucket", [("a", "1"), ("b", "2"), ("c", "3")]);
    client.get("/bucket?list-type=2&max-keys=1&start-after=a").await;
    client.get("/bucket/absent%2B").await;

    let calls = server.calls();
    let seen: Vec<_> = calls.iter().map(|c| (c.op, c.key.as_str(), c.start_after.as_deref(), c.status)).collect();
    assert_eq!(seen, [(Op::List, "", Some("a"), Some(200)), (Op::Get, "absent+", None, Some(404))]);
    assert_eq!(server.count(Op::List), 1);

    server.clear_calls();
    assert_eq!(server.calls(), []);
}
