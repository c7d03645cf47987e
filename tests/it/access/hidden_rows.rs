//! Rows of projects that a token cannot access: the answer is that of a missing row, and the request is counted.

use longshore_rig::rig::{send_json, until};
use serde_json::{Value, json};

use super::furnished;
use super::routes::OtherProject::{NoProject, NotFound};
use super::routes::ROUTES;

/// An ID that no row has.
const MISSING: i64 = 999_999_999;

/// Status, code, text and field errors of an answer, without IDs.
fn shape(status: u16, body: &Value) -> (u16, String) {
    let shown = json!([body["code"], body["detail"], body["validation_errors"]]).to_string();
    (status, shown.chars().filter(|letter| !letter.is_ascii_digit()).collect())
}

/// Goal: a caller who tries the IDs of other projects learns nothing and is seen. Method: each route that names a row, with a
/// row of another project and with one that does not exist; only the first may count.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_another_project_looks_missing_and_each_request_for_it_is_counted() {
    let mut all = furnished().await;
    let elsewhere = all.rig.project().await;
    let token = all.token("elsewhere", "admin", json!([elsewhere])).await;
    let routes: Vec<_> = ROUTES.iter().filter(|route| matches!(route.elsewhere, NotFound | NoProject)).collect();
    assert!(routes.len() > 30);
    let mut hidden = Vec::new();
    for route in &routes {
        let (status, body) = send_json(all.request(route).bearer_auth(&token)).await;
        hidden.push(shape(status, &body));
    }
    for id in [&mut all.import.id, &mut all.import.project, &mut all.export.id, &mut all.export.project] {
        *id = MISSING;
    }
    (all.task, all.annotation, all.prediction) = (MISSING, MISSING, MISSING);
    (all.sync, all.quarantine) = (MISSING, MISSING);
    for (route, hidden) in routes.iter().zip(&hidden) {
        let (status, body) = send_json(all.request(route).bearer_auth(&token)).await;
        assert_eq!(&shape(status, &body), hidden, "{} {}", route.method, route.path);
    }
    // The metrics may be a second old: until they count the guess.
    assert_eq!(send_json(all.rig.request("GET", "/api/projects").bearer_auth("guess")).await.0, 401);
    let text = until("the guess is counted", async || {
        let text = reqwest::get(format!("{}/metrics", all.rig.url())).await.ok()?.text().await.ok()?;
        text.contains("longshore_api_denials_total{denial=\"unknown_token\"} 1").then_some(text)
    })
    .await;
    let metric = format!("longshore_api_denials_total{{denial=\"not_visible\"}} {}\n", routes.len());
    let shown: Vec<&str> = text.lines().filter(|line| line.contains("_denials_total")).collect();
    assert!(text.contains(&metric), "{metric}{shown:?}");
    let entry = until("the audit names the token", async || {
        let audit = all.rig.get("/api/audit?action=request.denied").await;
        let entries = audit["audit"].as_array()?;
        entries.iter().find(|entry| entry["detail"]["reason"] == "not_visible").cloned()
    })
    .await;
    assert_eq!((&entry["token_name"], &entry["detail"]["code"]), (&json!("elsewhere"), &json!("not_found")));
}
