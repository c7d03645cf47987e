//! The Cloud Storage kind against a scripted server; the tests compare requests exactly.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longshore_model::{
    Connection, FailureReason, GcsConnection, GcsSecrets, Paging, Secret, Secrets, StartAfter, StorageSettings,
};
use prometheus::Registry;
use serde_json::json;

use super::server::{Act, Server};
use super::{answer, meaning, options};
use crate::{
    ErrorKind, ListRequest, ObjectMeta, Operator, Probe, PutOptions, Range, RetryPolicy, Storage, StorageMetrics,
    Stores, WireOptions, check_settings,
};

fn token() -> String {
    answer("200 OK", "", r#"{"access_token":"ya29.one","expires_in":3599,"token_type":"Bearer"}"#)
}

/// A storage whose service and token server are both this server.
fn open(server: &Server) -> Arc<dyn Storage> {
    open_with(server, options())
}

fn open_with(server: &Server, options: WireOptions) -> Arc<dyn Storage> {
    let host = format!("127.0.0.1:{}", server.port);
    let connection =
        GcsConnection { bucket: "photos".into(), prefix: Some("train".into()), ..GcsConnection::default() };
    let settings = StorageSettings::new(Connection::Gcs(connection));
    check_settings(&settings).expect("good settings");
    let person = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "very-secret", "refresh_token": "r",
        "token_uri": format!("http://{host}/token"),
    });
    let secrets = Secrets::Gcs(GcsSecrets { google_application_credentials: Some(Secret::new(person.to_string())) });
    let operator = Operator { storage_emulator_host: Some(host), ..Operator::default() };
    let metrics = StorageMetrics::register(&Registry::new()).expect("a fresh registry");
    let stores = Stores::new(options, operator, metrics).expect("a client");
    stores.open(1, &settings, &secrets).expect("good settings")
}

fn listing(keys: &[&str], token: Option<&str>) -> String {
    let items: Vec<_> = keys.iter().map(|key| json!({"name": key, "size": "1", "generation": "7"})).collect();
    let body = json!({"kind": "storage#objects", "items": items, "nextPageToken": token});
    answer("200 OK", "", &body.to_string())
}

const LIST: &str =
    "GET /storage/v1/b/photos/o?fields=kind%2Citems%28name%2Csize%2Cgeneration%2Cupdated%29%2Cprefixes%2CnextPageToken";

#[tokio::test]
async fn a_listing_continues_after_the_last_key_and_with_a_token_only_if_there_is_no_key() {
    let server = Server::saying([
        token(),
        listing(&["p/a b", "p/c"], Some("t1")),
        listing(&["p/c"], Some("t2")),
        listing(&[], Some("t3")),
        listing(&["p/d"], None),
    ])
    .await;
    let storage = open(&server);
    let request = ListRequest { prefix: "p/", limit: 2, ..ListRequest::default() };
    let first = storage.list_page(request).await.unwrap();
    assert_eq!(first.next.as_deref(), Some("p/c"));
    let second = storage.list_page(ListRequest { cursor: first.next.as_deref(), ..request }).await.unwrap();
    assert_eq!((second.objects[0].key(), second.next), ("p/d", None));
    let after = format!("{LIST}&maxResults=3&prefix=p%2F&startOffset=p%2Fc");
    assert_eq!(
        server.lines(),
        [
            "POST /token".to_owned(),
            format!("{LIST}&maxResults=2&prefix=p%2F"),
            after.clone(),
            format!("{after}&pageToken=t2"),
            format!("{after}&pageToken=t3"),
        ]
    );
    let requests = server.requests();
    assert!(
        requests[0].ends_with("\r\n\r\ngrant_type=refresh_token&client_id=c&client_secret=very-secret&refresh_token=r")
    );
    assert!(requests[1..].iter().all(|request| request.contains("authorization: Bearer ya29.one\r\n")));
}

#[tokio::test]
async fn a_listing_that_repeats_its_token_fails() {
    let server = Server::saying([token(), listing(&[], Some("t")), listing(&[], Some("t"))]).await;
    let request = ListRequest { prefix: "p/", limit: 2, ..ListRequest::default() };
    let failed = meaning(open(&server).list_page(request).await);
    assert_eq!(failed, (ErrorKind::Invalid, FailureReason::UnsupportedListing));
}

/// An emulator may not know `startOffset`.
#[tokio::test]
async fn a_server_that_ignores_where_a_listing_starts_is_followed_with_its_tokens() {
    let first = || listing(&["p/a", "p/b"], Some("t1"));
    let rest = || listing(&["p/c"], None);
    let ignored = [first(), first(), first(), first()];
    let mut answers = vec![token(), first()];
    answers.extend(ignored);
    answers.extend([first(), rest(), first(), rest()]);
    let server = Server::start(answers.into_iter().map(Act::Say).collect()).await;
    let storage = open(&server);
    let found = storage.examine_listing("p/").await.unwrap();
    assert_eq!((found.paging, found.start_after), (Some(Paging::Token), Some(StartAfter::Ignored)));

    let request = ListRequest { prefix: "p/", limit: 2, paging: Paging::Token, ..ListRequest::default() };
    let page = storage.list_page(request).await.unwrap();
    assert_eq!((page.objects.len(), page.next.as_deref()), (2, Some("t1")));
    let page = storage.list_page(ListRequest { cursor: Some("t1"), ..request }).await.unwrap();
    assert_eq!((page.objects[0].key(), page.next), ("p/c", None));
    let last = server.lines().pop().unwrap();
    assert!(last.ends_with("&pageToken=t1") && !last.contains("startOffset"), "{last}");
}

