//! What Azure answers is checked against the listing.

use longshore_rig::azurite::Azurite;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::Rig;
use serde_json::json;

use super::fault_proxy::{Fault, FaultProxy, Refusal, RequestKind};
use super::{IMPORT, check_first, create, settings, with};

const PAGE: Fault = Fault::Page(r#"{"error": "bad gateway"}"#);
const HTML: Fault = Fault::Page("<html>502</html>");

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:03}.json")).collect()
}

async fn put_all(azurite: &Azurite, name: &str, keys: &[String]) -> String {
    let container = azurite.create_container(name).await;
    for key in keys {
        azurite.put(&container, key, json!({"text": key}).to_string().as_bytes()).await;
    }
    container
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_the_listed_blob_is_fetched_again() {
    let azurite = Azurite::shared().await;
    let rig = Rig::start().await;
    let proxy = FaultProxy::start(azurite.address()).await;
    let keys = keys(40);
    let container = put_all(&azurite, "content", &keys).await;
    for verify in [false, true] {
        let base = settings(&proxy.endpoint(), rig.project().await, &container);
        let storage = create(&rig, IMPORT, with(&base, json!({"verify_content": verify}))).await;
        let before = [RequestKind::Get, RequestKind::List].map(|ask| proxy.calls(ask).len());
        for (skip, fault) in [(3, PAGE), (4, HTML), (5, Fault::Half)] {
            proxy.disturb(RequestKind::Get, skip, 1, fault);
        }
        proxy.disturb(RequestKind::List, 0, 1, HTML);
        let sync = rig.sync_to_end(&storage).await;
        check_first(&rig, &storage, &sync, &one_each(keys.clone())).await;
        let after = [RequestKind::Get, RequestKind::List].map(|ask| proxy.calls(ask).len());
        assert_eq!([after[0] - before[0], after[1] - before[1]], [43, 2], "{sync}");
        let wrong = "SELECT count(*) FROM tasks WHERE storage_id = $1 AND data ->> 'text' IS DISTINCT FROM storage_key";
        let wrong = rig.database().await.query_one(wrong, &[&storage.id]).await.expect("tasks");
        assert_eq!(wrong.get::<_, i64>(0), 0, "tasks with other content than their blob");
        proxy.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_azure_that_pass_are_tried_again_at_the_end_of_the_sync() {
    let azurite = Azurite::shared().await;
    let rig = Rig::start().await;
    let proxy = FaultProxy::start(azurite.address()).await;
    let keys = keys(300);
    let container = put_all(&azurite, "refusals", &keys).await;
    let storage = create(&rig, IMPORT, settings(&proxy.endpoint(), rig.project().await, &container)).await;
    let before = proxy.calls(RequestKind::Get).len();
    // Late enough that some objects are read before: a storage whose first answers are all refusals fails the sync.
    proxy.refuse_some(RequestKind::Get, 200, 30, Refusal::new(403, "AuthorizationPermissionMismatch"));
    let sync = rig.sync_to_end(&storage).await;
    check_first(&rig, &storage, &sync, &one_each(keys)).await;
    assert_eq!(proxy.calls(RequestKind::Get).len() - before, 330, "{sync}");
}
