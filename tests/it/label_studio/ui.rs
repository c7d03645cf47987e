//! Label Studio's own pages through nginx, in a real browser.

use std::collections::BTreeSet;

use longshore_local::App;
use longshore_local::s3::{Op, When};
use longshore_rig::label_studio::{EMAIL, PASSWORD};
use longshore_rig::rig::{rows, send_json, until};
use serde_json::{Value, json};

use super::{TOKEN, Twin, Twins};
use crate::browser::devtools::Browser;
use crate::browser::{WIDTH, image};

/// More loads of a page than the slowest state takes: each takes some milliseconds at least.
const MOST_LOADS: usize = 100_000;

/// A browser in which a user signed in through nginx.
struct User {
    browser: Browser,
    base: String,
}

impl User {
    async fn sign_in(twins: &Twins, nginx: &App) -> Self {
        let mut browser = Browser::open(twins.rig.run_dir.root()).await;
        let base = nginx.url();
        browser.visit(&format!("{base}/user/login/")).await;
        let fill = format!(
            "(form => form && (form.email.value = {}, form.password.value = {}, form.requestSubmit(), true))
             (document.querySelector('#login-form'))",
            json!(EMAIL),
            json!(PASSWORD)
        );
        browser.until(&fill).await;
        browser.until("!location.pathname.startsWith('/user/') && location.pathname").await;
        Self { browser, base }
    }

    async fn visit(&mut self, path: &str) {
        self.browser.visit(&format!("{}{path}", self.base)).await;
    }

    /// The answer to a request of the page, with the user's cookie.
    async fn fetch(&mut self, path: &str, options: Value) -> Value {
        let fetch = format!("fetch({}, {options}).then(answer => answer.json())", json!(path));
        self.browser.evaluate(&fetch).await.unwrap_or_else(|| panic!("{path} answers with JSON"))
    }
}

