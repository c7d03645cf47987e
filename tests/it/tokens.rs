//! Tokens that end: revoked ones never work again, expired ones are refused, weak first ones are not accepted.

mod expiry;

use longshore_rig::rig::{Rig, send_json, until};
use serde_json::{Value, json};

/// The status of a request with this token to a scheduler.
async fn status(rig: &Rig, scheduler: usize, token: &str) -> u16 {
    let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let url = format!("{}/api/tokens", rig.schedulers[scheduler].url());
    send_json(http.get(url).bearer_auth(token)).await.0
}

/// Makes a token and returns its ID and text.
async fn made(rig: &Rig, token: &str, new: Value) -> (i64, String) {
    let (status, made) = send_json(rig.request("POST", "/api/tokens").bearer_auth(token).json(&new)).await;
    assert_eq!(status, 201, "{made}");
    (made["id"].as_i64().expect("an id"), made["token"].as_str().expect("a token").to_owned())
}

async fn delete(rig: &Rig, by: &str, id: i64) {
    let (status, body) = send_json(rig.request("DELETE", &format!("/api/tokens/{id}")).bearer_auth(by)).await;
    assert_eq!(status, 204, "{body}");
}

/// Actions on tokens in the audit, with the name of the token they are about.
async fn token_actions(rig: &Rig) -> Vec<(String, String)> {
    let query = "SELECT action, detail ->> 'name' FROM audit WHERE action LIKE 'token.%' ORDER BY id";
    let rows = rig.database().await.query(query, &[]).await.expect("the audit");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Goal: a deleted first token stays revoked. Method: delete it while two schedulers have it in their caches, start
/// another one with the same `LONGSHORE_TOKEN`, and at last delete the other admin token too.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_first_token_never_works_again_and_a_start_says_so() {
    let mut rig = Rig::with().workers(0).schedulers(2).start().await;
    let first = rig.token().to_owned();
    let (second_id, second) = made(&rig, &first, json!({"name": "second", "role": "admin"})).await;
    assert_eq!((status(&rig, 0, &first).await, status(&rig, 1, &first).await), (200, 200));
    let list = send_json(rig.request("GET", "/api/tokens").bearer_auth(&second)).await.1;
    assert_eq!(list[0]["name"], "bootstrap");
    delete(&rig, &second, list[0]["id"].as_i64().expect("an id")).await;
    assert_eq!(status(&rig, 0, &first).await, 401);
    until("the other scheduler refuses it", async || (status(&rig, 1, &first).await == 401).then_some(())).await;

    let third = rig.add_scheduler().await;
    let log = rig.schedulers[third].process.log();
    assert!(log.contains("first_token_revoked") && log.contains("openssl rand"), "{log}");
    assert!(!log.contains(&first));
    for scheduler in 0..3 {
        assert_eq!((status(&rig, scheduler, &first).await, status(&rig, scheduler, &second).await), (401, 200));
    }
    let taken =
        rig.request("POST", "/api/tokens").bearer_auth(&second).json(&json!({"name": "bootstrap", "role": "read"}));
    assert_eq!(send_json(taken).await.0, 400, "the name is reserved");
    let expected = [("token.create", "bootstrap"), ("token.create", "second"), ("token.delete", "bootstrap")];
    assert_eq!(token_actions(&rig).await, expected.map(|(action, name)| (action.to_owned(), name.to_owned())));

    // Without any admin token, a scheduler would serve a deployment that nothing can manage.
    delete(&rig, &second, second_id).await;
    let fourth = rig.spawn_scheduler();
    let ended = rig.schedulers[fourth].process.wait().await;
    let log = rig.schedulers[fourth].process.log();
    assert!(!ended.success() && log.contains("set LONGSHORE_TOKEN to another token"), "{ended} {log}");
    assert!(!log.contains(&first));
    rig.set_environment("LONGSHORE_TOKEN", "8c1f60b7d2e94a35f7c0");
    let fifth = rig.add_scheduler().await;
    assert_eq!(status(&rig, fifth, "8c1f60b7d2e94a35f7c0").await, 200);
    assert_eq!(status(&rig, fifth, &first).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_first_token_stays_revoked_when_a_scheduler_starts_with_the_old_one() {
    let mut rig = Rig::with().workers(0).start().await;
    let (old, new) = (rig.token().to_owned(), "8c1f60b7d2e94a35f7c0");
    rig.set_environment("LONGSHORE_TOKEN", new);
    let second = rig.add_scheduler().await;
    until("the first scheduler refuses the old token", async || (status(&rig, 0, &old).await == 401).then_some(()))
        .await;
    rig.set_environment("LONGSHORE_TOKEN", old.clone());
    let third = rig.add_scheduler().await;
    for scheduler in [0, second, third] {
        assert_eq!((status(&rig, scheduler, &old).await, status(&rig, scheduler, new).await), (401, 200));
    }
    assert!(rig.schedulers[third].process.log().contains("first_token_revoked"));
    let actions =
        ["token.create", "token.delete", "token.create"].map(|action| (action.to_owned(), "bootstrap".to_owned()));
    assert_eq!(token_actions(&rig).await, actions);
}

/// Goal: also a scheduler of an earlier release, or a person with SQL, cannot bring a token back. Method: their
/// statements.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_a_token_that_was_deleted_by_any_program() {
    let rig = Rig::with().workers(0).start().await;
    let db = rig.database().await;
    let (id, token) = made(&rig, rig.token(), json!({"name": "by hand", "role": "admin"})).await;
    db.execute("DELETE FROM api_tokens WHERE id = $1", &[&id]).await.expect("a deletion");
    let upsert =
        "INSERT INTO api_tokens (name, digest, role) VALUES ('bootstrap', sha256(convert_to($1, 'UTF8')), 'admin')
                  ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, role = 'admin', projects = NULL
                   WHERE api_tokens.digest <> excluded.digest OR api_tokens.role <> 'admin'";
    let refused = db.execute(upsert, &[&token]).await.expect_err("a revoked token");
    assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("LS410"));
    db.execute(upsert, &[&rig.token()]).await.expect("the current first token is not revoked");
    until("the deleted token is refused", async || (status(&rig, 0, &token).await == 401).then_some(())).await;
    assert_eq!(status(&rig, 0, rig.token()).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_does_not_start_with_a_first_token_that_is_easy_to_guess() {
    let mut rig = Rig::with().workers(0).start().await;
    for weak in ["aaaaaaaaaaaaaaaa", "0123456789abcdef", "changemechangeme"] {
        rig.set_environment("LONGSHORE_TOKEN", weak);
        let index = rig.spawn_scheduler();
        let ended = rig.schedulers[index].process.wait().await;
        let log = rig.schedulers[index].process.log();
        assert!(!ended.success() && log.contains("LONGSHORE_TOKEN is too easy to guess"), "{ended} {log}");
        assert!(log.contains("openssl rand -hex 20") && !log.contains(weak), "{log}");
        assert_eq!(status(&rig, 0, weak).await, 401);
    }
}
