//! Headers that tell browsers what they must not do with an answer.

use longshore_rig::rig::Rig;
use reqwest::Response;
use serde_json::json;

use crate::access::ROUTES;

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().expect("text"))
}

fn check(answer: &Response, what: &str) {
    assert_eq!(header(answer, "x-content-type-options"), Some("nosniff"), "{what}");
    assert_eq!(header(answer, "x-frame-options"), Some("DENY"), "{what}");
    assert!(
        header(answer, "content-security-policy").is_some_and(|it| it.contains("frame-ancestors 'none'")),
        "{what}"
    );
    assert_eq!(header(answer, "cache-control"), Some("no-store"), "{what}");
    assert_eq!(header(answer, "referrer-policy"), Some("no-referrer"), "{what}");
}

/// Goal: every answer has the headers. Method: all routes with and without a token, the open pages, and errors of all
/// layers.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_forbids_sniffing_framing_and_caching() {
    let rig = Rig::start().await;
    for route in ROUTES {
        let path = route.path.replace("{kind}", "s3").replace("{id}", "1");
        for token in [None, Some(rig.token())] {
            let mut request = rig.request(route.method, &path);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.expect("an answer");
            check(&answer, &format!("{} {path} {}", route.method, answer.status()));
        }
    }
    for (method, path, status) in [
        ("GET", "/docs", 200),
        ("GET", "/api/openapi.json", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/nothing", 404),
        ("BREW", "/api/projects", 405),
        ("DELETE", "/docs", 405),
    ] {
        let answer = rig.request(method, path).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{method} {path}");
        check(&answer, &format!("{method} {path}"));
    }
    let large = rig.request("POST", "/api/tokens").bearer_auth(rig.token()).body("x".repeat(5 << 20));
    check(&large.send().await.expect("an answer"), "a body that is too large");
    let answer = reqwest::get(format!("{}/metrics", rig.workers[0].url())).await.expect("an answer");
    check(&answer, "metrics of a worker");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_may_be_cached_and_embedded_by_the_labeling_app() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    rig.s3.put("pics", "a.jpg", "0123456789");
    rig.import_storage(project, "pics", json!({"presign": false})).await;
    let insert = "INSERT INTO tasks (project_id, data) VALUES ($1, '{\"image\": \"s3://pics/a.jpg\"}') RETURNING id";
    let task: i64 = rig.database().await.query_one(insert, &[&project]).await.expect("a task").get(0);
    let link = rig.get(&format!("/api/tasks/{task}")).await["data"]["image"].as_str().expect("a link").to_owned();
    let answer = rig.request("GET", &link).send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), header(&answer, "x-content-type-options")), (200, Some("nosniff")));
    assert!(header(&answer, "cache-control").is_some_and(|caching| caching.contains("max-age=3600")));
    assert_eq!((header(&answer, "x-frame-options"), header(&answer, "content-security-policy")), (None, None));
    assert_eq!(header(&answer, "referrer-policy"), Some("no-referrer"));
}
