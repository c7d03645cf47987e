//! Longshore makes the external ID of each project and always sends it, so no project can assume the role of another.

use longshore_rig::installed::workspace;
use longshore_rig::rig::{Rig, StorageHandle, send_json};
use serde_json::{Value, json};

use super::{admin_of, call};
use crate::s3s::sts::{Cloud, HOUR, OPERATOR_KEY, OPERATOR_SECRET, ROLE};

const PATH: &str = "/api/storages/s3s";

/// A rig that may assume roles, for admins of single projects too.
async fn rig(cloud: &Cloud) -> Rig {
    Rig::with()
        .env("AWS_ENDPOINT_URL_STS", &cloud.sts_url)
        .env("AWS_ACCESS_KEY_ID", OPERATOR_KEY)
        .env("AWS_SECRET_ACCESS_KEY", OPERATOR_SECRET)
        .env("LONGSHORE_OWN_IDENTITY", "roles")
        .start()
        .await
}

fn role(cloud: &Cloud, project: i64) -> Value {
    json!({
        "project": project, "bucket": "pics", "s3_endpoint": cloud.s3.endpoint(), "role_arn": ROLE, "recursive_scan": true,
        "use_blob_urls": true,
    })
}

/// The storages that the statement of the operator's page finds.
async fn found_by_the_page(rig: &Rig) -> Vec<i64> {
    let page = std::fs::read_to_string(workspace().join("deploy/operations/security.md")).expect("the page");
    let statements: Vec<&str> = page.split("```sql\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    let [statement] = statements[..] else { panic!("one statement: {statements:?}") };
    let rows = rig.database().await.query(statement, &[]).await.expect("the statement works");
    rows.iter().map(|row| row.get("id")).collect()
}

/// Goal: an operator finds each storage whose role another project could assume. Method: storages as earlier releases saved
/// them, next to those of this release and of other kinds; then the advice of the page.
#[tokio::test(flavor = "multi_thread")]
async fn the_statement_of_the_page_finds_storages_with_another_external_id_until_they_send_their_own() {
    let cloud = Cloud::start(HOUR).await;
    cloud.s3.put("pics", "a.png", "x");
    let rig = rig(&cloud).await;
    let project = rig.project().await;
    let own = rig.external_id(project).await;
    cloud.trust(&own);
    rig.s3.create_bucket("other");
    rig.import_storage(project, "other", json!({})).await;
    let mut made = Vec::new();
    for path in [PATH, PATH, "/api/storages/export/s3s", "/api/storages/export/s3s"] {
        let body = rig.post(path, role(&cloud, project)).await;
        made.push(StorageHandle { id: body["id"].as_i64().expect("an ID"), project, path });
    }
    assert_eq!(found_by_the_page(&rig).await, [0_i64; 0]);
    let db = rig.database().await;
    for (storage, earlier) in
        [(&made[1], "settings || '{\"external_id\": \"chosen\"}'"), (&made[3], "settings - 'external_id'")]
    {
        db.execute(&format!("UPDATE storages SET settings = {earlier} WHERE id = $1"), &[&storage.id])
            .await
            .expect("a row");
    }
    let mut found = found_by_the_page(&rig).await;
    found.sort_unstable();
    assert_eq!(found, [made[1].id, made[3].id]);
    for storage in [&made[1], &made[3]] {
        assert_eq!(rig.patch(storage, json!({"external_id": own})).await["external_id"], json!(own));
    }
    assert_eq!(found_by_the_page(&rig).await, [0_i64; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_project_has_an_external_id_that_users_see_and_cannot_choose() {
    let rig = Rig::with().workers(0).start().await;
    let chosen = rig.post("/api/projects", json!({"title": "T", "external_id": "chosen-by-a-user"})).await;
    let (first, second) = (chosen["external_id"].as_str().expect("an ID"), rig.external_id(rig.project().await).await);
    for id in [first, second.as_str()] {
        let random = id.strip_prefix("longshore-").and_then(|id| id.parse::<uuid::Uuid>().ok());
        assert_eq!(random.expect("a random ID").get_version_num(), 4, "{id}");
    }
    assert_ne!(first, second);
    let project = chosen["id"].as_i64().expect("an ID");
    let reader = rig.post("/api/tokens", json!({"name": "reader", "role": "read", "projects": [project]})).await;
    let reader = reader["token"].as_str().expect("a token");
    for path in [format!("/api/projects/{project}"), "/api/projects".to_owned()] {
        let (status, shown) = send_json(rig.request("GET", &path).bearer_auth(reader)).await;
        assert!(status == 200 && shown.to_string().contains(first) && !shown.to_string().contains(&second), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_cannot_assume_the_role_of_another() {
    let cloud = Cloud::start(HOUR).await;
    cloud.s3.put("pics", "a.png", "x");
    let rig = rig(&cloud).await;
    let (theirs, own) = (rig.project().await, rig.project().await);
    let (their_id, own_id) = (rig.external_id(theirs).await, rig.external_id(own).await);
    cloud.trust(&their_id);
    let made = rig.post(PATH, role(&cloud, theirs)).await;
    assert_eq!(made["external_id"], json!(their_id));
    let storage = StorageHandle { id: made["id"].as_i64().expect("an ID"), project: theirs, path: PATH };
    assert_eq!(rig.sync_to_end(&storage).await["status"], "completed");

    // The attacker knows the other project's ARN and external ID, and has a project of their own.
    let (attacker, mut stolen) = (admin_of(&rig, &[own]).await, role(&cloud, own));
    for (path, code) in [(PATH.to_owned(), "role_denied"), (format!("{PATH}/validate"), "role_denied")] {
        let (status, body) = call(&rig, &attacker, "POST", &path, &stolen).await;
        assert_eq!((status, &body["code"]), (400, &json!(code)), "{body}");
    }
    stolen["external_id"] = json!(their_id);
    for path in
        [PATH.to_owned(), format!("{PATH}/validate"), format!("{PATH}/files"), "/api/storages/export/s3s".to_owned()]
    {
        let (status, body) = call(&rig, &attacker, "POST", &path, &stolen).await;
        assert_eq!((status, &body["code"]), (400, &json!("validation_error")), "{path}: {body}");
        let message = body["validation_errors"]["external_id"][0].as_str().unwrap_or_default();
        assert!(message.contains(&own_id) && !message.contains(&their_id), "{body}");
    }
    // An admin of both projects cannot take the storage along either: the other project has another ID.
    let both = admin_of(&rig, &[theirs, own]).await;
    let one = format!("{PATH}/{}", storage.id);
    let (status, body) = call(&rig, &both, "PATCH", &one, &json!({"project": own})).await;
    assert_eq!((status, &body["code"]), (400, &json!("role_denied")), "{body}");
    assert_eq!(rig.get(&one).await["project"], json!(theirs));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_id_that_a_user_chose_in_an_earlier_release_works_until_the_connection_changes() {
    let cloud = Cloud::start(HOUR).await;
    cloud.s3.put("pics", "a/a.png", "x");
    let rig = rig(&cloud).await;
    let project = rig.project().await;
    let own = rig.external_id(project).await;
    cloud.trust(&own);
    let made = rig.post(PATH, role(&cloud, project)).await;
    let storage = StorageHandle { id: made["id"].as_i64().expect("an ID"), project, path: PATH };
    // As an earlier release saved it.
    let earlier = "UPDATE storages SET settings = settings || '{\"external_id\": \"chosen-4711\"}' WHERE id = $1";
    rig.database().await.execute(earlier, &[&storage.id]).await.expect("a storage");
    cloud.trust("chosen-4711");

    assert_eq!(rig.sync_to_end(&storage).await["status"], "completed");
    let renamed = rig.patch(&storage, json!({"title": "T", "external_id": "chosen-4711"})).await;
    assert_eq!(renamed["external_id"], "chosen-4711");
    let path = format!("{PATH}/{}", storage.id);
    // A whole storage as a client read it: nothing of the connection differs.
    let read = rig.get(&path).await;
    assert_eq!(rig.call("PUT", &path, Some(read.clone())).await.1["external_id"], "chosen-4711");

    // In another region, because this process still has the credentials of the first creation.
    let change = json!({"region_name": "eu-west-1"});
    let (status, body) = rig.call("PATCH", &path, Some(change.clone())).await;
    assert_eq!((status, &body["code"]), (400, &json!("role_denied")), "{body}");
    cloud.trust(&own);
    assert_eq!(rig.patch(&storage, change).await["external_id"], json!(own));
    let (status, body) = rig.call("PATCH", &path, Some(json!({"external_id": "chosen-4711"}))).await;
    assert_eq!((status, &body["code"]), (400, &json!("validation_error")), "{body}");
    assert_eq!(rig.sync_to_end(&storage).await["status"], "completed");
}
