//! A valid request on each route.

use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY};
use serde_json::json;

use super::Route;

/// The rows that requests are about. The bucket of the storages is `tasks` and has the object `good.json`.
pub(crate) struct Ids {
    pub(crate) project: i64,
    pub(crate) import: i64,
    pub(crate) export: i64,
    pub(crate) task: i64,
    pub(crate) annotation: i64,
    pub(crate) prediction: i64,
    pub(crate) sync: i64,
    pub(crate) quarantine: i64,
    pub(crate) token: i64,
}

impl Route {
    /// A request that every parser accepts, about these rows.
    pub(crate) fn request(&self, rig: &Rig, ids: &Ids) -> reqwest::RequestBuilder {
        let id = match self.path.trim_start_matches("/api").split('/').nth(1) {
            Some("projects") => ids.project,
            Some("storages") if self.path.contains("export") => ids.export,
            Some("storages") => ids.import,
            Some("tasks") => ids.task,
            Some("annotations") => ids.annotation,
            Some("predictions") => ids.prediction,
            Some("syncs") => ids.sync,
            Some("quarantine") => ids.quarantine,
            Some("tokens") => ids.token,
            _ => 1,
        };
        let path = self.path.replace("{kind}", "s3").replace("{id}", &id.to_string());
        if self.method == "GET" {
            let lists = ["/api/storages", "/api/tasks", "/api/syncs", "/api/quarantine"];
            let is_list = !self.path.contains("{id}") && lists.iter().any(|list| self.path.starts_with(list));
            let query = match (is_list, self.path.starts_with("/api")) {
                _ if self.path == "/api/predictions" => format!("task={}", ids.task),
                (true, _) => format!("project={}", ids.project),
                (false, true) => String::new(),
                (false, false) => "fileuri=s3://tasks/good.json".to_owned(),
            };
            return rig.request("GET", &format!("{path}?{query}"));
        }
        let path = if self.path == "/api/dm/actions" {
            format!("{path}?id=delete_tasks&project={}", ids.project)
        } else {
            path
        };
        let body = match self.path.trim_start_matches("/api/").split('/').next() {
            Some("tokens") => json!({"name": "taken", "role": "admin"}),
            Some("resolve") => json!({"task": ids.task}),
            Some("quarantine") => json!({"project": ids.project}),
            Some("tasks") if self.path == "/api/tasks" => json!({"project": ids.project, "data": {}}),
            Some("predictions") => json!({"task": ids.task, "result": []}),
            Some("dm") => json!({"selectedItems": {"all": true}}),
            Some("projects") => json!({"title": "taken"}),
            _ => json!({
                "project": ids.project, "bucket": "tasks", "s3_endpoint": rig.s3.endpoint(), "title": "taken",
                "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY, "result": []
            }),
        };
        rig.request(self.method, &path).json(&body)
    }
}
