//! Each fault as a client sees it, and its effect on stored objects.

use std::io::ErrorKind;
use std::time::Duration;

use super::server;
use crate::s3::{Fault, Op, S3ErrorCode, When};

#[tokio::test]
async fn an_injected_error_has_its_own_status_and_code() {
    let (server, client) = server().await;
    server.put("bucket", "key", "content");
    for (code, status) in [
        (S3ErrorCode::InternalError, 500),
        (S3ErrorCode::ExpiredToken, 400),
        (S3ErrorCode::AccessDenied, 403),
        (S3ErrorCode::InvalidAccessKeyId, 403),
        (S3ErrorCode::SignatureDoesNotMatch, 403),
        (S3ErrorCode::RequestTimeTooSkewed, 403),
    ] {
        server.fail(When::op(Op::Get).times(1), Fault::Error(code.clone()));
        let answer = client.get("/bucket/key").await;
        assert_eq!(answer.status, status);
        assert!(answer.text().contains(&format!("<Code>{}</Code>", code.as_str())), "{}", answer.text());
        assert_eq!(client.get("/bucket/key").await.status, 200);
    }
}

#[tokio::test]
async fn slow_down_says_how_long_to_wait() {
    let (server, client) = server().await;
    server.fail(Op::List, Fault::SlowDown { retry_after_seconds: 7 });
    let answer = client.get("/bucket?list-type=2").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")));
    assert!(answer.text().contains("<Code>SlowDown</Code>"), "{}", answer.text());

    server.clear_faults();
    assert_eq!(client.get("/bucket?list-type=2").await.status, 200);
}

#[tokio::test]
async fn a_refused_put_stores_nothing() {
    let (server, client) = server().await;
    server.fail(Op::Put, Fault::Error(S3ErrorCode::InternalError));
    let answer = client.send("PUT", "/bucket/key", &[], &vec![b'x'; 300_000]).await;
    assert_eq!((answer.status, answer.error), (500, None));
    assert!(server.get("bucket", "key").is_none());
}

#[tokio::test]
async fn a_reset_comes_in_the_middle_of_the_body() {
    let (server, client) = server().await;
    server.put("bucket", "key", vec![b'x'; 10_000]);
    server.fail(When::op(Op::Get).times(1), Fault::Reset);
    let answer = client.get("/bucket/key").await;
    assert_eq!((answer.status, answer.body.len()), (200, 5_000));
    assert_eq!(answer.error, Some(ErrorKind::ConnectionReset));
    assert_eq!(answer.header("content-length"), Some("10000"));
    assert_eq!(server.calls()[0].status, None);
    assert!(client.get("/bucket/key").await.is_whole());
}

#[tokio::test]
async fn a_reset_put_is_stored_but_not_answered() {
    let (server, client) = server().await;
    server.fail(Op::Put, Fault::Reset);
    let answer = client.send("PUT", "/bucket/key", &[], b"content").await;
    assert_eq!((answer.status, answer.error), (0, Some(ErrorKind::ConnectionReset)));
    assert!(server.get("bucket", "key").is_some());
}

#[tokio::test]
async fn a_truncated_listing_is_a_complete_answer_but_invalid_xml() {
    let (server, client) = server().await;
    server.put_many("bucket", ["a", "b", "c"].map(|key| (key, "")));
    server.fail(Op::List, Fault::Truncated);
    let answer = client.get("/bucket?list-type=2").await;
    assert_eq!((answer.status, answer.error), (200, None));
    assert!(answer.is_whole());
    assert!(answer.text().starts_with("<?xml") && !answer.text().contains("</ListBucketResult>"), "{}", answer.text());
}

#[tokio::test]
async fn a_listing_can_claim_to_be_truncated_without_a_token() {
    let (server, client) = server().await;
    server.put_many("bucket", ["a", "b", "c"].map(|key| (key, "")));
    server.fail(Op::List, Fault::NoContinuationToken);
    for target in ["/bucket?list-type=2&max-keys=1", "/bucket?list-type=2"] {
        let answer = client.get(target).await;
        assert!(answer.is_whole());
        assert!(answer.text().contains("<IsTruncated>true</IsTruncated>"), "{}", answer.text());
        assert!(!answer.text().contains("NextContinuationToken"), "{}", answer.text());
        assert!(answer.text().ends_with("</ListBucketResult>"), "{}", answer.text());
    }
}

