//! URIs in task data become presigned URLs or streams, and only those that a task holds.

mod documents;
mod ended_links;
mod links;
pub(crate) mod local_files;
mod streams;

use longshore_rig::raw_http;
use longshore_rig::rig::{FRESH_ACCESS_KEY_ID, Rig, RigOptions, StorageHandle};
use longshore_storage::conformance::odd_keys;
use longshore_uri::encode_fileuri;
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

/// A rig with a project, and a client that does not follow redirects.
pub(crate) struct ResolveRig {
    pub(crate) rig: Rig,
    pub(crate) project: i64,
    http: reqwest::Client,
}

impl ResolveRig {
    async fn start() -> Self {
        Self::with(Rig::with().workers(0)).await
    }

    pub(crate) async fn with(wishes: RigOptions) -> Self {
        let rig = wishes.start().await;
        let project = rig.project().await;
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        Self { rig, project, http }
    }

    /// Creates an import storage on the bucket, and the bucket if needed. Objects are streamed through Longshore.
    async fn streaming(&self, bucket: &str) -> StorageHandle {
        self.connected(bucket, json!({"presign": false})).await
    }

    async fn connected(&self, bucket: &str, settings: Value) -> StorageHandle {
        self.rig.s3.create_bucket(bucket);
        self.rig.import_storage(self.project, bucket, settings).await
    }

    /// Creates a task with this data that belongs to no storage.
    pub(crate) async fn task(&self, data: Value) -> i64 {
        self.task_of(self.project, &data, None, None).await
    }

    async fn task_of(&self, project: i64, data: &Value, storage: Option<i64>, key: Option<&str>) -> i64 {
        let insert =
            "INSERT INTO tasks (project_id, data, storage_id, storage_key) VALUES ($1, $2, $3, $4) RETURNING id";
        let row = self.rig.database().await.query_one(insert, &[&project, data, &storage, &key]).await;
        row.expect("a task").get(0)
    }

    /// A request without a token that does not follow redirects.
    pub(crate) fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        self.http.request(method.parse().expect("a method"), format!("{}{path}", self.rig.url()))
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(self.rig.token())
    }

    /// Resolves a URI of a task.
    async fn resolve(&self, task: i64, uri: &str) -> Response {
        self.request("GET", &of_task(task, uri)).send().await.expect("an answer")
    }

    /// Checks that a path is refused with this status and code.
    async fn refused(&self, path: &str, status: u16, code: &str) {
        let answer = self.request("GET", path).send().await.expect("an answer");
        check_refused(answer, status, code).await;
    }
}

pub(crate) async fn check_refused(answer: Response, status: u16, code: &str) {
    let what = answer.url().to_string();
    let answered = answer.status().as_u16();
    let body = answer.text().await.expect("a whole answer");
    let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{what}: not an error: {body}"));
    assert_eq!((answered, &body["code"]), (status, &json!(code)), "{what}: {body}");
}

pub(crate) fn of_task(task: i64, uri: &str) -> String {
    format!("/tasks/{task}/resolve/?fileuri={}", encode_fileuri(uri))
}

fn of_project(project: i64, uri: &str) -> String {
    format!("/projects/{project}/resolve/?fileuri={}", encode_fileuri(uri))
}

pub(crate) fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().expect("text"))
}

