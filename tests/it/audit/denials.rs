//! Denied requests are counted, and written at a limited rate with the address of the caller.

use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, send_json, until};
use serde_json::{Value, json};

use super::entries;

/// The counts of denied requests with this reason, oldest first.
async fn counts(rig: &Rig, query: &str, reason: &str) -> Vec<i64> {
    let mut all = entries(rig, &format!("action=request.denied&{query}")).await;
    all.reverse();
    all.iter()
        .filter(|entry| entry["detail"]["reason"] == reason)
        .filter_map(|entry| entry["detail"]["count"].as_i64())
        .collect()
}

/// Goal: guesses are visible, cost few rows, and name the client behind the proxy. Method: one guess, then many, then
/// the end of the scheduler, which writes the rest.
#[tokio::test(flavor = "multi_thread")]
async fn guessed_tokens_are_counted_by_client_in_few_rows_and_in_the_log() {
    const GUESSES: usize = 200;
    let rig = Rig::with().workers(0).schedulers(2).env("LONGSHORE_TRUSTED_PROXIES", "127.0.0.0/8").start().await;
    let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let url = format!("{}/api/projects", rig.schedulers[1].url());
    let guess = async |number: usize| {
        let forwarded = "203.0.113.5, 192.0.2.1";
        let request = http.get(&url).bearer_auth(format!("guess-{number}")).header("X-Forwarded-For", forwarded);
        assert_eq!(send_json(request).await.0, 401);
    };
    guess(0).await;
    until("the first guess is written", async || {
        (counts(&rig, "address=192.0.2.1", "unknown_token").await == [1]).then_some(())
    })
    .await;
    for number in 1..=GUESSES {
        guess(number).await;
    }
    let text = reqwest::get(format!("{}/metrics", rig.schedulers[1].url())).await.expect("an answer").text().await;
    let metric = format!("longshore_api_denials_total{{denial=\"unknown_token\"}} {}", GUESSES + 1);
    let text = text.expect("text");
    // The text may be a second old.
    assert!(text.contains("longshore_api_denials_total{denial=\"unknown_token\"}"), "{text}");
    until("the guesses are counted", async || {
        let text = reqwest::get(format!("{}/metrics", rig.schedulers[1].url())).await.ok()?.text().await.ok()?;
        text.contains(&metric).then_some(())
    })
    .await;
    assert!(rig.schedulers[1].stop().await.expect("it ends").success());
    assert_eq!(counts(&rig, "address=192.0.2.1", "unknown_token").await, [1, GUESSES as i64]);
    assert_eq!(entries(&rig, "action=request.denied&address=203.0.113.5").await, [] as [Value; 0]);
    let log = rig.schedulers[1].process.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("requests_denied")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].contains("192.0.2.1") && lines[1].contains(&GUESSES.to_string()), "{lines:?}");
    assert!(!log.contains("guess-7"), "a guess may be a token with a typing error");
}

/// Goal: an operator who has an IPv6 address from another log finds its denials and its changes. Method: a guess and a
/// change from one address behind a proxy, and filters by the address, by another one of its network, and by the network.
#[tokio::test(flavor = "multi_thread")]
async fn denials_over_ipv6_are_found_by_address_and_by_the_network_that_is_shown() {
    let rig = Rig::with().workers(0).env("LONGSHORE_TRUSTED_PROXIES", "127.0.0.0/8").start().await;
    let from = |request: reqwest::RequestBuilder| request.header("X-Forwarded-For", "2001:db8:0:1::7");
    assert_eq!(send_json(from(rig.request("GET", "/api/projects").bearer_auth("guess"))).await.0, 401);
    let make = rig.request("POST", "/api/projects").bearer_auth(rig.token()).json(&json!({"title": "T"}));
    assert_eq!(send_json(from(make)).await.0, 201);
    let found = until("both entries are written", async || {
        let found = entries(&rig, "address=2001:db8:0:1:0::7").await;
        (found.len() == 2).then_some(found)
    })
    .await;
    let shown =
        |action: &str| found.iter().find(|entry| entry["action"] == action).expect("an entry")["address"].clone();
    assert_eq!(shown("request.denied"), "2001:db8:0:1::/64");
    assert_eq!(shown("project.create"), "2001:db8:0:1::7");
    for (query, actions) in [
        ("address=2001:db8:0:1::8", vec!["request.denied"]),
        ("address=2001:db8:0:1::/64", vec!["request.denied"]),
        ("address=2001:db8:0:2::7", vec![]),
    ] {
        let found = entries(&rig, query).await;
        assert_eq!(found.iter().map(|entry| &entry["action"]).collect::<Vec<_>>(), actions, "{query}");
    }
}

