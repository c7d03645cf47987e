//! The servers that hold the buckets, and the settings by which both reach them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use longshore_rig::azurite::{self, Azurite};
use longshore_rig::gcs::Gcs;
use longshore_rig::redis::{PASSWORD, RedisServer};
use longshore_rig::rig::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::label_studio::Twins;

/// A server that holds buckets.
pub(crate) enum Store {
    S3,
    Gcs(Gcs),
    Azure(Arc<Azurite>),
    /// Each bucket is a database, whose name is its number.
    Redis(RedisServer),
    /// The document root. Each bucket is a folder.
    Localfiles(PathBuf),
}

impl Store {
    /// The word in routes.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs(_) => "gcs",
            Self::Azure(_) => "azure",
            Self::Redis(_) => "redis",
            Self::Localfiles(_) => "localfiles",
        }
    }

    /// Creates a bucket, and returns its name.
    pub(crate) async fn create_bucket(&self, twins: &Twins, name: &str) -> String {
        match self {
            Self::S3 => twins.rig.s3.create_bucket(name),
            Self::Gcs(gcs) => gcs.create_bucket(name).await,
            Self::Azure(azurite) => return azurite.create_container(name).await,
            Self::Redis(_) => {}
            Self::Localfiles(root) => fs::create_dir_all(root.join(name)).expect("a folder"),
        }
        name.to_owned()
    }

    pub(crate) async fn put(&self, twins: &Twins, bucket: &str, key: &str, content: Vec<u8>) {
        match self {
            Self::S3 => twins.rig.s3.put(bucket, key, content),
            Self::Gcs(gcs) => gcs.put_unknown(bucket, key, &content).await,
            Self::Azure(azurite) => azurite.put(bucket, key, &content).await,
            Self::Redis(server) => {
                let mut db = server.db(bucket.parse().expect("a number")).await;
                redis::cmd("SET").arg(key).arg(content).exec_async(&mut db).await.expect("a value is written");
            }
            Self::Localfiles(root) => {
                let path = root.join(bucket).join(key);
                fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
                fs::write(path, content).expect("a file");
            }
        }
    }

    /// The settings of a storage of this bucket, as Label Studio needs them: it looks for the bucket when one is created.
    pub(crate) fn settings(&self, twins: &Twins, bucket: &str) -> Value {
        match self {
            Self::S3 => json!({"bucket": bucket, "s3_endpoint": twins.rig.s3.endpoint(), "region_name": "us-east-1",
                "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY}),
            Self::Gcs(gcs) => json!({"bucket": bucket, "google_project_id": "tests",
                "google_application_credentials": gcs.key_file().to_string()}),
            Self::Azure(azurite) => json!({"container": bucket, "account_key": azurite::KEY,
                "account_name": their_account(azurite)}),
            Self::Redis(server) => json!({"host": "127.0.0.1", "port": server.port.to_string(), "password": PASSWORD,
                "db": bucket.parse::<u16>().expect("a number")}),
            Self::Localfiles(root) => json!({"path": root.join(bucket)}),
        }
    }

    /// Gives a storage the settings that Longshore needs, where they differ.
    pub(crate) async fn fit(&self, twins: &Twins, storage: i64) {
        match self {
            Self::S3 | Self::Gcs(_) | Self::Redis(_) | Self::Localfiles(_) => {}
            Self::Azure(_) => {
                let text = "UPDATE public.io_storages_azureblobstoragemixin
                               SET account_name = split_part(account_name, ';', 1) WHERE id = $1::bigint";
                twins.rig.database().await.execute(text, &[&storage]).await.expect("a storage");
            }
        }
    }

    /// Gives a storage the settings that Label Studio needs again.
    pub(crate) async fn unfit(&self, twins: &Twins, storage: i64) {
        if let Self::Azure(azurite) = self {
            let text = "UPDATE public.io_storages_azureblobstoragemixin SET account_name = $2 WHERE id = $1::bigint";
            twins.rig.database().await.execute(text, &[&storage, &their_account(azurite)]).await.expect("a storage");
        }
    }

    /// How task data names an object.
    pub(crate) fn uri(&self, bucket: &str, key: &str) -> String {
        match self {
            Self::S3 => format!("s3://{bucket}/{key}"),
            Self::Gcs(_) => format!("gs://{bucket}/{key}"),
            Self::Azure(_) => format!("azure-blob://{bucket}/{key}"),
            Self::Redis(server) => format!("redis://127.0.0.1:{}/{bucket}/{key}", server.port),
            Self::Localfiles(_) => {
                let path = utf8_percent_encode(&format!("{bucket}/{key}"), NON_ALPHANUMERIC).to_string();
                format!("/data/local-files/?d={path}")
            }
        }
    }

    /// A text of the database with the same names for all buckets of a case.
    pub(crate) fn normalize(&self, text: &str, bucket: &str, name: &str) -> String {
        match self {
            Self::Localfiles(root) => text.replace(&format!("{}/", root.join(bucket).display()), ""),
            Self::Redis(_) => text.to_owned(),
            Self::S3 | Self::Gcs(_) | Self::Azure(_) => text.replace(bucket, name),
        }
    }
}

/// The name of the account for Label Studio, which has no setting for another server than Microsoft's. It puts the name in
/// a connection string, so more fields can follow.
pub(crate) fn their_account(azurite: &Azurite) -> String {
    format!("{};BlobEndpoint={}", azurite::ACCOUNT, azurite.endpoint())
}