fn location(answer: &Response) -> String {
    assert_eq!(answer.status(), 303, "{answer:?}");
    header(answer, "location").expect("a location").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn resolving_to_a_presigned_url_is_an_uncached_redirect_without_a_storage_request() {
    let all = ResolveRig::start().await;
    let storage = all.connected("pics", json!({})).await;
    all.rig.s3.put("pics", "a/1.jpg", "the image");
    let task = all.task(json!({"image": "s3://pics/a/1.jpg"})).await;
    all.rig.s3.clear_calls();

    let slashless = of_task(task, "s3://pics/a/1.jpg").replace("/?", "?");
    let alias = of_task(task, "s3://pics/a/1.jpg").replace("resolve", "presign");
    for (method, path) in [("GET", of_task(task, "s3://pics/a/1.jpg")), ("GET", slashless), ("HEAD", alias)] {
        let answer = all.request(method, &path).send().await.expect("an answer");
        let url = location(&answer);
        assert!(url.starts_with(&format!("http://{}/pics/a/1.jpg?", all.rig.storage_link.address())), "{url}");
        assert!(url.contains("X-Amz-Expires=60&"), "{url}");
        assert_eq!(header(&answer, "cache-control"), Some("no-store, max-age=60"));
        assert_eq!(answer.text().await.expect("nothing"), "");
        assert_eq!(all.rig.s3.calls().len(), 0, "signing sends no request");
        assert_eq!(raw_http::get(&url).await.text(), "the image");
        all.rig.s3.clear_calls();
    }

    all.rig.patch(&storage, json!({"presign_ttl": 15, "aws_access_key_id": FRESH_ACCESS_KEY_ID})).await;
    let answer = all.resolve(task, "s3://pics/a/1.jpg").await;
    assert_eq!(header(&answer, "cache-control"), Some("no-store, max-age=900"));
    let url = location(&answer);
    assert!(url.contains("X-Amz-Expires=900&") && url.contains(FRESH_ACCESS_KEY_ID), "at once, as it is now: {url}");
    all.rig.s3.remove("pics", "a/1.jpg");
    location(&all.resolve(task, "s3://pics/a/1.jpg").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_odd_key_is_resolved_unchanged_signed_or_streamed() {
    let all = ResolveRig::start().await;
    let storage = all.streaming("odd").await;
    let mut tasks = Vec::new();
    for key in odd_keys("") {
        all.rig.s3.put("odd", &key, format!("object {key}"));
        let uri = format!("s3://odd/{key}");
        let task = all.task_of(all.project, &json!({"image": uri}), Some(storage.id), Some(&key)).await;
        tasks.push((task, uri, format!("object {key}")));
    }
    for (task, uri, content) in &tasks {
        let answer = all.resolve(*task, uri).await;
        assert_eq!((answer.status().as_u16(), answer.text().await.ok().as_ref()), (200, Some(content)), "{uri:?}");
    }
    all.rig.patch(&storage, json!({"presign": true})).await;
    for (task, uri, content) in &tasks {
        assert_eq!(&raw_http::get(&location(&all.resolve(*task, uri).await)).await.text(), content, "{uri:?}");
    }
    // And the links that the API itself returns.
    for (task, uri, content) in &tasks {
        let shown = all.rig.get(&format!("/api/tasks/{task}")).await;
        let link = shown["data"]["image"].as_str().expect("a link");
        let answer = all.bare("GET", link).send().await.expect("an answer");
        assert_eq!(&raw_http::get(&location(&answer)).await.text(), content, "{uri:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_fileuri_is_read_and_none_is_refused() {
    let all = ResolveRig::start().await;
    all.streaming("pics").await;
    all.rig.s3.put("pics", "k>>>???.txt", "here");
    let task = all.task(json!({"text": "s3://pics/k>>>???.txt"})).await;
    let safe = encode_fileuri("s3://pics/k>>>???.txt");
    for value in [
        safe.clone(),
        safe.trim_end_matches('=').to_owned(),
        safe.replace('-', "%2B").replace('_', "/"),
        safe.replace('-', "+").replace('_', "/"),
        "s3%3A%2F%2Fpics%2Fk%3E%3E%3E%3F%3F%3F.txt".to_owned(),
        "s3%253A%252F%252Fpics%252Fk%253E%253E%253E%253F%253F%253F.txt".to_owned(),
    ] {
        let path = format!("/tasks/{task}/resolve/?fileuri={value}");
        let answer = all.request("GET", &path).send().await.expect("an answer");
        assert_eq!(answer.text().await.expect("text"), "here", "{value}");
    }
    for form in ["tasks", "projects"] {
        let id = if form == "tasks" { task } else { all.project };
        all.refused(&format!("/{form}/{id}/resolve/"), 400, "missing_fileuri").await;
        all.refused(&format!("/{form}/{id}/resolve/?fileuri="), 400, "missing_fileuri").await;
        for wrong in ["aGVsbG8=", "%FF", "https://example.com/x", "s3://pics"] {
            all.refused(&format!("/{form}/{id}/resolve/?fileuri={wrong}"), 400, "invalid_fileuri").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_uri_that_the_task_holds_and_a_bucket_that_its_project_imports_from_are_resolved() {
    let all = ResolveRig::start().await;
    all.streaming("pics").await;
    all.rig.s3.create_bucket("out");
    all.rig.export_storage(all.project, "out", json!({})).await;
    let other = all.rig.project().await;
    all.rig.s3.create_bucket("theirs");
    all.rig.import_storage(other, "theirs", json!({})).await;
    for (bucket, key) in [("pics", "held.txt"), ("pics", "secret.txt"), ("theirs", "held.txt"), ("out", "held.txt")] {
        all.rig.s3.put(bucket, key, "content");
    }
    let held = ["s3://pics/held.txt", "s3://theirs/held.txt", "s3://out/held.txt", "gs://pics/held.txt"];
    let task = all.task(json!({"all": held, "s3://pics/secret.txt": "a name is no value"})).await;

    assert_eq!(all.resolve(task, held[0]).await.text().await.expect("text"), "content");
    for uri in &held[1..] {
        all.refused(&of_task(task, uri), 404, "no_storage").await;
    }
    for uri in ["s3://pics/secret.txt", "s3://pics/held.tx", "s3://pics/held.txt ", "s3://theirs/secret.txt"] {
        all.refused(&of_task(task, uri), 404, "uri_not_held").await;
    }
    // Not even through a task of another project that names our bucket.
    let foreign = all.task_of(other, &json!({"image": "s3://pics/secret.txt"}), None, None).await;
    all.refused(&of_task(foreign, "s3://pics/secret.txt"), 404, "no_storage").await;
    assert_eq!(all.rig.s3.calls().iter().filter(|call| call.key == "secret.txt").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_access_to_a_project_learn_nothing_of_its_tasks_and_uris() {
    let all = ResolveRig::start().await;
    all.streaming("pics").await;
    all.rig.s3.put("pics", "held.txt", "content");
    let task = all.task(json!({"image": "s3://pics/held.txt"})).await;
    let elsewhere = all.rig.project().await;
    let new = json!({"name": "elsewhere", "role": "admin", "projects": [elsewhere]});
    let token = all.rig.post("/api/tokens", new).await["token"].as_str().expect("a token").to_owned();
    let mut output = Vec::new();
    for id in [task, 999_999] {
        for uri in ["s3://pics/held.txt", "s3://pics/other.txt", "gs://b/k"] {
            for path in [of_task(id, uri), of_project(if id == task { all.project } else { id }, uri)] {
                let answer = all.bare("GET", &path).bearer_auth(&token).send().await.expect("an answer");
                assert_eq!(answer.status(), 404, "{path}");
                let mut body: Value = answer.json().await.expect("JSON");
                body["id"] = Value::Null;
                output.push(body.to_string().replace(|c: char| c.is_ascii_digit(), ""));
            }
        }
        let body = json!({"task": id});
        let answer = all.bare("POST", "/api/resolve").bearer_auth(&token).json(&body).send().await.expect("an answer");
        check_refused(answer, 404, "not_found").await;
    }
    output.sort();
    output.dedup();
    assert_eq!(output.len(), 2, "one for tasks, one for projects: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_resolves_uris_of_tasks_in_its_ledger() {
    let all = ResolveRig::with(Rig::with()).await;
    let blobs = all.connected("blobs", json!({"use_blob_urls": true, "presign": false})).await;
    let files = all.connected("files", json!({"presign": false})).await;
    all.rig.s3.put("blobs", "a/1.txt", "one");
    all.rig.s3.put("files", "t.json", json!({"image": "s3://blobs/mentioned.txt"}).to_string());
    for storage in [&blobs, &files] {
        assert_eq!(all.rig.sync_to_end(storage).await["status"], "completed");
    }
    all.rig.s3.put("blobs", "mentioned.txt", "mentioned");

    let path = of_project(all.project, "s3://blobs/a/1.txt");
    for path in [path.clone(), path.replace("resolve", "presign")] {
        let answer = all.request("GET", &path).send().await.expect("an answer");
        assert_eq!(answer.text().await.expect("text"), "one", "{path}");
    }
    // The bucket's own keys, a task file, and what a task only mentions.
    for uri in ["s3://blobs/a/2.txt", "s3://files/t.json", "s3://blobs/mentioned.txt", "gs://blobs/a/1.txt"] {
        all.refused(&of_project(all.project, uri), 404, "uri_not_held").await;
    }
    let other = all.rig.project().await;
    all.refused(&of_project(other, "s3://blobs/a/1.txt"), 404, "uri_not_held").await;
    // The mentioned one by its task.
    let tasks = all.rig.get(&format!("/api/tasks?project={}&resolve_uri=false", all.project)).await;
    let task = tasks["tasks"].as_array().expect("tasks").iter().find(|task| task["storage_filename"] == "t.json");
    let task = task.expect("the task of the file")["id"].as_i64().expect("an id");
    assert_eq!(all.resolve(task, "s3://blobs/mentioned.txt").await.text().await.expect("text"), "mentioned");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storage_with_the_longest_matching_prefix_resolves_a_uri() {
    let all = ResolveRig::start().await;
    all.connected("pics", json!({"prefix": "train", "presign_ttl": 2})).await;
    all.connected("pics", json!({"presign_ttl": 1})).await;
    all.connected("pics", json!({"prefix": "train/cats", "presign_ttl": 3})).await;
    let uris = [("s3://pics/train/cats/1", 3), ("s3://pics/train/cat", 2), ("s3://pics/training", 1)];
    let task = all.task(json!({"all": uris.map(|(uri, _)| uri)})).await;
    for (uri, minutes) in uris {
        let url = location(&all.resolve(task, uri).await);
        assert!(url.contains(&format!("X-Amz-Expires={}&", minutes * 60)), "{uri}: {url}");
    }
}