/// Goal: a user of Label Studio sees no difference but the speed. Method: sign in, sync, reload, filter by the column that
/// the import filled, open a task.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_user_syncs_filters_and_sees_the_image_of_a_task_in_the_browser() {
    let twins = Twins::start().await;
    let s3 = &twins.rig.s3;
    s3.put_many("photos", ["cats/one.bmp", "cats/two.bmp", "dogs/three.bmp"].map(|key| (key, image())));
    // The editor loads images with CORS; after a redirect to another site the origin is `null`.
    s3.allow_origin("*");
    let settings = json!({"use_blob_urls": true, "recursive_scan": true, "title": "Photos", "presign": true});
    let Twin { project, storage: _ } = twins.import("photos", settings).await;
    let nginx = twins.nginx().await;
    let mut user = User::sign_in(&twins, &nginx).await;

    user.visit(&format!("/projects/{project}/settings/storage")).await;
    user.browser.until_shown("Not synced yet").await;
    user.browser.click("Sync Storage").await;
    user.browser.until_shown("3 (3 new)").await;
    user.browser.until_shown("Completed").await;
    let syncs = twins.rig.get("/api/syncs").await;
    assert_eq!(rows(&syncs).len(), 1, "Longshore did it: {syncs}");
    // Label Studio's page itself reads the row now.
    user.browser.reload().await;
    user.browser.until_shown("3 (3 new)").await;
    user.browser.click("Sync Storage").await;
    user.browser.until_shown("3 (0 new)").await;

    let db = twins.rig.database().await;
    until("everything is added to the summary", async || {
        let left = db.query_one("SELECT count(*) FROM host_deltas", &[]).await.expect("a table");
        (left.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    let filter =
        json!({"filter": "filter:tasks:data.image", "operator": "contains", "type": "String", "value": "/cats/two"});
    let view =
        json!({"project": project, "data": {"title": "Cats", "filters": {"conjunction": "and", "items": [filter]}}});
    let options = json!({"method": "POST", "headers": {"content-type": "application/json"}, "body": view.to_string()});
    let view = user.fetch("/api/dm/views/", options).await;
    user.visit(&format!("/projects/{project}/data?tab={}", view["id"])).await;
    user.browser.until_shown("Tasks: 1 / 3").await;
    user.browser.until_shown("cats/two.bmp").await;

    let tasks = twins.studio.send("GET", &format!("/api/tasks/?project={project}&view={}", view["id"]), None).await;
    let task = &tasks["tasks"][0]["id"];
    user.visit(&format!("/projects/{project}/data?tab={}&task={task}", view["id"])).await;
    user.browser.until_shown("dog").await;
    let loaded = format!("[...document.images].some(image => image.complete && image.naturalWidth === {WIDTH})");
    user.browser.until(&loaded).await;
}

/// Goal: the page never loses the storages of a project, as it does for odd rows. Method: the list is loaded again and again
/// while a sync runs, while it makes no progress for longer than Label Studio waits, and after its processes were killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_list_of_storages_is_never_empty_while_a_sync_runs_stalls_and_is_killed() {
    let mut twins = Twins::start().await;
    twins.rig.s3.put_many("stall", (0..2_500).map(|n| (format!("{n:04}.jpg"), "x")));
    let twin = twins.import("stall", json!({"use_blob_urls": true})).await;
    let second_page = twins.rig.s3.hold(When::op(Op::List).after(1));
    let nginx = twins.nginx().await;
    let mut user = User::sign_in(&twins, &nginx).await;
    let mut list = List { path: format!("/api/storages?project={}", twin.project), loads: 0, pings: BTreeSet::new() };

    let request = twins.rig.request("POST", &format!("/api/storages/s3/{}/sync", twin.storage));
    let request = request.header("authorization", format!("Token {TOKEN}")).header("prefer", "respond-async");
    let (status, asked) = send_json(request).await;
    assert_eq!((status, &asked["last_sync"]), (200, &Value::Null), "it has not ended: {asked}");
    list.until(&mut user, "in_progress").await;
    for _ in 0..50 {
        assert_eq!(list.load(&mut user).await, "in_progress");
    }
    // Five signs of life are 40 s: Label Studio would take the sync for dead after 25 s without one.
    second_page.reached().await;
    while list.pings.len() < 5 {
        assert_eq!(list.load(&mut user).await, "in_progress");
        assert!(list.loads < MOST_LOADS, "signs of life: {:?}", list.pings);
    }
    twins.rig.workers[0].process.kill().await.expect("a worker ends");
    for _ in 0..50 {
        assert_eq!(list.load(&mut user).await, "in_progress");
    }
    // Without a scheduler there are no more signs of life, and Label Studio itself says so.
    twins.rig.schedulers[0].process.kill().await.expect("a scheduler ends");
    list.until(&mut user, "failed").await;
    for _ in 0..50 {
        list.load(&mut user).await;
    }
    assert!(list.loads >= 200, "{} loads", list.loads);

    second_page.release();
    twins.rig.schedulers.clear();
    twins.rig.workers.clear();
    twins.rig.add_scheduler().await;
    twins.rig.add_worker().await;
    list.until(&mut user, "completed").await;
    assert_eq!(twins.rows(&twin).await["tasks"].as_array().map(Vec::len), Some(2_500));
}

/// The list of storages, as the page loads it.
struct List {
    path: String,
    loads: usize,
    /// Different times at which the sync was alive.
    pings: BTreeSet<String>,
}

impl List {
    /// Loads it until its storage has this status.
    async fn until(&mut self, user: &mut User, status: &str) {
        while self.load(user).await != status {
            assert!(self.loads < MOST_LOADS, "never {status}");
        }
    }

    /// Loads it, and returns the status of its one storage.
    async fn load(&mut self, user: &mut User) -> String {
        let storages = user.fetch(&self.path, json!({})).await;
        let [storage] = rows(&storages) else { panic!("load {}: {storages}", self.loads) };
        self.loads += 1;
        self.pings.extend(storage["meta"]["time_last_ping"].as_str().map(str::to_owned));
        storage["status"].as_str().expect("a status").to_owned()
    }
}
