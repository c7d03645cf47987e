//! Objects that the scheduler streams: parts, heads, conditions, faults, and no limit of time.

use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_rig::rig::{Rig, until};

use serde_json::json;

use super::{ResolveRig, check_refused, header, of_task};

const CONTENT: &str = "0123456789";

async fn with_object(key: &str) -> (ResolveRig, String) {
    let all = ResolveRig::start().await;
    all.streaming("pics").await;
    all.rig.s3.put("pics", key, CONTENT);
    let uri = format!("s3://pics/{key}");
    let task = all.task(json!({"image": uri})).await;
    (all, of_task(task, &uri))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_streamed_whole_or_by_byte_range() {
    let (all, path) = with_object("a.jpg").await;
    for (range, status, part, content) in [
        (None, 200, None, CONTENT),
        (Some("bytes=0-"), 206, Some("bytes 0-9/10"), CONTENT),
        (Some("bytes=0-0"), 206, Some("bytes 0-0/10"), "0"),
        (Some("bytes=3-5"), 206, Some("bytes 3-5/10"), "345"),
        (Some("bytes=7-"), 206, Some("bytes 7-9/10"), "789"),
        (Some("bytes=7-99999999999999999999"), 206, Some("bytes 7-9/10"), "789"),
        (Some("bytes=-3"), 206, Some("bytes 7-9/10"), "789"),
        (Some("bytes=-99"), 206, Some("bytes 0-9/10"), CONTENT),
        (Some("bytes=5-3"), 200, None, CONTENT),
        (Some("bytes=a-b"), 200, None, CONTENT),
        (Some("lines=1-2"), 200, None, CONTENT),
        (Some("bytes=0-1,4-5"), 200, None, CONTENT),
    ] {
        let mut request = all.request("GET", &path);
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), header(&answer, "content-range")), (status, part), "{range:?}");
        assert_eq!(header(&answer, "content-length"), Some(&*content.len().to_string()), "{range:?}");
        assert_eq!(header(&answer, "accept-ranges"), Some("bytes"));
        assert_eq!(header(&answer, "content-type"), Some("image/jpeg"));
        assert_eq!(header(&answer, "cache-control"), Some("private, max-age=3600, must-revalidate"));
        assert!(
            header(&answer, "etag").is_some_and(|tag| tag.starts_with('"'))
                && header(&answer, "last-modified").is_some()
        );
        assert_eq!(answer.text().await.expect("a body"), content, "{range:?}");
    }
    for range in ["bytes=10-", "bytes=99-100", "bytes=99999999999999999999-", "bytes=-0"] {
        let answer = all.request("GET", &path).header("range", range).send().await.expect("an answer");
        assert_eq!(header(&answer, "content-range"), Some("bytes */10"), "{range}");
        check_refused(answer, 416, "no_such_range").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_tells_what_a_get_would_without_reading_the_object() {
    let (all, path) = with_object("a.mp4").await;
    all.rig.s3.put("pics", "a.mp4", vec![7; 3 << 20]);
    let mut whole = all.request("GET", &path).send().await.expect("an answer");
    while whole.chunk().await.expect("a whole answer").is_some() {}
    let before = all.rig.storage_link.bytes();
    let head = all.request("HEAD", &path).header("range", "bytes=1-2").send().await.expect("an answer");
    assert_eq!(head.status(), 200);
    for name in ["content-length", "content-type", "etag", "last-modified", "accept-ranges", "cache-control"] {
        assert_eq!(header(&head, name), header(&whole, name), "{name}");
    }
    assert_eq!(header(&head, "content-length"), Some("3145728"));
    assert_eq!(head.text().await.expect("nothing"), "");
    assert!(all.rig.storage_link.bytes() - before < 1 << 20);

    all.rig.s3.put("pics", "a.mp4", "");
    let head = all.request("HEAD", &path).send().await.expect("an answer");
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, Some("0")));
    let empty = all.request("GET", &path).send().await.expect("an answer");
    assert_eq!((empty.status().as_u16(), header(&empty, "content-length")), (200, Some("0")));
    all.rig.s3.remove("pics", "a.mp4");
    assert_eq!(all.request("HEAD", &path).send().await.expect("an answer").status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_in_the_browser_cache_is_not_sent_again() {
    let (all, path) = with_object("a.jpg").await;
    let first = all.request("GET", &path).send().await.expect("an answer");
    let (etag, modified) = (header(&first, "etag").expect("a tag"), header(&first, "last-modified").expect("a date"));
    let weak = format!("\"x\", W/{etag}");
    for (name, value, method) in [
        ("if-none-match", etag, "GET"),
        ("if-none-match", &*weak, "GET"),
        ("if-none-match", "*", "GET"),
        ("if-none-match", etag, "HEAD"),
        ("if-modified-since", modified, "GET"),
    ] {
        let answer = all.request(method, &path).header(name, value).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), header(&answer, "etag")), (304, Some(etag)), "{name}: {value}");
        assert_eq!(answer.text().await.expect("nothing"), "");
    }
    for (name, value) in [("if-none-match", "\"other\""), ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT")] {
        let answer = all.request("GET", &path).header(name, value).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.text().await.ok().as_deref()), (200, Some(CONTENT)), "{name}");
    }
    for (value, status, content) in [
        (etag, 206, "34"),
        (modified, 206, "34"),
        ("\"other\"", 200, CONTENT),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200, CONTENT),
    ] {
        let request = all.request("GET", &path).header("range", "bytes=3-4").header("if-range", value);
        let answer = request.send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.text().await.ok().as_deref()), (status, Some(content)), "{value}");
    }
    all.rig.s3.put("pics", "a.jpg", "changed");
    let answer = all.request("GET", &path).header("if-none-match", etag).send().await.expect("an answer");
    assert_eq!(answer.text().await.expect("a body"), "changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_is_never_a_complete_answer() {
    let (all, path) = with_object("a.jpg").await;
    all.rig.s3.put("pics", "a.jpg", vec![b'x'; 1 << 20]);
    all.rig.s3.fail(When::op(Op::Get).times(1), Fault::Reset);
    let answer = all.request("GET", &path).send().await.expect("the head of an answer");
    assert_eq!((answer.status().as_u16(), header(&answer, "content-length")), (200, Some("1048576")));
    assert!(answer.bytes().await.is_err(), "half of it looks like the whole");
    let logs = all.rig.logs();
    assert!(logs.contains("\"event\":\"object_stream_failed\"") && !logs.contains("a.jpg?"), "{logs}");
    assert_eq!(all.request("GET", &path).send().await.expect("an answer").bytes().await.expect("all").len(), 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_resolve_has_the_reason_of_the_storage() {
    let (all, path) = with_object("a.jpg").await;
    for (code, status, reason) in [
        (S3ErrorCode::AccessDenied, 424, "access_denied"),
        (S3ErrorCode::InvalidAccessKeyId, 424, "unknown_access_key"),
    ] {
        all.rig.s3.fail(When::op(Op::Get), Fault::Error(code));
        all.refused(&path, status, reason).await;
        all.rig.s3.clear_faults();
    }
    all.rig.s3.fail(When::op(Op::Get), Fault::Error(S3ErrorCode::InternalError));
    all.refused(&path, 503, "unavailable").await;
    all.rig.s3.clear_faults();
    all.rig.s3.remove("pics", "a.jpg");
    all.refused(&path, 404, "no_such_object").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn html_from_a_bucket_runs_no_script_on_this_site() {
    let all = ResolveRig::start().await;
    all.streaming("pics").await;
    let keys = ["x.html", "x.svg", "x.xml", "x.js", "x", "x.png", "x.txt", "x.pdf", "x.wav"];
    let task = all.task(json!({"all": keys.map(|key| format!("s3://pics/{key}"))})).await;
    for key in keys {
        all.rig.s3.put("pics", key, "<script>");
        let answer = all.resolve(task, &format!("s3://pics/{key}")).await;
        let active = ["x.html", "x.svg", "x.xml", "x.js", "x"].contains(&key);
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{key}");
        let sandboxed = header(&answer, "content-security-policy").is_some_and(|policy| policy.contains("sandbox"));
        assert_eq!((sandboxed, header(&answer, "content-disposition").is_some()), (active, active), "{key}");
    }
}

/// More than all buffers between bucket and browser hold together.
const LARGE: usize = 64 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_no_time_limit_follows_the_browsers_pace_and_ends_with_it() {
    // A handler may take four times this long; what it streams may take longer.
    let all = ResolveRig::with(Rig::with().workers(0).env("LONGSHORE_DATABASE_PATIENCE_SECONDS", "0.5")).await;
    all.streaming("pics").await;
    all.rig.s3.put("pics", "a.mp4", vec![1; LARGE]);
    let task = all.task(json!({"video": "s3://pics/a.mp4"})).await;

    let mut slow = all.resolve(task, "s3://pics/a.mp4").await;
    let mut read = slow.chunk().await.expect("a piece").expect("a piece").len();
    // A request that began later has used up the time that handlers have.
    let locked = all.rig.freeze("LOCK TABLE projects IN ACCESS EXCLUSIVE MODE").await;
    let (status, body) = all.rig.call("GET", "/api/projects", None).await;
    assert_eq!((status, &body["code"]), (503, &json!("timed_out")), "{body}");
    locked.release().await;
    let passed = all.rig.storage_link.bytes();
    assert!(passed < LARGE as u64 / 2, "{passed} bytes were read for a browser that reads none");
    while let Some(piece) = slow.chunk().await.expect("the rest") {
        read += piece.len();
    }
    assert_eq!(read, LARGE);

    let mut left = all.resolve(task, "s3://pics/a.mp4").await;
    left.chunk().await.expect("a piece").expect("a piece");
    drop(left);
    let before = all.rig.storage_link.bytes();
    until("the storage is not read on", || async { (all.rig.storage_link.connections() == 0).then_some(()) }).await;
    assert!(all.rig.storage_link.bytes() - before < LARGE as u64 / 2, "read to the end without a reader");
}
