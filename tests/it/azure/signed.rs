//! The conformance suite and presigned URLs, on a server that checks signatures.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use longshore_model::{AzureSecrets, FailureReason, Paging, Secret, Secrets};
use longshore_rig::azurite::{ACCOUNT, Azurite, KEY};
use longshore_rig::raw_http;
use longshore_rig::rig::until;
use longshore_storage::conformance::{self, Seed, Subject, odd_keys};
use longshore_storage::{
    AllowedEndpoints, ErrorKind, ListRequest, Operator, PutOptions, Range, Storage, StorageMetrics, Stores, WireOptions,
};
use prometheus::Registry;
use serde_json::json;

use super::fault_proxy::{FaultProxy, RequestKind};

const HOUR: Duration = Duration::from_secs(3_600);

fn open(endpoint: &str, container: &str) -> Arc<dyn Storage> {
    let settings = json!({"kind": "azure", "container": container, "endpoint": endpoint});
    let settings = serde_json::from_value(settings).expect("settings");
    let secrets =
        Secrets::Azure(AzureSecrets { account_name: Some(Secret::new(ACCOUNT)), account_key: Some(Secret::new(KEY)) });
    let allowed = AllowedEndpoints::parse("127.0.0.0/8").expect("a network");
    let options = WireOptions { allowed, ..WireOptions::default() };
    let metrics = StorageMetrics::register(&Registry::new()).expect("a fresh registry");
    let stores = Stores::new(options, Operator::default(), metrics).expect("a client");
    stores.open(1, &settings, &secrets).expect("good settings")
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_does_what_every_kind_does_on_azurite() {
    let azurite = Azurite::shared().await;
    let own = open(&azurite.endpoint(), &azurite.create_container("own").await);
    conformance::all(&Subject { storage: own.as_ref(), seed: None, holds: Azurite::holds }).await;

    let container = azurite.create_container("seeded").await;
    let seeded = open(&azurite.endpoint(), &container);
    let seed: Seed<'_> = &|key: String, content: Bytes| {
        let (azurite, container) = (&azurite, &container);
        async move { azurite.put(container, &key, &content).await }.boxed()
    };
    conformance::all(&Subject { storage: seeded.as_ref(), seed: Some(seed), holds: Azurite::holds }).await;
}

#[tokio::test]
async fn an_odd_key_is_written_to_azure_unchanged_or_refused() {
    let azurite = Azurite::shared().await;
    let container = azurite.create_container("odd").await;
    let storage = open(&azurite.endpoint(), &container);
    for key in odd_keys("") {
        let put = storage.put(&key, Bytes::from(key.clone()), &PutOptions::default()).await;
        if Azurite::holds(&key) {
            put.unwrap_or_else(|error| panic!("put of {key:?}: {error:?}"));
            assert_eq!(azurite.get(&container, &key).await.as_deref(), Some(key.as_bytes()), "{key:?}");
        } else {
            let error = put.expect_err("a key that would name another blob");
            assert_eq!((error.kind, error.reason), (ErrorKind::Invalid, FailureReason::InvalidSettings), "{key:?}");
            assert_eq!(azurite.get(&container, &key.replace('\\', "/")).await, None, "{key:?}");
        }
    }
}

#[tokio::test]
async fn a_presigned_url_reads_every_odd_key_from_azure() {
    let azurite = Azurite::shared().await;
    let container = azurite.create_container("urls").await;
    let keys: Vec<String> = odd_keys("").into_iter().filter(|key| Azurite::holds(key)).collect();
    azurite.put_many(&container, &keys).await;
    let storage = open(&azurite.endpoint(), &container);
    for key in keys {
        let url = storage.presign(&key, HOUR).await.unwrap_or_else(|error| panic!("presign of {key:?}: {error:?}"));
        let answer = raw_http::get(url.expose()).await;
        assert_eq!((answer.status, answer.text()), (200, key.clone()), "signed URL of {key:?}");
    }
}

#[tokio::test]
async fn a_presigned_url_of_azure_reads_only_its_own_object() {
    let azurite = Azurite::shared().await;
    let (container, others) = (azurite.create_container("mine").await, azurite.create_container("others").await);
    azurite.put(&container, "mine+1", b"mine").await;
    azurite.put(&container, "theirs", b"theirs").await;
    azurite.put(&others, "mine+1", b"of another container").await;
    let storage = open(&azurite.endpoint(), &container);
    let url = storage.presign("mine+1", HOUR).await.expect("a URL").expose().to_owned();
    assert_eq!(raw_http::get(&url).await.text(), "mine");

    let (unsigned, signature) = url.split_once("&sig=").expect("a signature");
    let other_digit = if signature.starts_with('A') { "B" } else { "A" };
    let (later, _) = unsigned.split_once("&se=").expect("an end");
    let tampered = [
        format!("{unsigned}&sig={other_digit}{}", &signature[1..]),
        replaced(&url, "/mine%2B1?", "/theirs?"),
        replaced(&url, &format!("/{container}/"), &format!("/{others}/")),
        replaced(&url, "&sp=r&", "&sp=rwd&"),
        replaced(&url, "&sr=b&", "&sr=c&"),
        format!("{later}&se=2099-01-01T00%3A00%3A00Z&sr=b&sp=r&sig={signature}"),
    ];
    for url in tampered {
        let answer = raw_http::get(&url).await;
        assert_eq!(answer.status, 403, "{url}: {}", answer.text());
    }
    let bare = raw_http::get(url.split_once('?').expect("a query").0).await;
    assert!([401, 403, 404, 409].contains(&bare.status), "{}: {}", bare.status, bare.text());

    for method in ["DELETE", "PUT"] {
        let answer = raw_http::send(method, &url, &[("x-ms-blob-type", "BlockBlob")], b"").await;
        assert_eq!(answer.status, 403, "{method}: {}", answer.text());
    }
    assert_eq!(azurite.get(&container, "mine+1").await.as_deref(), Some(&b"mine"[..]));
}

