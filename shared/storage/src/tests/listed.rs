//! Answers that are checked against the listing.

use longshore_model::FailureReason;

use super::server::Server;
use super::{answer, list, listing, meaning, open};
use crate::{ErrorKind, ObjectMeta};

fn listed() -> ObjectMeta {
    ObjectMeta { key: "k".into(), size: 6, etag: Some("e1".into()), modified_at: None, ..ObjectMeta::default() }
}

fn page(keys: &[&str]) -> String {
    answer("200 OK", "", &listing(keys, false))
}

fn object(etag: &str, body: &str) -> String {
    answer("200 OK", &format!("ETag: \"{etag}\"\r\n"), body)
}

#[tokio::test]
async fn an_answer_that_is_not_the_listed_object_is_retried() {
    let html = || answer("200 OK", "Content-Type: text/html\r\n", "<html>");
    let server = Server::saying([html(), object("e1", "abc"), object("e1", "abcdef")]).await;
    assert_eq!(open(&server).get_listed(&listed(), 100).await.unwrap().bytes, "abcdef");

    let server = Server::saying([html(), html(), html(), html()]).await;
    let failed = meaning(open(&server).get_listed(&listed(), 100).await);
    assert_eq!(failed, (ErrorKind::Unavailable, FailureReason::ContentMismatch));
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn another_version_is_returned_and_the_mark_of_a_weak_etag_is_none() {
    let weak = answer("200 OK", "ETag: W/\"e1\"\r\n", "abcdef");
    let server = Server::saying([object("e2", "abc"), weak]).await;
    let storage = open(&server);
    assert!(!storage.get_listed(&listed(), 100).await.unwrap().is_listed(&listed()));
    assert!(storage.get_listed(&listed(), 100).await.unwrap().is_listed(&listed()));
}

#[tokio::test]
async fn a_key_is_looked_up_in_the_listing_and_by_head_if_that_is_denied() {
    let denied = || answer("403 Forbidden", "", "<Error><Code>AccessDenied</Code></Error>");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: \"e1\"\r\nConnection: close\r\n\r\n".to_owned();
    let server = Server::saying([page(&["k", "k2"]), page(&["k2"]), denied(), head]).await;
    let storage = open(&server);
    assert_eq!(storage.look_up("k").await.unwrap().map(|object| object.key).as_deref(), Some("k"));
    assert_eq!(storage.look_up("k").await.unwrap(), None);
    assert_eq!(storage.look_up("k").await.unwrap(), Some(listed()));
    let lines = server.lines();
    assert!(lines[0].contains("max-keys=1&prefix=k") && lines[3].starts_with("HEAD "), "{lines:?}");
}

#[tokio::test]
async fn a_key_that_is_not_encoded_although_the_server_says_so_is_looked_up_alone() {
    let claimed = listing(&["a+b"], false).replace("<IsTruncated>", "<EncodingType>url</EncodingType><IsTruncated>");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: \"e1\"\r\nConnection: close\r\n\r\n".to_owned();
    let server = Server::saying([answer("200 OK", "", &claimed), head]).await;
    let found = open(&server).look_up("a+b").await.unwrap().expect("an object");
    assert_eq!((found.key.as_str(), found.size), ("a+b", 6));
}

#[tokio::test]
async fn a_listing_that_comes_once_as_html_or_out_of_order_is_requested_again() {
    let html = || answer("200 OK", "", "<html>");
    let server = Server::saying([html(), page(&["b", "a"]), page(&["a"])]).await;
    list(open(&server).as_ref()).await.unwrap();
    assert_eq!(server.requests().len(), 3);
    let server = Server::saying([html(), html(), html(), html()]).await;
    assert_eq!(meaning(list(open(&server).as_ref()).await), (ErrorKind::Invalid, FailureReason::BadAnswer));
}
