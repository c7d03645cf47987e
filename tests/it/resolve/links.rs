//! Links that need no token, and pages of other sites.

use longshore_rig::rig::{Rig, until};
use longshore_uri::encode_fileuri;
use serde_json::json;

use super::{ResolveRig, check_refused, header};

/// A rig with an object, its task, and a link to it.
async fn linked(wishes: longshore_rig::rig::RigOptions) -> (ResolveRig, i64, String) {
    let all = ResolveRig::with(wishes.workers(0)).await;
    all.streaming("pics").await;
    all.rig.s3.put("pics", "a.jpg", "0123456789");
    let task = all.task(json!({"image": "s3://pics/a.jpg", "other": "s3://pics/b.jpg"})).await;
    let shown = all.rig.get(&format!("/api/tasks/{task}")).await;
    let link = shown["data"]["image"].as_str().expect("a link").to_owned();
    (all, task, link)
}

/// The link with one parameter changed, or without it.
fn changed(link: &str, name: &str, value: Option<&str>) -> String {
    let (path, query) = link.split_once('?').expect("a query");
    let pairs = query.split('&').filter_map(|pair| {
        let (key, old) = pair.split_once('=').expect("a pair");
        if key == name { value.map(|new| format!("{key}={new}")) } else { Some(format!("{key}={old}")) }
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn parameter<'a>(link: &'a str, name: &str) -> &'a str {
    let pairs = link.split_once('?').expect("a query").1.split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).expect("a parameter").1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_its_object_without_a_token_and_nothing_else() {
    let (all, task, link) = linked(Rig::with()).await;
    assert!(link.starts_with(&format!("/tasks/{task}/resolve/?fileuri=")), "{link}");
    let answer = all.bare("GET", &link).send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.text().await.ok().as_deref()), (200, Some("0123456789")));
    let part = all.bare("GET", &link).header("range", "bytes=2-3").send().await.expect("an answer");
    assert_eq!((part.status().as_u16(), part.text().await.ok().as_deref()), (206, Some("23")));
    assert_eq!(all.bare("HEAD", &link).send().await.expect("an answer").status(), 200);
    let alias = link.replace("/resolve/", "/presign/");
    assert_eq!(all.bare("GET", &alias).send().await.expect("an answer").status(), 200);

    let twin = all.task(json!({"image": "s3://pics/a.jpg"})).await;
    let signature = parameter(&link, "signature");
    let flipped = if signature.starts_with('A') { "B" } else { "A" }.to_owned() + &signature[1..];
    let later = (parameter(&link, "expires").parse::<i64>().expect("seconds") + 1).to_string();
    let other = encode_fileuri("s3://pics/b.jpg");
    for wrong in [
        changed(&link, "signature", Some(&flipped)),
        changed(&link, "signature", Some(&signature[..signature.len() - 2])),
        changed(&link, "signature", Some("")),
        changed(&link, "signature", Some("!")),
        changed(&link, "expires", Some(&later)),
        changed(&link, "expires", None),
        changed(&link, "project", Some(&(all.project + 1).to_string())),
        changed(&link, "project", None),
        changed(&link, "fileuri", Some(&other)),
        link.replace(&format!("/tasks/{task}/"), &format!("/tasks/{twin}/")),
    ] {
        check_refused(all.bare("GET", &wrong).send().await.expect("an answer"), 403, "invalid_link").await;
    }
    let query = link.split_once('?').expect("a query").1;
    for path in [
        changed(&link, "signature", None),
        format!("/projects/{}/resolve/?{query}", all.project),
        format!("/api/tasks/{task}/?{query}"),
        format!("/data/local-files/?{query}"),
    ] {
        check_refused(all.bare("GET", &path).send().await.expect("an answer"), 401, "unauthorized").await;
    }
    // A valid link does not make an invalid token acceptable.
    let both = all.bare("GET", &link).header("authorization", "Token unknown").send().await.expect("an answer");
    check_refused(both, 401, "unauthorized").await;
    let logs = all.rig.logs();
    assert!(!logs.contains(signature), "a link's signature is in the log");

    all.rig.database().await.execute("DELETE FROM tasks WHERE id = $1", &[&task]).await.expect("gone");
    check_refused(all.bare("GET", &link).send().await.expect("an answer"), 404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_expires() {
    let (all, _, link) = linked(Rig::with().env("LONGSHORE_LINK_SECONDS", "1")).await;
    until("the link has expired", || async {
        let answer = all.bare("GET", &link).send().await.expect("an answer");
        if answer.status() == 200 {
            return None;
        }
        check_refused(answer, 403, "expired_link").await;
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_begin_with_the_operators_public_url() {
    let (_, task, link) = linked(Rig::with().env("LONGSHORE_PUBLIC_URL", "https://label.example.com/sync/")).await;
    assert!(link.starts_with(&format!("https://label.example.com/sync/tasks/{task}/resolve/?fileuri=")), "{link}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_allowed_origins_may_read_answers_and_no_others() {
    let origin = "https://label.example.com";
    let (all, task, link) = linked(Rig::with().env("LONGSHORE_ALLOWED_ORIGINS", format!("{origin},http://b:1"))).await;
    let answer = all.bare("GET", &link).header("origin", origin).send().await.expect("an answer");
    assert_eq!(header(&answer, "access-control-allow-origin"), Some(origin));
    let exposed = header(&answer, "access-control-expose-headers").expect("headers");
    assert!(exposed.contains("content-range") && exposed.contains("etag"), "{exposed}");
    let varies: Vec<&str> = answer.headers().get_all("vary").iter().filter_map(|value| value.to_str().ok()).collect();
    assert!(varies.join(",").to_ascii_lowercase().contains("origin"), "{varies:?}");
    assert!(header(&answer, "access-control-allow-credentials").is_none());
    let stranger = all.bare("GET", &link).header("origin", "https://evil.example").send().await.expect("an answer");
    assert_eq!(header(&stranger, "access-control-allow-origin"), None);

    for path in [link.clone(), format!("/api/tasks/{task}")] {
        let asked = all.bare("OPTIONS", &path).header("origin", origin);
        let asked =
            asked.header("access-control-request-method", "GET").header("access-control-request-headers", "range");
        let answer = asked.send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), header(&answer, "access-control-allow-origin")), (200, Some(origin)));
        assert!(header(&answer, "access-control-allow-headers").is_some_and(|allowed| allowed.contains("range")));
    }
    let refused = all.bare("GET", &format!("/api/tasks/{task}")).header("origin", origin);
    check_refused(refused.send().await.expect("an answer"), 401, "unauthorized").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_allowed_origins_no_page_of_another_site_may_read_anything() {
    let (all, _, link) = linked(Rig::with()).await;
    let answer = all.bare("GET", &link).header("origin", "https://label.example.com").send().await.expect("an answer");
    assert_eq!(header(&answer, "access-control-allow-origin"), None);
    let asked = all.bare("OPTIONS", &link).header("origin", "https://a").header("access-control-request-method", "GET");
    check_refused(asked.send().await.expect("an answer"), 405, "method_not_allowed").await;
}
