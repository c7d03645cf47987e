//! The behavior that every kind of storage must have: a list of functions over `&dyn Storage`.
//!
//! Each function works below its own prefix and does not clean up, so a fresh bucket is best but not required. Like
//! tests, they panic with the difference.

mod subject;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use longshore_model::FailureReason;

use crate::{ErrorKind, ListRequest, Probe, PutOptions, Range};
pub use subject::{Seed, Subject};

/// Runs every case in turn.
pub async fn all(subject: &Subject<'_>) {
    odd_keys_are_listed_read_signed_and_deleted_unchanged(subject).await;
    pages_of_every_size_give_each_key_once(subject).await;
    a_listing_starts_after_a_key_that_may_not_exist(subject).await;
    a_delimiter_rolls_up_each_prefix_once(subject).await;
    a_prefix_is_text_and_not_a_folder(subject).await;
    a_prefix_without_keys_is_an_empty_page(subject).await;
    a_put_replaces_and_gives_the_etag_that_is_listed(subject).await;
    a_listed_object_is_read_and_looked_up_as_it_is_listed(subject).await;
    ranges_and_limits_hold(subject).await;
    a_stream_returns_the_requested_range_and_names_it(subject).await;
    a_missing_object_is_not_found_and_deleting_it_succeeds(subject).await;
    probes_pass_and_leave_nothing(subject).await;
}

/// Legal keys below `prefix` that clients, proxies and servers tend to change.
pub fn odd_keys(prefix: &str) -> Vec<String> {
    let mut keys: Vec<String> = [
        "plain.json",
        "a//b",
        "./x",
        "a/../b",
        "/lead",
        "dir/",
        " lead space",
        "trail space ",
        "two  spaces",
        "a+b",
        "a b",
        "%2F",
        "100%",
        "x?y=1&z#w",
        "star*[1]{2}",
        "back\\slash~",
        "new\nline",
        "tab\there",
        "quote\"'",
        "<tag>&amp;",
        "semi;colon,comma=@:$!()|^`",
        "emoji 😀",
        "nfc \u{e9}",
        "nfd e\u{301}",
        "Case",
        "case",
        ".",
        "..",
        "中文/ключ",
    ]
    .iter()
    .map(|key| format!("{prefix}{key}"))
    .collect();
    keys.push(format!("{prefix}{}", "k".repeat(1_024 - prefix.len())));
    keys.sort();
    keys
}

/// No call changes an odd key.
pub async fn odd_keys_are_listed_read_signed_and_deleted_unchanged(subject: &Subject<'_>) {
    let prefix = "conformance/odd/";
    let keys: Vec<String> = odd_keys(prefix).into_iter().filter(|key| (subject.holds)(key)).collect();
    for key in &keys {
        subject.make(key, key).await;
    }
    assert_eq!(subject.keys(prefix, 1_000).await, keys, "listed keys");
    for key in &keys {
        assert_eq!(subject.read(key).await, key.as_str(), "content of {key:?}");
        let head = subject.storage.head(key).await.unwrap_or_else(|error| panic!("head of {key:?}: {error:?}"));
        assert_eq!((&head.key, head.size), (key, key.len() as u64), "head of {key:?}");
        let url = match subject.storage.presign(key, Duration::from_secs(60)).await {
            // Some kinds have no presigned URLs.
            Err(error) if error.reason == FailureReason::NoSignedUrls => continue,
            url => url.unwrap_or_else(|error| panic!("presign of {key:?}: {error:?}")),
        };
        if url.expose().starts_with("http://") {
            assert_eq!(fetch(url.expose()).await, key.as_str(), "presigned URL of {key:?}");
        }
    }
    for key in &keys {
        subject.storage.delete(key).await.unwrap_or_else(|error| panic!("delete of {key:?}: {error:?}"));
    }
    assert_eq!(subject.keys(prefix, 1_000).await, Vec::<String>::new(), "deleted keys");
}

/// Neither the size of the pages nor the process that holds the cursor changes the result.
pub async fn pages_of_every_size_give_each_key_once(subject: &Subject<'_>) {
    let prefix = "conformance/pages/";
    let keys: Vec<String> = (0..25).map(|n| format!("{prefix}{n:03}")).collect();
    for key in &keys {
        subject.make(key, "x").await;
    }
    for limit in [1, 2, 3, 24, 25, 26, 1_000] {
        assert_eq!(subject.keys(prefix, limit).await, keys, "pages of {limit}");
    }
}

