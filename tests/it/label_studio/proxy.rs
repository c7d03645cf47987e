//! A real nginx with `deploy/label-studio/nginx.conf` in front of Label Studio and Longshore.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_local::App;
use longshore_local::nginx::{self, Layout};
use longshore_rig::label_studio::{EMAIL, PASSWORD};
use longshore_rig::raw_http;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, TOKEN, Twin, Twins};

/// Who answered a request, its status and its body.
#[derive(Debug)]
struct Answer {
    by: Server,
    status: u16,
    headers: HeaderMap,
    body: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    LabelStudio,
    Longshore,
}
use Server::{LabelStudio, Longshore};

/// All requests go through nginx.
struct Front {
    twins: Twins,
    nginx: App,
    http: reqwest::Client,
}

impl Front {
    async fn start() -> Self {
        Self::of(Twins::start().await, Layout::Whole).await
    }

    async fn of(twins: Twins, layout: Layout<'_>) -> Self {
        let nginx = twins.nginx_with(layout).await;
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        Self { twins, nginx, http: http.expect("a client") }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().expect("a method"), format!("{}{path}", self.nginx.url()))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.expect("nginx answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let upstream = headers[nginx::UPSTREAM].to_str().expect("an address").to_owned();
        let is = |url: &str| url.ends_with(&upstream);
        let by = match (is(self.twins.studio.url()), is(&self.twins.rig.url())) {
            (true, false) => LabelStudio,
            (false, true) => Longshore,
            _ => panic!("neither: {upstream}"),
        };
        let text = answer.text().await.expect("a whole answer");
        Answer { by, status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// Sends a request with the token of the first user.
    async fn call(&self, method: &str, path: &str) -> Answer {
        self.send(self.request(method, path).header("authorization", format!("Token {TOKEN}"))).await
    }

    /// Signs in as a browser does, and returns the cookies.
    async fn sign_in(&self) -> String {
        let page = self.send(self.request("GET", "/user/login/")).await;
        assert_eq!((page.by, page.status), (LabelStudio, 200), "{page:?}");
        let csrf = cookie(&page.headers, "csrftoken").expect("a cookie");
        let email = EMAIL.replace('@', "%40");
        let form = format!("email={email}&password={PASSWORD}&csrfmiddlewaretoken={csrf}");
        let post = self.request("POST", "/user/login/").header("cookie", format!("csrftoken={csrf}"));
        let post = post.header("content-type", "application/x-www-form-urlencoded").body(form);
        let signed_in = self.send(post.header("origin", self.nginx.url())).await;
        assert_eq!((signed_in.by, signed_in.status), (LabelStudio, 302), "{signed_in:?}");
        let session = cookie(&signed_in.headers, "sessionid").expect("a session");
        format!("csrftoken={csrf}; sessionid={session}")
    }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.filter_map(|cookie| cookie.split(';').next()?.split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).next()
}

/// A twin in blob mode on a bucket with one object, and a target storage of its project.
async fn storages(twins: &Twins, bucket: &str) -> (Twin, i64) {
    twins.rig.s3.create_bucket(bucket);
    twins.rig.s3.put(bucket, "a.jpg", "x");
    let twin = twins.import(bucket, json!({"use_blob_urls": true})).await;
    let target = json!({"project": twin.project, "bucket": bucket, "prefix": "out", "s3_endpoint": twins.rig.s3.endpoint(),
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY});
    let target = twins.studio.send("POST", "/api/storages/export/s3", Some(&target)).await;
    (twin, target["id"].as_i64().expect("an ID"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn nginx_sends_syncs_and_images_to_longshore_and_all_else_to_label_studio() {
    let front = Front::start().await;
    let (Twin { storage, project }, target) = storages(&front.twins, "front").await;

    let synced = front.call("POST", &format!("/api/storages/s3/{storage}/sync?from=a-script")).await;
    assert_eq!((synced.by, synced.status), (Longshore, 200), "{synced:?}");
    assert_eq!((&synced.body["status"], &synced.body["last_sync_count"]), (&json!("completed"), &json!(1)));
    let export = front.call("POST", &format!("/api/storages/export/s3/{target}/sync")).await;
    assert_eq!(export.by, Longshore, "{export:?}");
    assert!(export.status < 500, "{export:?}");
    let tasks = front.call("GET", &format!("/api/tasks/?project={project}")).await;
    let task = &tasks.body["tasks"][0]["id"];
    let uri = STANDARD.encode("s3://front/a.jpg");

    for (method, path, by, statuses) in [
        ("GET", format!("/api/storages/s3/{storage}/sync"), LabelStudio, &[405][..]),
        ("GET", format!("/api/storages/export/s3/{target}/sync"), LabelStudio, &[405]),
        ("POST", format!("/api/storages/s3/{storage}/sync/"), LabelStudio, &[404]),
        ("GET", format!("/api/storages/s3/{storage}"), LabelStudio, &[200]),
        ("GET", format!("/api/storages/?project={project}"), LabelStudio, &[200]),
        ("GET", format!("/projects/{project}/presign/?fileuri={uri}"), LabelStudio, &[303, 404]),
        ("GET", format!("/projects/{project}/resolve/?fileuri={uri}"), LabelStudio, &[200, 303, 404]),
        ("POST", format!("/tasks/{task}/resolve/?fileuri={uri}"), LabelStudio, &[405]),
        ("GET", format!("/tasks/{task}/"), LabelStudio, &[200, 302, 404]),
        ("GET", "/data/local-files/?d=a".to_owned(), LabelStudio, &[403, 404]),
        ("GET", format!("/api/tasks/{task}/"), LabelStudio, &[200]),
        ("GET", "/api/version/".to_owned(), LabelStudio, &[200]),
    ] {
        let answer = front.call(method, &path).await;
        assert_eq!(answer.by, by, "{method} {path}: {answer:?}");
        assert!(statuses.contains(&answer.status), "{method} {path}: {answer:?}");
    }
    for word in ["resolve", "presign"] {
        for path in [format!("/tasks/{task}/{word}/?fileuri={uri}"), format!("/tasks/{task}/{word}?fileuri={uri}")] {
            for method in ["GET", "HEAD"] {
                let answer = front.call(method, &path).await;
                assert_eq!(answer.by, Longshore, "{method} {path}: {answer:?}");
                assert!(answer.status < 500, "{method} {path}: {answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn users_sign_in_and_sync_through_nginx_and_refusals_are_handed_on() {
    let front = Front::start().await;
    let (Twin { storage, project }, _) = storages(&front.twins, "signed").await;
    let cookies = front.sign_in().await;
    for path in [
        "/projects/".to_owned(),
        format!("/projects/{project}/data"),
        format!("/projects/{project}/settings/storage"),
        "/api/current-user/whoami".to_owned(),
    ] {
        let page = front.send(front.request("GET", &path).header("cookie", &cookies)).await;
        assert_eq!((page.by, page.status), (LabelStudio, 200), "{path}: {page:?}");
    }

    let sync = format!("/api/storages/s3/{storage}/sync");
    let post = |site: &str, origin: &str| {
        let request = front.request("POST", &sync).header("cookie", &cookies).json(&json!({}));
        request.header("sec-fetch-site", site).header("origin", origin)
    };
    let refused = front.send(post("cross-site", "https://other.example")).await;
    assert_eq!((refused.by, refused.status), (Longshore, 403), "{refused:?}");
    let synced = front.send(post("same-origin", &front.nginx.url())).await;
    assert_eq!((synced.by, synced.status, &synced.body["last_sync_count"]), (Longshore, 200, &json!(1)), "{synced:?}");
    // Browsers without `Sec-Fetch-Site`: the origin is compared with the host, which nginx hands on with its port.
    let plain = front.request("POST", &sync).header("cookie", &cookies).header("origin", front.nginx.url());
    let synced = front.send(plain.json(&json!({}))).await;
    assert_eq!((synced.by, synced.status), (Longshore, 200), "{synced:?}");

    let unknown = front.send(front.request("POST", &sync)).await;
    assert_eq!((unknown.by, unknown.status), (Longshore, 401), "{unknown:?}");
    assert!(unknown.body["detail"].is_string(), "{unknown:?}");
    let missing = front.call("POST", "/api/storages/s3/999999/sync").await;
    assert_eq!((missing.by, missing.status), (Longshore, 404), "{missing:?}");
    assert!(missing.body["detail"].is_string(), "{missing:?}");
}

/// Goal: nginx chooses by the decoded path and hands the sent one on; neither server may fail on what it gets.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn odd_spellings_of_paths_are_no_failure_of_any_server() {
    let front = Front::start().await;
    let (Twin { storage, .. }, _) = storages(&front.twins, "odd").await;
    let authorization = format!("Token {TOKEN}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let most = "9".repeat(30);
    let long = "1".repeat(6_000);
    for path in [
        format!("/api/storages/s3//{storage}/sync"),
        format!("//api/storages/s3/{storage}/sync"),
        "/api/storages/s3/%34/sync".to_owned(),
        format!("/api/storages/%733/{storage}/sync"),
        format!("/api/storages/s3/{storage}/%73ync"),
        format!("/api/storages/s3/{storage}/sync%2F"),
        format!("/api/storages/s3/../s3/{storage}/sync"),
        format!("/api/storages/s3/%2e%2e/s3/{storage}/sync"),
        format!("/api/storages/s3/{storage}/sync%00"),
        format!("/api/storages/s3/{storage}/sync?a=%00&b=%ff"),
        "/api/storages/s3/0/sync".to_owned(),
        "/api/storages/s3/-1/sync".to_owned(),
        format!("/api/storages/s3/{most}/sync"),
        format!("/api/storages/s3/{long}/sync"),
        format!("/api/storages/S3/{storage}/sync"),
        format!("/api/storages/export/s3/{most}/sync"),
        "/tasks/%31/resolve/".to_owned(),
        "/tasks//1/resolve/".to_owned(),
        "/tasks/1/resolve//".to_owned(),
        "/tasks/1/%72esolve/?fileuri=%ff".to_owned(),
        format!("/tasks/{most}/resolve/?fileuri=czM6Ly94L3k="),
        format!("/tasks/{long}/presign/"),
        "/tasks/1/resolve/?fileuri=not-base64!".to_owned(),
        "/tasks/1/resolve/?fileuri=".to_owned(),
        "/tasks/1/presign?fileuri=AAAA&fileuri=BBBB".to_owned(),
    ] {
        for method in ["GET", "POST", "HEAD"] {
            let answer = raw_http::send(method, &format!("{}{path}", front.nginx.url()), &headers, b"{}").await;
            assert!(answer.status < 500, "{method} {path}: {} {}", answer.status, answer.text());
        }
    }
    // Both still serve.
    assert_eq!(front.call("POST", &format!("/api/storages/s3/{storage}/sync")).await.status, 200);
    assert_eq!(front.call("GET", "/api/version/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn below_a_path_nginx_takes_the_path_away_before_both_servers() {
    let host = ("LABEL_STUDIO_HOST", "http://127.0.0.1/ls".to_owned());
    let front = Front::of(Twins::start_with(&[], &[host]).await, Layout::Below("/ls")).await;
    let (Twin { storage, project }, _) = storages(&front.twins, "below").await;
    let page = front.send(front.request("GET", "/ls/user/login/")).await;
    assert_eq!((page.by, page.status), (LabelStudio, 200), "{page:?}");
    assert!(page.body.as_str().is_some_and(|page| page.contains("/ls/static/")), "{page:?}");
    let synced = front.call("POST", &format!("/ls/api/storages/s3/{storage}/sync?from=a%20script")).await;
    assert_eq!((synced.by, synced.status), (Longshore, 200), "{synced:?}");
    assert_eq!((&synced.body["status"], &synced.body["last_sync_count"]), (&json!("completed"), &json!(1)));
    let tasks = front.call("GET", &format!("/ls/api/tasks/?project={project}")).await;
    let uri = STANDARD.encode("s3://below/a.jpg");
    let image = front.call("GET", &format!("/ls/tasks/{}/resolve/?fileuri={uri}", tasks.body["tasks"][0]["id"])).await;
    assert_eq!((image.by, image.status), (Longshore, 303), "{image:?}");
    let answer = front.call("GET", &format!("/ls/api/storages/s3/{storage}/sync")).await;
    assert_eq!((answer.by, answer.status), (LabelStudio, 405), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_two_locations_work_in_a_server_block_that_hands_on_nothing() {
    let front = Front::of(Twins::start().await, Layout::InOwnServer).await;
    let (Twin { storage, project }, _) = storages(&front.twins, "own").await;
    let cookies = front.twins.studio.session().await;
    // The browser's origin is compared with the host that nginx hands on.
    let sync = front.request("POST", &format!("/api/storages/s3/{storage}/sync")).header("cookie", &cookies);
    let synced = front.send(sync.header("origin", front.nginx.url()).json(&json!({}))).await;
    assert_eq!((synced.by, synced.status, &synced.body["last_sync_count"]), (Longshore, 200, &json!(1)), "{synced:?}");
    let tasks = front.call("GET", &format!("/api/tasks/?project={project}")).await;
    let uri = STANDARD.encode("s3://own/a.jpg");
    let image = front.call("GET", &format!("/tasks/{}/resolve/?fileuri={uri}", tasks.body["tasks"][0]["id"])).await;
    assert_eq!((image.by, image.status), (Longshore, 303), "{image:?}");
}
