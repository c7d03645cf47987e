//! Images of Label Studio's tasks: the redirect or the stream, and who gets them.

pub(crate) mod differences;
mod kinds;
mod scope;

use longshore_rig::label_studio::TOKEN;
use longshore_rig::rig::send_json;
use longshore_uri::encode_fileuri;
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use super::{Twin, Twins};

/// A request to Longshore without credentials that does not follow redirects.
fn bare(twins: &Twins, path: &str) -> RequestBuilder {
    let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
    http.get(format!("{}{path}", twins.rig.url()))
}

pub(super) async fn as_user(twins: &Twins, path: &str) -> Response {
    bare(twins, path).header("authorization", format!("Token {TOKEN}")).send().await.expect("an answer")
}

/// The ID of a project's first task.
pub(super) async fn first_task(twins: &Twins, twin: &Twin) -> i64 {
    let tasks = twins.studio.send("GET", &format!("/api/tasks/?project={}&page_size=1", twin.project), None).await;
    tasks["tasks"][0]["id"].as_i64().expect("a task")
}

pub(super) fn path(task: i64, uri: &str) -> String {
    format!("/tasks/{task}/resolve/?fileuri={}", encode_fileuri(uri))
}

/// Goal: `presign` decides between a redirect and a stream, for tasks that Label Studio itself or Longshore imported.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn images_of_label_studios_tasks_are_redirected_or_streamed_as_the_storage_says() {
    let twins = Twins::start().await;
    for (bucket, presign) in [("signed", true), ("streamed", false)] {
        twins.rig.s3.create_bucket(bucket);
        twins.rig.s3.put(bucket, "a ü+1.jpg", "pixels");
        let settings = json!({"use_blob_urls": true, "presign": presign, "presign_ttl": 7});
        let [theirs, ours] = [twins.import(bucket, settings.clone()).await, twins.import(bucket, settings).await];
        twins.sync_theirs(&theirs).await;
        twins.sync_ours(&ours).await;
        let uri = format!("s3://{bucket}/a ü+1.jpg");
        for task in [first_task(&twins, &theirs).await, first_task(&twins, &ours).await] {
            let encoded = encode_fileuri(&uri);
            for route in ["resolve/", "resolve", "presign/", "presign"] {
                let answer = as_user(&twins, &format!("/tasks/{task}/{route}?fileuri={encoded}")).await;
                if presign {
                    assert_eq!(answer.status(), 303, "{route}");
                    assert_eq!(answer.headers()["cache-control"], "no-store, max-age=420");
                    let location = answer.headers()["location"].to_str().expect("a URL").to_owned();
                    assert!(location.contains("X-Amz-Expires=420"), "{location}");
                    let image = reqwest::get(&location).await.expect("the storage answers").text().await;
                    assert_eq!(image.expect("an image"), "pixels");
                } else {
                    assert_eq!(answer.status(), 200, "{route}");
                    assert_eq!(answer.headers()["content-type"], "image/jpeg");
                    assert_eq!(answer.text().await.expect("an image"), "pixels");
                }
            }
            let range = bare(&twins, &path(task, &uri)).header("authorization", format!("Token {TOKEN}"));
            let part = range.header("range", "bytes=2-3").send().await.expect("an answer");
            assert_eq!(part.status(), if presign { 303 } else { 206 });
        }
    }
}

/// Goal: only those who may see a task get its images, and only those that it holds.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn label_studio_and_its_memberships_decide_who_gets_an_image() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("who");
    twins.rig.s3.put("who", "1.json", r#"{"image": "s3://who/held.jpg"}"#);
    twins.rig.s3.put("who", "held.jpg", "pixels");
    let twin = twins.import("who", json!({"presign": false, "regex_filter": r".*\.json"})).await;
    twins.sync_ours(&twin).await;
    let task = first_task(&twins, &twin).await;
    let held = path(task, "s3://who/held.jpg");
    let send = async |request: RequestBuilder| {
        let (status, body) = send_json(request).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let user = |path: &str| bare(&twins, path).header("authorization", format!("Token {TOKEN}"));
    let refused = |status: u16, code: &str| (status, code.to_owned());

    let cookie = twins.studio.session().await;
    let answer = bare(&twins, &held).header("cookie", &cookie).header("origin", "http://label.example").send().await;
    assert_eq!(answer.expect("an answer").status(), 200, "a browser's image has the cookie");
    assert_eq!(send(bare(&twins, &held)).await, refused(401, "unauthorized"));
    assert_eq!(send(bare(&twins, &held).header("cookie", "sessionid=forged")).await, refused(401, "unauthorized"));
    assert_eq!(send(bare(&twins, &held).header("authorization", "Token no")).await, refused(401, "unauthorized"));
    assert_eq!(send(user(&path(task, "s3://who/1.jpg"))).await, refused(404, "uri_not_held"));
    for other in [task + 1_000, 2_147_483_648, i64::MAX] {
        assert_eq!(send(user(&path(other, "s3://who/held.jpg"))).await, refused(404, "not_found"), "{other}");
    }
    assert_eq!(send(user("/tasks/99999999999999999999/resolve/?fileuri=x")).await, refused(404, "no_such_route"));

    // Tokens of Longshore are for projects of Label Studio, and links go on without any credentials.
    for (projects, expected) in [(json!([twin.project]), 200), (json!([twin.project + 1]), 404)] {
        let new = json!({"name": format!("token {expected}"), "role": "read", "projects": projects});
        let token = twins.rig.post("/api/tokens", new).await["token"].as_str().expect("a token").to_owned();
        let answer = bare(&twins, &held).bearer_auth(token).send().await.expect("an answer");
        assert_eq!(answer.status(), expected);
    }
    let resolved = twins.rig.post("/api/resolve", json!({"task": task})).await;
    let link = resolved["document"]["image"].as_str().expect("a link").to_owned();
    // A browser sends the cookie of another user along with the link.
    let answer = bare(&twins, &link).header("cookie", "sessionid=forged").send().await.expect("an answer");
    assert_eq!(answer.text().await.expect("an image"), "pixels");

    let db = twins.rig.database().await;
    let change = async |text: &str| db.batch_execute(text).await.expect("a change");
    change("UPDATE public.organizations_organizationmember SET deleted_at = now()").await;
    assert_eq!(send(user(&held)).await, refused(403, "forbidden"), "removed from the organization");
    change("UPDATE public.organizations_organizationmember SET deleted_at = NULL").await;
    change("UPDATE public.project SET deleted_at = now()").await;
    assert_eq!(send(user(&held)).await, refused(404, "not_found"), "a deleted project");
    change("UPDATE public.project SET deleted_at = NULL").await;

    twins.studio.stop().await;
    // Credentials that were not seen yet, because what Label Studio said before is used for some seconds.
    for _ in 0..2 {
        let unseen = bare(&twins, &held).header("x-api-key", "unseen");
        assert_eq!(send(unseen).await, refused(503, "label_studio_unavailable"));
    }
    let _: Value = twins.rig.get("/api/syncs").await;
}