/// Goal: each kind of denial is counted with its token. Method: one request of each kind, with a header that no proxy
/// wrote.
#[tokio::test(flavor = "multi_thread")]
async fn each_denial_names_its_reason_its_token_and_the_address_of_the_socket() {
    let rig = Rig::with().workers(0).start().await;
    let reader = rig.post("/api/tokens", json!({"name": "reader", "role": "read"})).await;
    let project = rig.project().await;
    let scoped = rig.post("/api/tokens", json!({"name": "scoped", "role": "admin", "projects": [project]})).await;
    let ended = rig.post("/api/tokens", json!({"name": "ended", "role": "read", "lifetime_seconds": 60})).await;
    let expire = "UPDATE api_tokens SET expires_at = now() WHERE name = 'ended'";
    rig.database().await.execute(expire, &[]).await.expect("the token's row");
    let text = |token: &Value| token["token"].as_str().expect("a token").to_owned();
    let bare = json!({"project": project, "bucket": "pics"});
    let inside = json!({
        "project": project, "bucket": "pics", "s3_endpoint": "http://169.254.169.254", "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": SECRET_ACCESS_KEY
    });
    let save = |settings: &Value| rig.request("POST", "/api/storages/s3").bearer_auth(text(&scoped)).json(settings);
    let from = |path: &str| rig.request("GET", path).header("X-Forwarded-For", "192.0.2.9");
    for (request, status) in [
        (from("/api/projects"), 401),
        (from("/api/projects").bearer_auth("unknown"), 401),
        (rig.request("POST", "/api/token/refresh").json(&json!({"refresh": "unknown"})), 401),
        (from("/api/projects").bearer_auth(text(&ended)), 401),
        (from("/api/tokens").bearer_auth(text(&reader)), 403),
        (from("/api/tokens").bearer_auth(text(&scoped)), 403),
        (from("/tasks/1/resolve?fileuri=s3://b/k&project=1&token=1&expires=99999999999&signature=x"), 403),
        (save(&bare), 403),
        (save(&inside), 403),
    ] {
        let what = format!("{request:?}");
        assert_eq!(send_json(request).await.0, status, "{what}");
    }
    let none = Value::Null;
    for (reason, code, token, count) in [
        ("missing_token", "unauthorized", &none, 1),
        ("unknown_token", "unauthorized", &none, 2),
        ("expired_token", "expired_token", &ended, 1),
        ("forbidden", "forbidden", &reader, 1),
        ("forbidden", "forbidden", &scoped, 1),
        ("invalid_link", "invalid_link", &none, 1),
        ("own_identity_denied", "own_identity_denied", &scoped, 1),
        ("blocked_address", "blocked_address", &scoped, 1),
    ] {
        let found = until("the denial is written", async || {
            let all = entries(&rig, "action=request.denied").await;
            let is_it = |entry: &&Value| entry["detail"]["reason"] == reason && entry["token"] == token["id"];
            let found: Vec<Value> = all.iter().filter(is_it).cloned().collect();
            let sum: i64 = found.iter().filter_map(|entry| entry["detail"]["count"].as_i64()).sum();
            // The second unknown token may be written a minute later.
            (sum == count || sum == 1 && count == 2).then_some(found)
        })
        .await;
        let entry = &found[0];
        assert_eq!((&entry["detail"]["code"], &entry["token_name"]), (&json!(code), &token["name"]), "{entry}");
        assert_eq!((&entry["address"], &entry["source"]), (&json!("127.0.0.1"), &json!("api")), "{entry}");
    }
}
