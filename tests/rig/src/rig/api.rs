//! Calls of the API: projects, storages, syncs.

use serde_json::{Value, json};

use super::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, until};

/// A storage that was created through the API.
#[derive(Debug, Clone)]
pub struct StorageHandle {
    pub id: i64,
    pub project: i64,
    /// `/api/storages/s3` or `/api/storages/export/s3`.
    pub path: &'static str,
}

impl Rig {
    /// A request to the API without a token.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().expect("a method"), format!("{}{path}", self.url()))
    }

    /// Calls the API with the bootstrap token and returns status and body.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.request(method, path).header("Authorization", format!("Token {}", self.token()));
        if let Some(body) = body {
            request = request.json(&body);
        }
        send_json(request).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call("POST", path, Some(body)).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
        answer
    }

    /// Changes a storage.
    pub async fn patch(&self, storage: &StorageHandle, fields: Value) -> Value {
        let path = format!("{}/{}", storage.path, storage.id);
        let (status, body) = self.call("PATCH", &path, Some(fields)).await;
        assert_eq!(status, 200, "PATCH {path}: {body}");
        body
    }

    /// The quarantine of a storage, ordered by key.
    pub async fn quarantine(&self, storage: &StorageHandle) -> Vec<Value> {
        let list = self.get(&format!("/api/quarantine?storage={}&limit=1000", storage.id)).await;
        let mut rows = rows(&list).to_vec();
        rows.sort_by_key(|row| row["key"].as_str().map(str::to_owned));
        rows
    }

    /// Creates a project whose image variable is `$image`.
    pub async fn project(&self) -> i64 {
        let config = r#"<View><Image name="image" value="$image"/></View>"#;
        let project = self.post("/api/projects", json!({"title": "rig", "label_config": config})).await;
        project["id"].as_i64().expect("an id")
    }

    /// The external ID of a project.
    pub async fn external_id(&self, project: i64) -> String {
        let project = self.get(&format!("/api/projects/{project}")).await;
        project["external_id"].as_str().expect("an ID").to_owned()
    }

    /// Creates an import storage on a bucket of the rig's S3 server. `settings` override the defaults.
    pub async fn import_storage(&self, project: i64, bucket: &str, settings: Value) -> StorageHandle {
        self.storage("/api/storages/s3", project, bucket, settings).await
    }

    /// Creates an export storage on a bucket of the rig's S3 server. `settings` override the defaults.
    pub async fn export_storage(&self, project: i64, bucket: &str, settings: Value) -> StorageHandle {
        self.storage("/api/storages/export/s3", project, bucket, settings).await
    }

    async fn storage(&self, path: &'static str, project: i64, bucket: &str, settings: Value) -> StorageHandle {
        let mut body = json!({
            "project": project,
            "bucket": bucket,
            "s3_endpoint": format!("http://{}", self.storage_link.address()),
            "aws_access_key_id": ACCESS_KEY_ID,
            "aws_secret_access_key": SECRET_ACCESS_KEY,
            "recursive_scan": true,
        });
        let (Some(fields), Some(overrides)) = (body.as_object_mut(), settings.as_object()) else {
            panic!("settings are an object")
        };
        fields.extend(overrides.clone());
        // Tests count the calls of syncs, and the report makes calls.
        let storage = self.post(&format!("{path}?report=false"), body).await;
        StorageHandle { id: storage["id"].as_i64().expect("an id"), project, path }
    }

    /// Starts a sync and returns its ID.
    pub async fn sync(&self, storage: &StorageHandle) -> i64 {
        self.post(&format!("{}/{}/sync", storage.path, storage.id), json!({})).await;
        let syncs = self.get(&format!("/api/syncs?storage={}&limit=1", storage.id)).await;
        rows(&syncs).first().and_then(|sync| sync["id"].as_i64()).expect("a sync of the storage")
    }

    /// Waits until a sync has ended, and returns it with its totals in `counts`.
    pub async fn ended(&self, sync: i64) -> Value {
        let path = format!("/api/syncs/{sync}");
        until(&format!("sync {sync} ends"), || async {
            let row = self.get(&path).await;
            (!row["finished_at"].is_null()).then_some(row)
        })
        .await
    }

    /// Starts a sync and waits until it has ended.
    pub async fn sync_to_end(&self, storage: &StorageHandle) -> Value {
        let sync = self.sync(storage).await;
        self.ended(sync).await
    }
}

/// Sends a request and returns status and body. A body that is not JSON becomes a JSON string.
pub async fn send_json(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("the scheduler answers");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a whole answer");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The rows of a list answer: a bare array, or the one array in a result page.
pub fn rows(list: &Value) -> &[Value] {
    let page = || list.as_object().and_then(|page| page.values().find_map(Value::as_array));
    list.as_array().or_else(page).unwrap_or_else(|| panic!("not a list: {list}"))
}
