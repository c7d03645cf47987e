//! Links end with the token that they were made for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_db::Sealer;
use longshore_model::Secret;
use longshore_rig::installed::workspace;
use longshore_rig::rig::{Rig, send_json, until};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{ResolveRig, check_refused};

/// Links of one object, each made for another token.
struct Linked {
    all: ResolveRig,
    task: i64,
}

impl Linked {
    async fn start(schedulers: usize) -> Self {
        let all = ResolveRig::with(Rig::with().workers(0).schedulers(schedulers)).await;
        all.streaming("pics").await;
        all.rig.s3.put("pics", "a.jpg", "0123456789");
        let task = all.task(json!({"image": "s3://pics/a.jpg"})).await;
        Self { all, task }
    }

    /// Makes a token and a link for it.
    async fn link(&self, name: &str, projects: Value) -> (Value, String) {
        let token = self.all.rig.post("/api/tokens", json!({"name": name, "role": "read", "projects": projects})).await;
        let text = token["token"].as_str().expect("a token");
        let request = self.all.bare("GET", &format!("/api/tasks/{}", self.task)).bearer_auth(text);
        let (status, shown) = send_json(request).await;
        assert_eq!(status, 200, "{shown}");
        (token, shown["data"]["image"].as_str().expect("a link").to_owned())
    }

    async fn status(&self, scheduler: usize, link: &str) -> u16 {
        let url = format!("{}{link}", self.all.rig.schedulers[scheduler].url());
        reqwest::get(url).await.expect("an answer").status().as_u16()
    }

    /// Waits until a scheduler refuses a link, and checks its code.
    async fn until_ended(&self, scheduler: usize, link: &str) {
        until("the link has ended", async || (self.status(scheduler, link).await != 200).then_some(())).await;
        let url = format!("{}{link}", self.all.rig.schedulers[scheduler].url());
        check_refused(reqwest::get(url).await.expect("an answer"), 403, "ended_link").await;
    }
}

/// Goal: a link is no longer good than its token. Method: a link for each way in which a token ends, on two schedulers
/// that have both tokens in their caches.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_when_its_token_is_deleted_expires_or_loses_the_project() {
    let linked = Linked::start(2).await;
    let rig = &linked.all.rig;
    let (_, kept) = linked.link("kept", Value::Null).await;
    let (deleted, of_deleted) = linked.link("deleted", Value::Null).await;
    let (_, of_expired) = linked.link("expired", json!([linked.all.project])).await;
    let (_, of_moved) = linked.link("moved", json!([linked.all.project])).await;
    for link in [&kept, &of_deleted, &of_expired, &of_moved] {
        assert_eq!((linked.status(0, link).await, linked.status(1, link).await), (200, 200));
    }
    assert_eq!(rig.call("DELETE", &format!("/api/tokens/{}", deleted["id"]), None).await.0, 204);
    assert_eq!(linked.status(0, &of_deleted).await, 403, "at once where the token was deleted");
    let db = rig.database().await;
    db.batch_execute(
        "UPDATE api_tokens SET expires_at = now() WHERE name = 'expired';
         UPDATE api_tokens SET projects = '{0}' WHERE name = 'moved'",
    )
    .await
    .expect("the tokens' rows");
    for scheduler in [0, 1] {
        for link in [&of_deleted, &of_expired, &of_moved] {
            linked.until_ended(scheduler, link).await;
        }
        assert_eq!(linked.status(scheduler, &kept).await, 200);
    }
    // The links of one token do not open with the ID of another.
    let other = kept.replace("token=", "token=1");
    check_refused(linked.all.bare("GET", &other).send().await.expect("an answer"), 403, "invalid_link").await;
}

/// Goal: what the page on upgrades says of schedulers of two versions is so, in both directions. Method: a link as earlier
/// versions signed it, for this version; and the check of earlier versions, for a link of this version.
#[tokio::test(flavor = "multi_thread")]
async fn links_of_versions_without_a_token_in_them_are_invalid_and_those_of_this_version_are_invalid_there() {
    let linked = Linked::start(1).await;
    let (project, task, uri) = (linked.all.project, linked.task, "s3://pics/a.jpg");
    let sealer = Sealer::parse(&Secret::new(linked.all.rig.secret_keys())).expect("the scheduler's keys");
    let earlier_text = |expires: &str| format!("link\n{project}\n{task}\n{expires}\n{uri}");
    let (_, link) = linked.link("browser", Value::Null).await;
    assert_eq!(linked.status(0, &link).await, 200);
    let parameter = |name: &str| {
        let url = reqwest::Url::parse(&format!("http://longshore.test{link}")).expect("a URL");
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).expect("a parameter")
    };
    let (expires, signature) = (parameter("expires"), parameter("signature"));

    let signed = sealer.sign(&earlier_text(&expires)).expect("a signature");
    let earlier = link.replace(&signature, &URL_SAFE_NO_PAD.encode(signed));
    let without_token = earlier.replace(&format!("&token={}", parameter("token")), "");
    assert_ne!(without_token, earlier);
    for link in [&earlier, &without_token] {
        check_refused(linked.all.bare("GET", link).send().await.expect("an answer"), 403, "invalid_link").await;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    assert!(!sealer.has_signed(&earlier_text(&expires), &signature), "earlier versions check this text");
    let page = std::fs::read_to_string(workspace().join("deploy/operations/upgrades.md")).expect("the page");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("refuse each other's links, in both directions, with 403 `invalid_link`"), "{page}");
}

/// Goal: the check of a link's token costs no query of its own. Method: many links within seconds, of which each needs
/// the token; queries are counted.
#[tokio::test(flavor = "multi_thread")]
async fn links_share_one_token_query_per_second() {
    const REQUESTS: usize = 300;
    let linked = Linked::start(1).await;
    let (_, link) = linked.link("browser", Value::Null).await;
    let queries = async || {
        let text = reqwest::get(format!("{}/metrics", linked.all.rig.url())).await.ok()?.text().await.ok()?;
        let line = text.lines().find(|line| line.starts_with("longshore_token_queries_total "))?;
        line.rsplit_once(' ')?.1.parse::<f64>().ok()
    };
    let before = queries().await.expect("the metric");
    let started = Instant::now();
    for _ in 0..REQUESTS {
        assert_eq!(linked.status(0, &link).await, 200);
    }
    let elapsed = started.elapsed().as_secs_f64();
    // A scrape may be a second old: until it counts the query of another guess.
    linked.all.bare("GET", "/api/projects").bearer_auth("guess").send().await.expect("an answer");
    let after = until("a new scrape", async || queries().await.filter(|after| *after > before)).await;
    assert!(after - before <= elapsed + 3.0, "{} queries in {elapsed} s", after - before);
}
