//! The wire client and the S3 kind against a scripted server.

mod adaptive;
mod crowd;
mod gcs;
mod listed;
mod roles;
mod server;
mod unencrypted;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longshore_model::{Connection, FailureReason, S3Connection, S3Secrets, Secret, Secrets, StorageSettings};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;

use crate::{
    AllowedEndpoints, ErrorKind, ListRequest, Operator, Probe, PutOptions, Range, RetryPolicy, Storage, StorageError,
    StorageMetrics, Stores, Timeouts, WireOptions, check_settings,
};
use server::{Act, Server};

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

fn listing(keys: &[&str], truncated: bool) -> String {
    let contents: String =
        keys.iter().map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")).collect();
    format!("<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{contents}</ListBucketResult>")
}

const FAST: RetryPolicy = RetryPolicy {
    retries: 3,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(2),
    budget: Duration::from_secs(5),
};

fn options() -> WireOptions {
    let allowed = AllowedEndpoints::parse("127.0.0.1").expect("an address");
    WireOptions { allowed, retry: FAST, ..WireOptions::default() }
}

fn settings(endpoint: String) -> StorageSettings {
    let connection = S3Connection {
        bucket: "photos".into(),
        prefix: Some("train".into()),
        s3_endpoint: Some(endpoint),
        aws_sse_kms_key_id: Some("key-1".into()),
        ..S3Connection::default()
    };
    StorageSettings::new(Connection::S3(connection))
}

fn open_with(endpoint: String, options: WireOptions, registry: &Registry) -> Arc<dyn Storage> {
    let settings = settings(endpoint);
    check_settings(&settings).expect("good settings");
    let secrets = Secrets::S3(S3Secrets {
        aws_access_key_id: Some(Secret::new("AKIDTEST")),
        aws_secret_access_key: Some(Secret::new("very-secret")),
        aws_session_token: Some(Secret::new("token-1")),
    });
    let metrics = StorageMetrics::register(registry).expect("a fresh registry");
    Stores::new(options, Operator::default(), metrics)
        .and_then(|stores| stores.open(1, &settings, &secrets))
        .expect("good settings")
}

fn open(server: &Server) -> Arc<dyn Storage> {
    open_with(format!("http://127.0.0.1:{}", server.port), options(), &Registry::new())
}

fn meaning<T>(result: Result<T, StorageError>) -> (ErrorKind, FailureReason) {
    let error = result.err().expect("a failure");
    (error.kind, error.reason)
}

async fn list(storage: &dyn Storage) -> Result<Vec<String>, StorageError> {
    let page = storage.list_page(ListRequest { prefix: "p/", limit: 1_000, ..ListRequest::default() }).await?;
    Ok(page.objects.into_iter().map(|object| object.meta.key).collect())
}