#[tokio::test]
async fn another_servers_answer_is_not_an_empty_bucket() {
    let other = || answer("200 OK", "", "{}");
    let server = Server::saying([token(), other(), other(), other(), other()]).await;
    let failed = meaning(open(&server).probe(Probe::Read).await);
    assert_eq!(failed, (ErrorKind::Invalid, FailureReason::BadAnswer));
    assert_eq!(server.lines()[1..], [0; 4].map(|_| format!("{LIST}&maxResults=1&prefix=train%2F")));
}

#[tokio::test]
async fn an_object_is_streamed_as_stored() {
    let compressed = answer("200 OK", "Content-Encoding: gzip\r\n", "packed");
    let server = Server::saying([token(), compressed]).await;
    let stream = open(&server).stream("page.html", None).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!((stream.size, stream.content_encoding.as_deref()), (6, Some("gzip")));
    assert!(server.requests()[1].contains("accept-encoding: gzip\r\n"));
}

#[tokio::test]
async fn a_put_sends_name_type_and_length_and_returns_the_generation() {
    let object = json!({"name": "dir//a b", "size": "0", "generation": "1795370466369321"}).to_string();
    let server = Server::saying([token(), answer("200 OK", "", &object)]).await;
    let options = PutOptions { content_type: Some("application/json"), kms_key_id: None };
    let etag = open(&server).put("dir//a b", Bytes::new(), &options).await.unwrap();
    assert_eq!(etag.as_deref(), Some("1795370466369321"));
    let request = &server.requests()[1];
    for part in [
        "POST /upload/storage/v1/b/photos/o?uploadType=media&fields=name%2Csize%2Cgeneration%2Cupdated&name=dir%2F%2Fa%20b HTTP/1.1\r\n",
        "content-type: application/json\r\n",
        "content-length: 0\r\n",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

#[tokio::test]
async fn an_object_is_requested_as_stored_and_one_decompressed_on_the_way_keeps_its_size() {
    let headers = "X-Goog-Generation: 7\r\nX-Goog-Stored-Content-Encoding: gzip\r\nX-Goog-Stored-Content-Length: 3\r\n";
    let server = Server::saying([token(), answer("200 OK", headers, "bytes")]).await;
    let listed = ObjectMeta {
        key: "a.json".into(),
        size: 3,
        etag: Some("7".into()),
        modified_at: None,
        ..ObjectMeta::default()
    };
    let body = open(&server).get_listed(&listed, 100).await.unwrap();
    assert_eq!((body.bytes.as_ref(), body.stored_size, body.is_listed(&listed)), (&b"bytes"[..], 3, true));
    let request = &server.requests()[1];
    assert!(request.starts_with("GET /storage/v1/b/photos/o/a.json?alt=media HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("accept-encoding: gzip\r\n"), "{request}");
}

#[tokio::test]
async fn a_range_is_requested_and_an_answer_without_it_refused() {
    let server =
        Server::saying([token(), answer("206 Partial Content", "", "bcd"), answer("200 OK", "", "abcdef")]).await;
    let storage = open(&server);
    let range = Some(Range { first: 1, last: Some(3) });
    assert_eq!(storage.get("k", range, 100).await.unwrap().bytes, "bcd");
    assert_eq!(meaning(storage.get("k", range, 100).await).1, FailureReason::BadAnswer);
}

#[tokio::test]
async fn a_short_object_does_not_answer_a_range() {
    let whole = || answer("200 OK", "", "abc");
    let server = Server::saying([token(), whole(), whole()]).await;
    let storage = open(&server);
    let range = Some(Range { first: 0, last: Some(9) });
    assert_eq!(meaning(storage.get("k", range, 100).await).1, FailureReason::BadAnswer);
    assert_eq!(meaning(storage.stream("k", range).await).1, FailureReason::BadAnswer);
}

#[tokio::test]
async fn a_redirect_of_the_token_server_is_not_followed() {
    let elsewhere = "Location: http://169.254.169.254/latest/meta-data/\r\n";
    let server = Server::saying([answer("307 Temporary Redirect", elsewhere, "")]).await;
    let failed = meaning(open(&server).probe(Probe::Read).await);
    assert_eq!(failed, (ErrorKind::Invalid, FailureReason::BadAnswer));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_call_to_a_briefly_unavailable_token_server_is_retried() {
    let server =
        Server::saying([answer("503 Unavailable", "", ""), String::new(), token(), listing(&["p/a"], None)]).await;
    open(&server).probe(Probe::Read).await.unwrap();
    assert_eq!(server.lines()[..3], ["POST /token", "POST /token", "POST /token"]);

    let server = Server::start(vec![Act::Say(answer("503 Unavailable", "", ""))]).await;
    let once = WireOptions { retry: RetryPolicy { retries: 0, ..options().retry }, ..options() };
    let failed = meaning(open_with(&server, once).probe(Probe::Read).await);
    assert_eq!(failed, (ErrorKind::Unavailable, FailureReason::Unavailable));
}

#[tokio::test]
async fn concurrent_requests_share_one_token_even_with_few_permits() {
    let mut acts = vec![token()];
    acts.extend((0..8).map(|_| answer("200 OK", "", "bytes")));
    let server = Server::start(acts.into_iter().map(Act::Say).collect()).await;
    // The token server has the bucket's address: a caller that waits for a token must not hold a permit there.
    let one = WireOptions { concurrency: crate::Concurrency { start: 1, ceiling: 1 }, ..options() };
    let storage = open_with(&server, one);
    let reads = (0..8).map(|_| storage.get("k", None, 100));
    let all =
        tokio::time::timeout(Duration::from_secs(20), futures::future::join_all(reads)).await.expect("no deadlock");
    assert!(all.into_iter().all(|read| read.unwrap().bytes == "bytes"));
    assert_eq!(server.lines().iter().filter(|line| *line == "POST /token").count(), 1);
}
