//! The operator's authority is lent to no tenant unless the operator says so: cloud identity, external IDs, folders of the
//! machines, addresses of metadata services, stored secrets of another project.

mod external_ids;
mod metadata_services;
mod moves;
mod own_identity;
mod roots;

use longshore_rig::rig::{Rig, send_json};
use serde_json::{Value, json};

/// A token of an admin of these projects.
async fn admin_of(rig: &Rig, projects: &[i64]) -> String {
    let name = format!("admin of {projects:?}");
    let made = rig.post("/api/tokens", json!({"name": name, "role": "admin", "projects": projects})).await;
    made["token"].as_str().expect("a token").to_owned()
}

/// Calls the API with a token, and returns status and body.
async fn call(rig: &Rig, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = rig.request(method, path).bearer_auth(token);
    send_json(if method == "GET" { request } else { request.json(body) }).await
}

/// Settings with other values for some fields.
fn with(settings: &Value, fields: &Value) -> Value {
    let mut settings = settings.clone();
    let (Some(all), Some(fields)) = (settings.as_object_mut(), fields.as_object()) else { panic!("objects") };
    all.extend(fields.clone());
    settings
}