#[tokio::test]
async fn a_listing_cut_short_is_requested_again_as_a_whole() {
    let whole = listing(&["p/a", "p/b"], false);
    let reset = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", whole.len(), &whole[..60]);
    let server = Server::saying([
        reset,
        answer("200 OK", "", &whole[..whole.len() - 10]),
        String::new(),
        answer("200 OK", "", &whole),
    ])
    .await;
    assert_eq!(list(open(&server).as_ref()).await.unwrap(), ["p/a", "p/b"]);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_listing_that_stays_cut_short_is_unavailable_and_never_a_page() {
    let cut = || answer("200 OK", "", "<ListBucketResult><IsTruncated>false</IsTruncated>");
    let server = Server::saying([cut(), cut(), cut(), cut()]).await;
    let failed = meaning(list(open(&server).as_ref()).await);
    assert_eq!(failed, (ErrorKind::Unavailable, FailureReason::Unavailable));
}

#[tokio::test]
async fn a_listing_continues_from_the_cursor_without_a_token() {
    let server = Server::saying([
        answer("200 OK", "", &listing(&["p/a b", "p/c"], true)),
        answer("200 OK", "", &listing(&["p/d"], false)),
    ])
    .await;
    let storage = open(&server);
    let request = ListRequest { prefix: "p/", after: Some("p/A+"), limit: 2, ..ListRequest::default() };
    let first = storage.list_page(request).await.unwrap();
    let second = storage.list_page(ListRequest { cursor: first.next.as_deref(), ..request }).await.unwrap();
    assert_eq!(second.next, None);
    let line = "GET /photos?encoding-type=url&list-type=2&max-keys=2&prefix=p%2F&start-after=";
    assert_eq!(server.lines(), [format!("{line}p%2FA%2B"), format!("{line}p%2Fc")]);
}

#[tokio::test]
async fn a_short_wait_is_honored_and_a_long_one_passed_to_the_caller() {
    let slow = |wait: &str| answer("503 Slow Down", wait, "<Error><Code>SlowDown</Code></Error>");
    let server = Server::saying([slow("Retry-After: 0\r\n"), answer("200 OK", "", &listing(&[], false))]).await;
    assert!(list(open(&server).as_ref()).await.unwrap().is_empty());
    assert_eq!(server.requests().len(), 2);

    let server = Server::saying([slow("Retry-After: 60\r\n")]).await;
    let kind = meaning(list(open(&server).as_ref()).await).0;
    assert_eq!(kind, ErrorKind::Throttled { retry_after: Some(Duration::from_secs(60)) });
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_permanent_failure_is_not_retried() {
    let server =
        Server::saying([answer("403 Forbidden", "", "<Error><Code>SignatureDoesNotMatch</Code></Error>")]).await;
    let failed = meaning(list(open(&server).as_ref()).await);
    assert_eq!(failed, (ErrorKind::Denied, FailureReason::WrongSecretKey));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::saying([answer("307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n", "")]).await;
    assert_eq!(meaning(list(open(&server).as_ref()).await), (ErrorKind::Invalid, FailureReason::WrongRegion));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable() {
    let server = Server::start(vec![Act::Stall]).await;
    let timeouts = Timeouts { head: Duration::from_millis(20), ..Timeouts::default() };
    let options = WireOptions { timeouts, retry: RetryPolicy { retries: 0, ..FAST }, ..options() };
    let storage = open_with(format!("http://127.0.0.1:{}", server.port), options, &Registry::new());
    assert_eq!(meaning(list(storage.as_ref()).await), (ErrorKind::Unavailable, FailureReason::Unavailable));
}

#[tokio::test]
async fn a_body_that_stops_flowing_is_unavailable() {
    let unfinished = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_owned();
    let server = Server::saying([unfinished]).await;
    let options = WireOptions { retry: RetryPolicy { retries: 0, ..FAST }, ..options() };
    let storage = open_with(format!("http://127.0.0.1:{}", server.port), options, &Registry::new());
    assert_eq!(meaning(storage.get("k", None, 100).await).0, ErrorKind::Unavailable);
}

/// The server would need half an hour.
#[tokio::test]
async fn a_body_that_arrives_too_slowly_is_given_up() {
    let server = Server::start(vec![Act::Drip]).await;
    let timeouts = Timeouts { idle: Duration::from_millis(200), ..Timeouts::default() };
    let options = WireOptions { timeouts, retry: RetryPolicy { retries: 0, ..FAST }, ..options() };
    let storage = open_with(format!("http://127.0.0.1:{}", server.port), options, &Registry::new());
    assert_eq!(meaning(storage.get("k", None, 2_000_000).await).0, ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_object_over_the_callers_limit_is_refused_with_and_without_a_length() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n".to_owned();
    let server = Server::saying([answer("200 OK", "", "abcdef"), chunked, answer("200 OK", "", "abcde")]).await;
    let storage = open(&server);
    let too_large = (ErrorKind::Invalid, FailureReason::TooLarge);
    assert_eq!(meaning(storage.get("k", None, 5).await), too_large);
    assert_eq!(meaning(storage.get("k", None, 5).await), too_large);
    assert_eq!(storage.get("k", None, 5).await.unwrap().bytes, "abcde");
}

#[tokio::test]
async fn an_object_with_an_unknown_end_is_not_accepted_as_whole() {
    let endless = || "HTTP/1.1 200 OK\r\n\r\nhalf of it".to_owned();
    let server = Server::saying([endless(), endless(), endless(), endless()]).await;
    assert_eq!(meaning(open(&server).get("k", None, 100).await).0, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_range_is_requested_and_an_answer_without_it_refused() {
    let server = Server::saying([answer("206 Partial Content", "", "bcd"), answer("200 OK", "", "abcdef")]).await;
    let storage = open(&server);
    let range = Some(Range { first: 1, last: Some(3) });
    assert_eq!(storage.get("k", range, 100).await.unwrap().bytes, "bcd");
    assert_eq!(meaning(storage.get("k", range, 100).await).1, FailureReason::BadAnswer);
    assert!(server.requests().iter().all(|request| request.contains("range: bytes=1-3\r\n")));
}

#[tokio::test]
async fn a_short_object_does_not_answer_a_range() {
    let whole = || answer("200 OK", "", "abc");
    let server = Server::saying([whole(), whole(), whole()]).await;
    let storage = open(&server);
    let range = Some(Range { first: 0, last: Some(9) });
    assert_eq!(meaning(storage.get("k", range, 100).await).1, FailureReason::BadAnswer);
    assert_eq!(meaning(storage.stream("k", range).await).1, FailureReason::BadAnswer);
    let open_end = Some(Range { first: 0, last: None });
    assert_eq!(meaning(storage.get("k", open_end, 100).await).1, FailureReason::BadAnswer);
}

#[tokio::test]
async fn a_stream_has_the_objects_content_encoding() {
    let packed = answer("200 OK", "Content-Encoding: gzip\r\n", "packed");
    let server = Server::saying([packed, answer("200 OK", "", "plain")]).await;
    let storage = open(&server);
    assert_eq!(storage.stream("k", None).await.ok().and_then(|stream| stream.content_encoding), Some("gzip".into()));
    let plain = storage.stream("k", None).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!((plain.content_encoding, plain.size), (None, 5));
}

#[tokio::test]
async fn a_put_sends_type_length_and_encryption_and_signs_its_body() {
    let server = Server::saying([answer("200 OK", "ETag: \"e1\"\r\n", "")]).await;
    let options = PutOptions { content_type: Some("application/json"), kms_key_id: Some("key-1".into()) };
    let etag = open(&server).put("dir//a b", Bytes::new(), &options).await.unwrap();
    assert_eq!(etag.as_deref(), Some("e1"));
    let request = &server.requests()[0];
    for part in [
        "PUT /photos/dir//a%20b HTTP/1.1\r\n",
        "content-type: application/json\r\n",
        "content-length: 0\r\n",
        "x-amz-server-side-encryption: aws:kms\r\n",
        "x-amz-server-side-encryption-aws-kms-key-id: key-1\r\n",
        "x-amz-security-token: token-1\r\n",
        "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n",
        "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-server-side-encryption;",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
    assert!(!request.contains("very-secret"));
}

#[tokio::test]
async fn the_write_probe_puts_below_the_prefix_with_the_storages_encryption_and_cleans_up() {
    let server = Server::saying([answer("200 OK", "", ""), answer("204 No Content", "", "")]).await;
    open(&server).probe(Probe::Write).await.unwrap();
    let lines = server.lines();
    let key = lines[0].strip_prefix("PUT ").unwrap();
    assert!(key.starts_with("/photos/train/.longshore-probe-"), "{key}");
    assert_eq!(lines[1], format!("DELETE {key}"));
    assert!(server.requests()[0].contains("aws-kms-key-id: key-1"));
}

#[tokio::test]
async fn the_read_probe_lists_one_key_below_the_prefix() {
    let server = Server::saying([answer("200 OK", "", &listing(&[], false))]).await;
    open(&server).probe(Probe::Read).await.unwrap();
    assert_eq!(server.lines(), ["GET /photos?encoding-type=url&list-type=2&max-keys=1&prefix=train%2F"]);
}

#[tokio::test]
async fn deleting_a_missing_object_succeeds_but_not_in_a_missing_bucket() {
    let missing = |code: &str| answer("404 Not Found", "", &format!("<Error><Code>{code}</Code></Error>"));
    let server = Server::saying([missing("NoSuchKey"), missing("NoSuchBucket")]).await;
    let storage = open(&server);
    storage.delete("k").await.unwrap();
    assert_eq!(meaning(storage.delete("k").await), (ErrorKind::Invalid, FailureReason::NoSuchBucket));
}

#[tokio::test]
async fn an_empty_key_never_reaches_the_bucket() {
    let server = Server::saying([]).await;
    let storage = open(&server);
    assert_eq!(meaning(storage.delete("").await).0, ErrorKind::Invalid);
    assert_eq!(meaning(storage.get("", None, 1).await).0, ErrorKind::Invalid);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn no_spelling_of_a_private_address_passes_the_guard() {
    let server = Server::saying([]).await;
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        let options = WireOptions { allowed: AllowedEndpoints::default(), ..options() };
        let storage = open_with(format!("http://{host}:{}", server.port), options, &Registry::new());
        let failed = meaning(list(storage.as_ref()).await);
        assert_eq!(failed, (ErrorKind::Invalid, FailureReason::BlockedAddress), "{host}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_http_on_an_https_port_a_tls_failure() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let storage = open_with(format!("http://{closed}"), options(), &Registry::new());
    assert_eq!(meaning(list(storage.as_ref()).await), (ErrorKind::Unavailable, FailureReason::Unreachable));

    let server = Server::start(vec![Act::Blurt(answer("400 Bad Request", "", ""))]).await;
    let storage = open_with(format!("https://127.0.0.1:{}", server.port), options(), &Registry::new());
    assert_eq!(meaning(list(storage.as_ref()).await), (ErrorKind::Invalid, FailureReason::Tls));
}

#[tokio::test]
async fn a_presigned_url_has_the_exact_key_and_its_validity_and_needs_no_request() {
    let server = Server::saying([]).await;
    let storage = open(&server);
    let url = storage.presign("a/../b +", Duration::from_secs(90)).await.unwrap();
    let url = url.expose();
    assert!(url.starts_with(&format!("http://127.0.0.1:{}/photos/a/../b%20%2B?", server.port)), "{url}");
    for part in ["X-Amz-Expires=90", "X-Amz-SignedHeaders=host", "X-Amz-Security-Token=token-1", "X-Amz-Signature="] {
        assert!(url.contains(part), "{part} in {url}");
    }
    let capped = storage.presign("k", Duration::from_secs(u64::MAX)).await.unwrap();
    assert!(capped.expose().contains("X-Amz-Expires=604800"));
    assert_eq!(storage.uri("a//b c"), "s3://photos/a//b c");

    // The type of the extension, because many objects are stored without one.
    for (key, content_type) in
        [("a.JPG", Some("image%2Fjpeg")), ("a.svg", Some("image%2Fsvg%2Bxml")), ("a.bin", None), ("a", None)]
    {
        let url = storage.presign(key, Duration::from_secs(90)).await.unwrap();
        let asked = url.expose().split('&').find_map(|part| part.strip_prefix("response-content-type="));
        assert_eq!(asked, content_type, "{key}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_outcome_including_cancelled_ones() {
    let registry = Registry::new();
    let server =
        Server::start(vec![Act::Say(answer("500 Oops", "", "")), Act::Say(answer("200 OK", "", "abc")), Act::Stall])
            .await;
    let storage = open_with(format!("http://127.0.0.1:{}", server.port), options(), &registry);
    storage.get("k", None, 10).await.unwrap();
    let cancelled = tokio::time::timeout(Duration::from_millis(20), storage.head("k")).await;
    assert!(cancelled.is_err());

    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    for line in [
        "longshore_storage_requests_total{kind=\"s3\",op=\"get\",outcome=\"unavailable\"} 1",
        "longshore_storage_requests_total{kind=\"s3\",op=\"get\",outcome=\"ok\"} 1",
        "longshore_storage_requests_total{kind=\"s3\",op=\"head\",outcome=\"cancelled\"} 1",
        "longshore_storage_retries_total{kind=\"s3\",op=\"get\"} 1",
        "longshore_storage_received_bytes_total 3",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