/// `after` is exclusive and need not be a key.
pub async fn a_listing_starts_after_a_key_that_may_not_exist(subject: &Subject<'_>) {
    if !subject.storage.is_ordered() {
        return;
    }
    let prefix = "conformance/after/";
    for name in ["a", "b", "c"] {
        subject.make(&format!("{prefix}{name}"), "x").await;
    }
    for (after, expected) in [("", 3), ("a", 2), ("aa", 2), ("b", 1), ("c", 0), ("z", 0)] {
        let after = format!("{prefix}{after}");
        let request = ListRequest { prefix, after: Some(&after), limit: 1_000, ..ListRequest::default() };
        let page = subject.storage.list_page(request).await.expect("a listing");
        assert_eq!(page.objects.len(), expected, "after {after:?}");
        assert!(page.objects.iter().all(|object| object.key() > after.as_str()), "after {after:?}");
    }
}

/// Also if a page ends among the keys that a prefix rolls up.
pub async fn a_delimiter_rolls_up_each_prefix_once(subject: &Subject<'_>) {
    // A storage without an order has no folders either.
    if !subject.storage.is_ordered() {
        return;
    }
    let prefix = "conformance/tree/";
    for name in ["a", "b/1", "b/2", "b/3", "b/c/4", "b0", "d/1", "d/2", "e"] {
        subject.make(&format!("{prefix}{name}"), "x").await;
    }
    let expected = |names: &[&str]| names.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>();
    for limit in [1, 2, 3, 1_000] {
        let (objects, prefixes) = subject.walk(prefix, Some("/"), limit).await;
        let objects: Vec<String> = objects.into_iter().map(|object| object.key).collect();
        assert_eq!(objects, expected(&["a", "b0", "e"]), "objects, pages of {limit}");
        assert_eq!(prefixes, expected(&["b/", "d/"]), "prefixes, pages of {limit}");
    }
}

/// A prefix may end within a name.
pub async fn a_prefix_is_text_and_not_a_folder(subject: &Subject<'_>) {
    let prefix = "conformance/text/";
    let storable = |names: &[&str]| {
        let keys = names.iter().map(|name| format!("{prefix}{name}"));
        keys.filter(|key| (subject.holds)(key)).collect::<Vec<_>>()
    };
    for key in storable(&["ab", "abc", "ab/c", "abd/c", "b"]) {
        subject.make(&key, "x").await;
    }
    let keys = subject.keys(&format!("{prefix}ab"), 1_000).await;
    assert_eq!(keys, storable(&["ab", "ab/c", "abc", "abd/c"]));
}

/// An empty listing is not an error.
pub async fn a_prefix_without_keys_is_an_empty_page(subject: &Subject<'_>) {
    let request = ListRequest { prefix: "conformance/nothing/", limit: 10, ..ListRequest::default() };
    let page = subject.storage.list_page(request).await.expect("a listing");
    assert!(page.objects.is_empty() && page.prefixes.is_empty() && page.next.is_none(), "{page:?}");
}

/// The etag of an object changes with its content.
pub async fn a_put_replaces_and_gives_the_etag_that_is_listed(subject: &Subject<'_>) {
    let key = "conformance/put/one.json";
    // An unordered key-value store has neither modification times nor content types.
    let keeps_more = subject.storage.is_ordered();
    let options = PutOptions { content_type: Some("application/json"), kms_key_id: None };
    let mut etags = BTreeSet::new();
    for content in ["{}", "[]", ""] {
        let put = subject.storage.put(key, Bytes::from_static(content.as_bytes()), &options).await.expect("a put");
        let (objects, _) = subject.walk("conformance/put/", None, 10).await;
        let [listed] = objects.as_slice() else { panic!("one object, not {objects:?}") };
        assert_eq!(listed.size, content.len() as u64);
        assert!(listed.modified_at.is_some() || !keeps_more, "a listing has the time of the last write");
        let body = subject.storage.get(key, None, 100).await.expect("a get");
        assert_eq!(body.bytes, content);
        assert_eq!(body.content_type.as_deref(), keeps_more.then_some("application/json"));
        let head = subject.storage.head(key).await.expect("a head");
        assert_eq!([&listed.etag, &body.etag, &head.etag], [&put; 3], "etags of list, get, head and put");
        etags.insert(put);
    }
    assert_eq!(etags.len(), 3, "each content has its own etag");
}