fn replaced(url: &str, part: &str, other: &str) -> String {
    assert_eq!(url.matches(part).count(), 1, "{part} in {url}");
    url.replace(part, other)
}

#[tokio::test]
async fn a_presigned_url_of_azure_expires() {
    let azurite = Azurite::shared().await;
    let container = azurite.create_container("time").await;
    azurite.put(&container, "key", b"content").await;
    let storage = open(&azurite.endpoint(), &container);
    let short = storage.presign("key", Duration::from_secs(1)).await.expect("a URL");
    let long = storage.presign("key", HOUR).await.expect("a URL");
    let refusal = until("the URL has expired", || async {
        let answer = raw_http::get(short.expose()).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(refusal.status, 403, "{}", refusal.text());
    assert_eq!(raw_http::get(long.expose()).await.text(), "content");
}

#[tokio::test]
async fn a_blob_is_streamed_from_azure_whole_and_by_byte_range() {
    use futures::TryStreamExt;
    let azurite = Azurite::shared().await;
    let container = azurite.create_container("stream").await;
    azurite.put(&container, "key", b"0123456789").await;
    let storage = open(&azurite.endpoint(), &container);
    let range = |first, last| Some(Range { first, last });
    for (range, part, expected) in
        [(None, None, "0123456789"), (range(2, Some(4)), Some((2, 4)), "234"), (range(7, None), Some((7, 9)), "789")]
    {
        let stream = storage.stream("key", range).await.expect("a stream");
        assert_eq!((stream.size, stream.part), (10, part));
        let body: Vec<Bytes> = stream.body.try_collect().await.expect("a whole body");
        assert_eq!(body.concat(), expected.as_bytes());
    }
    for first in [10, 11] {
        let error = storage.stream("key", range(first, None)).await.err().expect("nothing there");
        assert_eq!(error.reason, FailureReason::NoSuchRange, "{first}");
        let error = storage.get("key", range(first, None), 10).await.expect_err("nothing there");
        assert_eq!(error.reason, FailureReason::NoSuchRange, "{first}");
    }
}

#[tokio::test]
async fn a_container_can_be_followed_with_its_markers() {
    let azurite = Azurite::shared().await;
    let container = azurite.create_container("followed").await;
    let keys: Vec<String> = (0..5).map(|n| format!("{n}")).collect();
    azurite.put_many(&container, &keys).await;
    let proxy = FaultProxy::start(azurite.address()).await;
    let storage = open(&proxy.endpoint(), &container);
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let request =
            ListRequest { cursor: cursor.as_deref(), limit: 2, paging: Paging::Token, ..ListRequest::default() };
        let page = storage.list_page(request).await.expect("a page");
        listed.extend(page.objects.into_iter().map(|listed| listed.meta.key));
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(listed, keys);
    let calls = proxy.calls(RequestKind::List);
    assert!(calls.len() == 3 && calls.iter().all(|call| !call.target.contains("startFrom=")), "{calls:?}");
    let found = storage.examine_listing("").await.expect("an examination");
    assert_eq!(found.paging, None, "all keys fit on one page");
}

#[tokio::test]
async fn an_azure_page_continues_after_the_last_name_instead_of_a_marker() {
    let azurite = Azurite::shared().await;
    let container = azurite.create_container("cursor").await;
    let keys: Vec<String> = (0..5).map(|n| format!("{n}")).collect();
    azurite.put_many(&container, &keys).await;
    let proxy = FaultProxy::start(azurite.address()).await;
    let storage = open(&proxy.endpoint(), &container);
    let page = |cursor: Option<&'static str>| {
        let storage = Arc::clone(&storage);
        async move { storage.list_page(ListRequest { cursor, limit: 2, ..ListRequest::default() }).await.expect("a page") }
    };
    let first = page(None).await;
    assert_eq!(first.next.as_deref(), Some("1"));
    // What the cursor names may be gone by the time that it is used.
    azurite.delete(&container, "1").await;
    let second = page(Some("1")).await;
    assert_eq!(second.objects.iter().map(|listed| listed.key()).collect::<Vec<_>>(), ["2", "3"]);
    let last = &proxy.calls(RequestKind::List)[1].target;
    assert!(last.contains("startFrom=1") && !last.contains("marker="), "{last}");
}
