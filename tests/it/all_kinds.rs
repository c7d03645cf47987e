//! A storage of every kind on a real server, with one task file below `in`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_rig::azurite::{self, Azurite};
use longshore_rig::gcs::Gcs;
use longshore_rig::moto::Moto;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY};
use serde_json::{Value, json};

/// A rig with a server of every kind, and the settings of a storage on each.
pub(crate) struct AllKinds {
    pub(crate) rig: Rig,
    pub(crate) project: i64,
    /// By kind: the settings of both directions, of each one, wrong ones, and what Label Studio's client does not know.
    pub(crate) storages: Value,
    folder: PathBuf,
    servers: (Arc<Moto>, Arc<Azurite>, Gcs),
}

impl AllKinds {
    /// Starts the servers. `name` is that of the test.
    pub(crate) async fn start(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (moto, azurite, gcs) = (Moto::shared().await, Azurite::shared().await, Gcs::start().await);
        let rig = Rig::with()
            .env("STORAGE_EMULATOR_HOST", gcs.endpoint())
            .env("AWS_ENDPOINT_URL_STS", moto.endpoint())
            .env("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
            .env("AWS_SECRET_ACCESS_KEY", "operator-secret")
            .env("LOCAL_FILES_SERVING_ENABLED", "true")
            .env("LOCAL_FILES_DOCUMENT_ROOT", folder.to_str().expect("a plain path"))
            .start()
            .await;
        let places = places(name, &rig, &moto, &azurite, &gcs, folder.clone()).await;
        let project = rig.project().await;
        // Users copy it from the project into their script, as they do with Label Studio's.
        let external_id = rig.external_id(project).await;
        let storages = storages(&rig, &moto, &azurite, &gcs, &places, &external_id);
        Self { rig, project, storages, folder, servers: (moto, azurite, gcs) }
    }
}

impl AllKinds {
    /// The valid settings of a storage, as the API names them.
    pub(crate) fn settings(&self, kind: &str, direction: &str) -> Value {
        let own = &self.storages[kind];
        let parts = ["both", "extra", direction].map(|part| own[part].as_object().cloned().unwrap_or_default());
        let mut all: serde_json::Map<String, Value> = parts.into_iter().flatten().collect();
        // The name that the client's functions have for it.
        if let Some(endpoint) = all.remove("s3endpoint") {
            all.insert("s3_endpoint".to_owned(), endpoint);
        }
        Value::Object(all)
    }

    pub(crate) fn gcs(&self) -> &Gcs {
        &self.servers.2
    }

    /// The folder of local files, with `in` and `out`.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for AllKinds {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

const ROLE: &str = "arn:aws:iam::123456789012:role/labels";
const TASK: &str = r#"{"image": "i"}"#;

/// Input of the script for each kind: valid and invalid settings.
fn storages(rig: &Rig, moto: &Moto, azurite: &Azurite, gcs: &Gcs, places: &Places, external_id: &str) -> Value {
    let redis: reqwest::Url = rig.stack.redis.url().parse().expect("a URL");
    json!({
        "s3": {
            "both": {"bucket": "sdk", "s3endpoint": rig.s3.endpoint(), "aws_access_key_id": ACCESS_KEY_ID,
                     "aws_secret_access_key": SECRET_ACCESS_KEY},
            "import": {"prefix": "in", "recursive_scan": true, "presign": true, "presign_ttl": 5},
            "export": {"prefix": "out", "can_delete_objects": true},
            "wrong": {"fields": {"aws_secret_access_key": "not-it"}, "code": "wrong_secret_key",
                      "field": "aws_secret_access_key"},
        },
        "s3s": {
            "both": {"bucket": places.role_bucket, "s3endpoint": moto.endpoint(), "role_arn": ROLE,
                     "external_id": external_id, "region_name": "us-east-1"},
            "import": {"prefix": "in"},
            "export": {"prefix": "out"},
            "wrong": {"fields": {"bucket": "nowhere-at-all"}, "code": "no_such_bucket", "field": "bucket"},
        },
        "gcs": {
            "both": {"bucket": "sdk", "google_application_credentials": gcs.key_file().to_string()},
            "import": {"prefix": "in", "google_project_id": "labels"},
            "export": {"prefix": "out"},
            "wrong": {"fields": {"bucket": "nowhere"}, "code": "no_such_bucket", "field": "bucket"},
        },
        "azure": {
            "both": {"container": places.container, "account_name": azurite::ACCOUNT, "account_key": azurite::KEY},
            "import": {"prefix": "in"},
            "export": {"prefix": "out"},
            "wrong": {"fields": {"container": "nowhere"}, "code": "no_such_bucket", "field": "container"},
            "extra": {"endpoint": azurite.endpoint()},
        },
        "redis": {
            "both": {"host": redis.host_str(), "port": redis.port().map(|port| port.to_string()),
                     "password": redis.password()},
            // Label Studio itself cannot use database 0.
            "import": {"path": places.redis_prefix, "db": 0},
            "export": {"path": format!("{}done:", places.redis_prefix), "db": 1},
            "wrong": {"fields": {"password": "not-it"}, "code": "wrong_password", "field": "password"},
        },
        "localfiles": {
            "both": {},
            "import": {"path": places.folder.join("in")},
            "export": {"path": places.folder.join("out")},
            "wrong": {"fields": {"path": places.folder.join("nowhere")}, "code": "no_such_folder", "field": "path"},
        },
    })
}

/// Buckets, containers and folders of the test.
struct Places {
    role_bucket: String,
    container: String,
    redis_prefix: String,
    folder: PathBuf,
}

/// One task below `in` in each of them.
async fn places(name: &str, rig: &Rig, moto: &Moto, azurite: &Azurite, gcs: &Gcs, folder: PathBuf) -> Places {
    rig.s3.put("sdk", "in/task.json", TASK);
    let role_bucket = moto.create_bucket(name).await;
    moto.put(&role_bucket, "in/task.json", TASK.as_bytes()).await;
    gcs.create_bucket("sdk").await;
    gcs.put("sdk", "in/task.json", TASK.as_bytes()).await;
    let container = azurite.create_container(name).await;
    azurite.put(&container, "in/task.json", TASK.as_bytes()).await;
    let redis_prefix = format!("{name}-{}:", std::process::id());
    let client = redis::Client::open(rig.stack.redis.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("redis answers");
    let mut set = redis::cmd("SET");
    set.arg(format!("{redis_prefix}task.json")).arg(TASK);
    set.query_async::<()>(&mut connection).await.expect("redis takes it");
    for name in ["in", "out"] {
        std::fs::create_dir_all(folder.join(name)).expect("a folder");
    }
    std::fs::write(folder.join("in/task.json"), TASK).expect("a file");
    Places { role_bucket, container, redis_prefix, folder }
}