/// The answer to a read has the etag and the size of the listing; one that was written meanwhile has others.
pub async fn a_listed_object_is_read_and_looked_up_as_it_is_listed(subject: &Subject<'_>) {
    let prefix = "conformance/listed/";
    for name in ["a", "ab", "b"] {
        subject.make(&format!("{prefix}{name}"), "0123456789").await;
    }
    let (mut objects, _) = subject.walk(prefix, None, 10).await;
    let listed = objects.remove(0);
    let body = subject.storage.get_listed(&listed, 10).await.expect("a get");
    assert!(body.is_listed(&listed) && body.bytes == "0123456789" && body.stored_size == 10, "{body:?}");
    let found = subject.storage.look_up(&listed.key).await.expect("a look-up").expect("it exists");
    assert_eq!((&found.key, found.size, &found.etag), (&listed.key, listed.size, &listed.etag));
    assert_eq!(subject.storage.look_up(&format!("{prefix}missing")).await.expect("a look-up"), None);

    subject.make(&listed.key, "other").await;
    let body = subject.storage.get_listed(&listed, 10).await.expect("a get");
    assert!(!body.is_listed(&listed), "{body:?}");
    let found = subject.storage.look_up(&listed.key).await.expect("a look-up").expect("it exists");
    assert!(body.is_listed(&found) && body.stored_size == found.size, "{body:?} {found:?}");
}

/// Ranges include both ends, and no answer is longer than requested.
pub async fn ranges_and_limits_hold(subject: &Subject<'_>) {
    let key = "conformance/ranges";
    subject.make(key, "0123456789").await;
    for (first, last, expected) in
        [(0, Some(0), "0"), (2, Some(4), "234"), (7, None, "789"), (8, Some(99), "89"), (0, None, "0123456789")]
    {
        let body = subject.storage.get(key, Some(Range { first, last }), 10).await.expect("a range");
        assert_eq!(body.bytes, expected, "{first} to {last:?}");
    }
    assert_eq!(subject.storage.get(key, None, 10).await.expect("a get").bytes.len(), 10);
    let error = subject.storage.get(key, None, 9).await.expect_err("a get over the limit");
    assert_eq!(error.reason, FailureReason::TooLarge);
}

/// An object too large for memory can be streamed.
pub async fn a_stream_returns_the_requested_range_and_names_it(subject: &Subject<'_>) {
    let key = "conformance/stream";
    subject.make(key, "0123456789").await;
    for (range, expected, part) in [
        (None, "0123456789", None),
        (Some(Range { first: 2, last: Some(4) }), "234", Some((2, 4))),
        (Some(Range { first: 8, last: Some(99) }), "89", Some((8, 9))),
        (Some(Range { first: 7, last: None }), "789", Some((7, 9))),
    ] {
        let stream = subject.storage.stream(key, range).await.unwrap_or_else(|error| panic!("{range:?}: {error:?}"));
        assert_eq!((stream.size, stream.part), (10, part), "{range:?}");
        let listed = subject.storage.head(key).await.expect("a head");
        assert_eq!(stream.etag, listed.etag, "{range:?}");
        let pieces: Vec<Bytes> = stream.body.try_collect().await.expect("the pieces");
        assert_eq!(pieces.concat(), expected.as_bytes(), "{range:?}");
    }
    let past_end = subject.storage.stream(key, Some(Range { first: 10, last: None })).await;
    let error = past_end.err().expect("a range past the end");
    assert_eq!(error.reason, FailureReason::NoSuchRange);
    let missing = subject.storage.stream("conformance/missing", None).await;
    assert_eq!(missing.err().expect("nothing to stream").kind, ErrorKind::NotFound);
}

/// A missing object is distinguished from a failure.
pub async fn a_missing_object_is_not_found_and_deleting_it_succeeds(subject: &Subject<'_>) {
    let key = "conformance/missing";
    let get = subject.storage.get(key, None, 10).await.expect_err("nothing to get");
    let head = subject.storage.head(key).await.expect_err("nothing to head");
    assert_eq!((get.kind, head.kind), (ErrorKind::NotFound, ErrorKind::NotFound));
    subject.storage.delete(key).await.expect("nothing to delete");
}

/// A probe changes nothing.
pub async fn probes_pass_and_leave_nothing(subject: &Subject<'_>) {
    let before = subject.keys("", 1_000).await;
    subject.storage.probe(Probe::Read).await.expect("may list");
    subject.storage.probe(Probe::Write).await.expect("may write");
    assert_eq!(subject.keys("", 1_000).await, before);
}

/// Reads a URL without changing it; other clients normalize its path.
async fn fetch(url: &str) -> Bytes {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.get(url.parse().expect("a URL")).await.expect("an answer");
    assert!(answer.status().is_success(), "{} for a presigned URL", answer.status());
    answer.into_body().collect().await.expect("a whole body").to_bytes()
}