#[tokio::test]
async fn faults_apply_only_to_matching_calls() {
    let (server, client) = server().await;
    server.put_many("bucket", ["a", "b"].map(|key| (key, "")));
    server.fail(When::op(Op::Get).key("a").nth(2), Fault::Error(S3ErrorCode::InternalError));
    let mut statuses = Vec::new();
    for key in ["a", "b", "b", "a", "a"] {
        statuses.push(client.get(&format!("/bucket/{key}")).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 500, 200]);

    server.fail(When::any().after(1), Fault::Error(S3ErrorCode::AccessDenied));
    assert_eq!(client.get("/bucket/b").await.status, 200);
    assert_eq!(client.get("/bucket/b").await.status, 403);
    assert_eq!(client.get("/bucket?list-type=2").await.status, 403);
}

#[tokio::test]
async fn a_delayed_call_is_answered_after_a_later_one() {
    let (server, client) = server().await;
    server.put("bucket", "key", "content");
    server.fail(When::op(Op::Get).nth(1), Fault::Delay(Duration::from_secs(3600)));
    tokio::select! {
        _ = client.get("/bucket/key") => panic!("answered although delayed"),
        () = async { while server.count(Op::Get) == 0 { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(client.get("/bucket/key").await.text(), "content");
    let statuses: Vec<_> = server.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [None, Some(200)]);
}

#[tokio::test]
async fn a_held_put_is_stored_once_released() {
    let (server, client) = server().await;
    let hold = server.hold(When::op(Op::Put).key("key"));
    assert_eq!(client.send("PUT", "/bucket/other", &[], b"").await.status, 200);

    let (answer, ()) = tokio::join!(client.send("PUT", "/bucket/key", &[], b"content"), async {
        hold.reached().await;
        assert!(server.get("bucket", "key").is_none());
        hold.release();
    });
    assert_eq!(answer.status, 200);
    assert!(server.get("bucket", "key").is_some());
}

#[tokio::test]
async fn a_put_whose_answer_is_held_is_already_stored() {
    let (server, client) = server().await;
    let hold = server.hold_answer(Op::Put);
    let (answer, ()) = tokio::join!(client.send("PUT", "/bucket/key", &[], b"content"), async {
        hold.reached().await;
        assert!(server.get("bucket", "key").is_some());
        hold.release();
    });
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_held_request_whose_client_died_has_no_effect() {
    let (server, client) = server().await;
    let hold = server.hold(Op::Put);
    tokio::select! {
        _ = client.send("PUT", "/bucket/key", &[], b"content") => panic!("answered although held"),
        () = hold.reached() => {}
    }
    hold.abandoned().await;
    hold.release();
    assert_eq!(client.send("PUT", "/bucket/next", &[], b"content").await.status, 200);
    assert!(server.get("bucket", "key").is_none());
}

#[tokio::test]
async fn a_hook_can_change_a_bucket_while_it_is_listed() {
    let (server, client) = server().await;
    server.put("bucket", "a", "");
    server.before(When::op(Op::List).nth(2), |buckets| {
        buckets.put("bucket", "b", crate::s3::Object::new(""));
    });
    assert!(!client.get("/bucket?list-type=2").await.text().contains("<Key>b</Key>"));
    assert!(client.get("/bucket?list-type=2").await.text().contains("<Key>b</Key>"));
}

#[tokio::test]
async fn a_page_and_altered_bytes_come_with_status_200_and_their_length() {
    let (server, client) = server().await;
    server.put("bucket", "key", "100");
    let page = Fault::Page { content_type: "text/html", body: "<html></html>", etag: None };
    server.fail(When::op(Op::Get).nth(1), page);
    server.fail(When::op(Op::Get).nth(2), Fault::Altered);
    let answer = client.get("/bucket/key").await;
    assert_eq!((answer.status, &*answer.text(), answer.header("etag")), (200, "<html></html>", None));
    let (altered, right) = (client.get("/bucket/key").await, client.get("/bucket/key").await);
    assert_eq!((&*altered.text(), &*right.text()), ("199", "100"));
    assert!(altered.is_whole() && altered.header("etag") == right.header("etag"));
}

#[tokio::test]
async fn a_listing_in_descending_order_has_the_same_keys() {
    let (server, client) = server().await;
    server.put_many("bucket", ["a", "b", "c"].map(|key| (key, "")));
    server.fail(Op::List, Fault::Descending);
    let answer = client.get("/bucket?list-type=2").await;
    let text = answer.text();
    let keys: Vec<&str> = text.split("<Key>").skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!(keys, ["c", "b", "a"]);
}

#[tokio::test]
async fn a_rule_can_count_the_requests_on_each_key() {
    let (server, client) = server().await;
    server.put_many("bucket", ["a", "b"].map(|key| (key, "")));
    server.fail(When::op(Op::Get).nth(1).per_key(), Fault::Error(S3ErrorCode::AccessDenied));
    let mut statuses = Vec::new();
    for key in ["a", "b", "a", "b"] {
        statuses.push(client.get(&format!("/bucket/{key}")).await.status);
    }
    assert_eq!(statuses, [403, 403, 200, 200]);
}
