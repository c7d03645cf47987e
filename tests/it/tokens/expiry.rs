//! Tokens that expire.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use longshore_local::s3::Op;
use longshore_rig::rig::{PATIENCE, Rig, send_json, until};
use serde_json::{Value, json};

use super::status;

/// Makes a token with these fields.
async fn made(rig: &Rig, fields: Value) -> Value {
    let mut new = json!({"name": "short-lived", "role": "admin", "lifetime_seconds": 3_600});
    new.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    rig.post("/api/tokens", new).await
}

/// Lets a token expire in this many seconds.
async fn expire_in(rig: &Rig, token: &Value, seconds: f64) {
    let update = "UPDATE api_tokens SET expires_at = clock_timestamp() + make_interval(secs => $2) WHERE id = $1";
    rig.database().await.execute(update, &[&token["id"].as_i64(), &seconds]).await.expect("the token's row");
}

/// Goal: an expired token is refused everywhere, also where it is cached. Method: two schedulers use it until it
/// expires; one of them has an open event stream of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused_with_its_code_by_every_scheduler_and_its_streams_end() {
    let rig = Rig::with().schedulers(2).start().await;
    let images = rig.images("watched", 10).await;
    let listing = rig.s3.hold(Op::List);
    let sync = rig.sync(&images.storage).await;
    listing.reached().await;
    let token = made(&rig, json!({})).await;
    let text = token["token"].as_str().expect("a token");
    let mut stream =
        rig.request("GET", &format!("/api/syncs/{sync}/events")).bearer_auth(text).send().await.expect("an answer");
    assert!(stream.chunk().await.expect("an event").is_some());
    assert_eq!((status(&rig, 0, text).await, status(&rig, 1, text).await), (200, 200));

    expire_in(&rig, &token, 0.5).await;
    for scheduler in [0, 1] {
        until("the token is refused", async || (status(&rig, scheduler, text).await == 401).then_some(())).await;
    }
    let (status, body) = send_json(rig.request("GET", "/api/projects").bearer_auth(text)).await;
    assert_eq!((status, &body["code"]), (401, &json!("expired_token")), "{body}");
    let reading = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(PATIENCE, reading).await.expect("the stream ends");
    assert_eq!(rig.get(&format!("/api/syncs/{sync}")).await["status"], "in_progress");
    listing.release();
    rig.ended(sync).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_a_lifetime_or_an_end_and_shows_it() {
    let rig = Rig::with().workers(0).start().await;
    let never = rig.post("/api/tokens", json!({"name": "endless", "role": "read"})).await;
    assert_eq!(never["expires_at"], Value::Null);
    let asked = Timestamp::now();
    let hour = made(&rig, json!({})).await;
    let end: Timestamp = hour["expires_at"].as_str().expect("a time").parse().expect("a time");
    let seconds = end.duration_since(asked).as_secs();
    assert!((3_590..=3_610).contains(&seconds), "{seconds}");
    let at = made(&rig, json!({"name": "until", "lifetime_seconds": null, "expires_at": "2100-01-01T00:00:00Z"})).await;
    assert_eq!(at["expires_at"], "2100-01-01T00:00:00Z");
    let list = rig.get("/api/tokens").await;
    let ends: Vec<&Value> = list.as_array().expect("tokens").iter().map(|row| &row["expires_at"]).collect();
    assert_eq!(ends, [&Value::Null, &Value::Null, &hour["expires_at"], &at["expires_at"]]);

    for (wrong, field) in [
        (json!({"lifetime_seconds": null, "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"expires_at": "2100-01-01T00:00:00Z"}), "expires_at"),
        (json!({"lifetime_seconds": null, "expires_at": "-009000-01-01T00:00:00Z"}), "expires_at"),
        (json!({"lifetime_seconds": 0}), "lifetime_seconds"),
        (json!({"lifetime_seconds": u64::MAX}), "lifetime_seconds"),
    ] {
        let mut new = json!({"name": "wrong", "role": "read", "lifetime_seconds": 5});
        new.as_object_mut().expect("an object").extend(wrong.as_object().expect("an object").clone());
        let (status, body) = rig.call("POST", "/api/tokens", Some(new)).await;
        assert_eq!((status, &body["code"]), (400, &json!("validation_error")), "{wrong}: {body}");
        assert!(body["validation_errors"].get(field).is_some(), "{wrong}: {body}");
    }
    assert_eq!(rig.get("/api/tokens").await.as_array().map(Vec::len), Some(4), "a refused token is not stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_personal_token_says_when_it_expires_and_is_not_refreshed_after_that() {
    let rig = Rig::with().workers(0).start().await;
    let token = made(&rig, json!({"form": "jwt"})).await;
    let text = token["token"].as_str().expect("a token").to_owned();
    let claims = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).expect("claims")).expect("base64");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    let end: Timestamp = token["expires_at"].as_str().expect("a time").parse().expect("a time");
    assert_eq!(claims["exp"], end.as_second());
    let refreshed = || send_json(rig.request("POST", "/api/token/refresh").json(&json!({"refresh": text})));
    assert_eq!(refreshed().await, (200, json!({"access": text})));
    expire_in(&rig, &token, 0.0).await;
    let (status, body) = until("it is refused", async || {
        let answer = refreshed().await;
        (answer.0 != 200).then_some(answer)
    })
    .await;
    assert_eq!((status, &body["code"]), (401, &json!("expired_token")));
}
