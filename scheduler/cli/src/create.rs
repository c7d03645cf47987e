//! `longshore storage create`: a kind a command, its fields as flags.
//!
//! Secrets come by the environment, by a file or by standard input; a list of processes shows the rest.

use clap::{Args, Subcommand};
use longshore_model::{Secret, StorageKind};
use serde_json::{Map, Value};

use crate::client::{Client, storage_path};
use crate::error::{CliError, Result};
use crate::secret;
use crate::show::Output;

/// What is read from standard input instead.
const STDIN: &str = "-";

#[derive(Debug, Subcommand)]
pub(crate) enum Create {
    /// Amazon S3 or a compatible store, by keys or as the servers themselves.
    S3(Box<S3>),
    /// Amazon S3 through an IAM role.
    S3s(Box<S3s>),
    /// Google Cloud Storage.
    Gcs(Box<Gcs>),
    /// Azure Blob Storage.
    Azure(Box<Azure>),
    /// A Redis database.
    Redis(Box<Redis>),
    /// A folder of the machines that Longshore runs on.
    Localfiles(Box<Localfiles>),
}

/// What storages of every kind have.
#[derive(Debug, Args)]
struct Common {
    #[arg(long, value_name = "ID")]
    project: i64,
    /// Writes annotations to the storage, instead of importing from it.
    #[arg(long)]
    export: bool,
    /// Tries the connection and stores nothing.
    #[arg(long)]
    dry_run: bool,
    #[arg(long)]
    title: Option<String>,
    #[arg(long)]
    description: Option<String>,
    /// Makes every object one task that names it; else objects hold tasks as JSON. Import only.
    #[arg(long, conflicts_with = "export")]
    blob: bool,
    /// Python regular expression, matched at the start of the full key. Import only.
    #[arg(long, conflicts_with = "export")]
    regex: Option<String>,
    /// Deletes the object of a deleted annotation. Export only.
    #[arg(long, requires = "export")]
    can_delete: bool,
    /// One object per task instead of one per annotation. Export only.
    #[arg(long, requires = "export")]
    tasks: bool,
    /// Names objects `<id>.json` instead of `<id>`. Export only.
    #[arg(long, requires = "export")]
    json_suffix: bool,
}

/// What kinds with folders and signed URLs have.
#[derive(Debug, Args)]
struct Signing {
    /// Takes keys below further slashes too. Import only.
    #[arg(long, conflicts_with = "export")]
    recursive: bool,
    /// Streams objects through Longshore instead of signing URLs. Import only.
    #[arg(long, conflicts_with = "export")]
    no_presign: bool,
    /// How long signed URLs are valid. Import only.
    #[arg(long, value_name = "MINUTES", conflicts_with = "export")]
    presign_ttl: Option<u16>,
}

/// A bucket of S3, however it is reached.
#[derive(Debug, Args)]
struct Bucket {
    #[arg(long)]
    bucket: String,
    /// Only keys below it; for export, where the objects go.
    #[arg(long)]
    prefix: Option<String>,
    /// Base URL of a compatible store; AWS without it.
    #[arg(long, env = "S3_ENDPOINT")]
    endpoint: Option<String>,
    #[arg(long)]
    region: Option<String>,
    /// KMS key that written objects are encrypted with. Export only.
    #[arg(long, requires = "export")]
    sse_kms_key_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct S3 {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    bucket: Bucket,
    #[command(flatten)]
    signing: Signing,
    #[arg(long, env = "S3_ACCESS_KEY_ID", hide_env_values = true, value_parser = secret)]
    access_key_id: Option<Secret>,
    /// "-" reads it from standard input. On the command line itself, a list of processes shows it.
    #[arg(long, env = "S3_SECRET_ACCESS_KEY", hide_env_values = true, value_parser = secret)]
    secret_access_key: Option<Secret>,
    #[arg(long, env = "S3_SESSION_TOKEN", hide_env_values = true, value_parser = secret)]
    session_token: Option<Secret>,
}

#[derive(Debug, Args)]
pub(crate) struct S3s {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    bucket: Bucket,
    #[command(flatten)]
    signing: Signing,
    /// The role that scheduler and workers assume.
    #[arg(long, value_name = "ARN")]
    role_arn: String,
    /// What the trust policy of the role asks for.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Gcs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    signing: Signing,
    #[arg(long)]
    bucket: String,
    /// Only keys below it; for export, where the objects go.
    #[arg(long)]
    prefix: Option<String>,
    #[arg(long, value_name = "ID")]
    google_project: Option<String>,
    /// The key file of a service account, "-" for standard input. Without it the servers' own is used.
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Azure {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    signing: Signing,
    #[arg(long)]
    container: String,
    /// Only blobs below it; for export, where the blobs go.
    #[arg(long)]
    prefix: Option<String>,
    /// Base URL of an emulator or of a sovereign cloud.
    #[arg(long)]
    endpoint: Option<String>,
    #[arg(long, env = "AZURE_BLOB_ACCOUNT_NAME", hide_env_values = true, value_parser = secret)]
    account_name: Option<Secret>,
    /// "-" reads it from standard input. On the command line itself, a list of processes shows it.
    #[arg(long, env = "AZURE_BLOB_ACCOUNT_KEY", hide_env_values = true, value_parser = secret)]
    account_key: Option<Secret>,
}

#[derive(Debug, Args)]
pub(crate) struct Redis {
    #[command(flatten)]
    common: Common,
    /// What the keys start with.
    #[arg(long)]
    path: Option<String>,
    #[arg(long)]
    host: Option<String>,
    #[arg(long)]
    port: Option<u16>,
    /// The number of the database.
    #[arg(long, value_name = "NUMBER")]
    db: Option<u16>,
    /// An ACL user.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    #[arg(long)]
    tls: bool,
    /// "-" reads it from standard input. On the command line itself, a list of processes shows it.
    #[arg(long, env = "REDIS_PASSWORD", hide_env_values = true, value_parser = secret)]
    password: Option<Secret>,
}

#[derive(Debug, Args)]
pub(crate) struct Localfiles {
    #[command(flatten)]
    common: Common,
    /// Absolute, and below the servers' document root.
    #[arg(long)]
    path: String,
    /// Takes files in sub-folders too. Import only.
    #[arg(long, conflicts_with = "export")]
    recursive: bool,
}

/// The body of a request. What was not given is left to the API's defaults.
struct Body(Map<String, Value>);

impl Body {
    fn put(&mut self, name: &str, value: Option<impl Into<Value>>) -> &mut Self {
        self.0.extend(value.map(|value| (name.to_owned(), value.into())));
        self
    }

    fn on(&mut self, name: &str, is_on: bool) -> &mut Self {
        self.put(name, is_on.then_some(true))
    }

    fn secret(&mut self, name: &str, secret: Option<&Secret>) -> Result<&mut Self> {
        let secret = match secret.map(Secret::expose) {
            Some(STDIN) => Some(stdin()?),
            secret => secret.map(str::to_owned),
        };
        Ok(self.put(name, secret))
    }

    fn common(common: &Common) -> Self {
        let mut body = Self(Map::new());
        body.put("project", Some(common.project))
            .put("title", common.title.as_deref())
            .put("description", common.description.as_deref())
            .put("regex_filter", common.regex.as_deref())
            .on("use_blob_urls", common.blob)
            .on("can_delete_objects", common.can_delete)
            .on("export_tasks", common.tasks)
            .on("json_suffix", common.json_suffix);
        body
    }

    fn bucket(&mut self, bucket: &Bucket) -> &mut Self {
        self.put("bucket", Some(bucket.bucket.as_str()))
            .put("prefix", bucket.prefix.as_deref())
            .put("s3_endpoint", bucket.endpoint.as_deref())
            .put("region_name", bucket.region.as_deref())
            .put("aws_sse_kms_key_id", bucket.sse_kms_key_id.as_deref())
    }

    fn signing(&mut self, signing: &Signing) -> &mut Self {
        self.on("recursive_scan", signing.recursive)
            .put("presign", signing.no_presign.then_some(false))
            .put("presign_ttl", signing.presign_ttl)
    }
}

fn stdin() -> Result<String> {
    Ok(std::io::read_to_string(std::io::stdin()).map_err(CliError::Input)?.trim().to_owned())
}

/// The text of a file, or of standard input.
fn file(path: &str) -> Result<String> {
    if path == STDIN { stdin() } else { std::fs::read_to_string(path).map_err(CliError::Input) }
}

impl Create {
    fn common(&self) -> &Common {
        match self {
            Self::S3(s3) => &s3.common,
            Self::S3s(s3s) => &s3s.common,
            Self::Gcs(gcs) => &gcs.common,
            Self::Azure(azure) => &azure.common,
            Self::Redis(redis) => &redis.common,
            Self::Localfiles(files) => &files.common,
        }
    }

    fn kind(&self) -> StorageKind {
        match self {
            Self::S3(_) => StorageKind::S3,
            Self::S3s(_) => StorageKind::S3s,
            Self::Gcs(_) => StorageKind::Gcs,
            Self::Azure(_) => StorageKind::Azure,
            Self::Redis(_) => StorageKind::Redis,
            Self::Localfiles(_) => StorageKind::Localfiles,
        }
    }

    fn body(&self) -> Result<Value> {
        let mut body = Body::common(self.common());
        match self {
            Self::S3(s3) => {
                body.bucket(&s3.bucket).signing(&s3.signing);
                body.secret("aws_access_key_id", s3.access_key_id.as_ref())?
                    .secret("aws_secret_access_key", s3.secret_access_key.as_ref())?
                    .secret("aws_session_token", s3.session_token.as_ref())?;
            }
            Self::S3s(s3s) => {
                body.bucket(&s3s.bucket).signing(&s3s.signing);
                body.put("role_arn", Some(s3s.role_arn.as_str())).put("external_id", s3s.external_id.as_deref());
            }
            Self::Gcs(gcs) => {
                let credentials = gcs.credentials_file.as_deref().map(file).transpose()?;
                body.signing(&gcs.signing)
                    .put("bucket", Some(gcs.bucket.as_str()))
                    .put("prefix", gcs.prefix.as_deref())
                    .put("google_project_id", gcs.google_project.as_deref())
                    .put("google_application_credentials", credentials);
            }
            Self::Azure(azure) => {
                body.signing(&azure.signing)
                    .put("container", Some(azure.container.as_str()))
                    .put("prefix", azure.prefix.as_deref())
                    .put("endpoint", azure.endpoint.as_deref());
                body.secret("account_name", azure.account_name.as_ref())?
                    .secret("account_key", azure.account_key.as_ref())?;
            }
            Self::Redis(redis) => {
                body.put("path", redis.path.as_deref())
                    .put("host", redis.host.as_deref())
                    .put("port", redis.port.map(|port| port.to_string()))
                    .put("db", redis.db)
                    .put("username", redis.username.as_deref())
                    .on("tls", redis.tls);
                body.secret("password", redis.password.as_ref())?;
            }
            Self::Localfiles(files) => {
                body.put("path", Some(files.path.as_str())).on("recursive_scan", files.recursive);
            }
        }
        Ok(Value::Object(body.0))
    }

    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        let base = storage_path(if self.common().export { "export" } else { "import" }, self.kind().as_str());
        let body = self.body()?;
        if self.common().dry_run {
            let answer = client.post(&format!("{base}/validate"), &body).await?;
            output.one(&answer, |_| "The connection works.".to_owned());
        } else {
            output.fields(&client.post(&base, &body).await?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        create: Create,
    }

    fn line(words: &str) -> Create {
        Line::try_parse_from(["create"].into_iter().chain(words.split(' '))).unwrap().create
    }

    #[test]
    fn flags_become_label_studios_fields_and_what_is_not_given_stays_out() {
        for (words, kind, body) in [
            ("s3 --project 2 --bucket b --endpoint http://h", "s3", json!({"bucket": "b", "s3_endpoint": "http://h"})),
            (
                "s3s --project 2 --bucket b --endpoint http://h --role-arn arn --external-id ours --region r",
                "s3s",
                json!({"bucket": "b", "s3_endpoint": "http://h", "role_arn": "arn", "external_id": "ours",
                       "region_name": "r"}),
            ),
            (
                "gcs --project 2 --bucket b --google-project p --recursive --blob",
                "gcs",
                json!({"bucket": "b", "google_project_id": "p", "recursive_scan": true, "use_blob_urls": true}),
            ),
            (
                "azure --project 2 --container c --prefix in/ --no-presign --presign-ttl 5 --account-name n --account-key k",
                "azure",
                json!({"container": "c", "prefix": "in/", "presign": false, "presign_ttl": 5, "account_name": "n",
                       "account_key": "k"}),
            ),
            (
                "redis --project 2 --path t: --host h --port 6380 --db 0 --tls --username u --password pw --export --can-delete",
                "redis",
                json!({"path": "t:", "host": "h", "port": "6380", "db": 0, "tls": true, "username": "u",
                       "password": "pw", "can_delete_objects": true}),
            ),
            (
                "localfiles --project 2 --path /data/a --recursive --regex .*json --title T",
                "localfiles",
                json!({"path": "/data/a", "recursive_scan": true, "regex_filter": ".*json", "title": "T"}),
            ),
        ] {
            let create = line(words);
            let mut expected = body;
            expected["project"] = json!(2);
            assert_eq!((create.kind().as_str(), create.body().unwrap()), (kind, expected), "{words}");
        }
    }

    #[test]
    fn a_secret_is_not_shown_and_a_flag_of_the_other_direction_is_refused() {
        let create = line("s3 --project 2 --bucket b --access-key-id id --secret-access-key hunter2");
        assert!(!format!("{create:?}").contains("hunter2"));
        assert_eq!(create.body().unwrap()["aws_secret_access_key"], "hunter2");
        for words in ["s3 --project 2 --bucket b --can-delete", "gcs --project 2 --bucket b --export --recursive"] {
            assert!(Line::try_parse_from(["create"].into_iter().chain(words.split(' '))).is_err(), "{words}");
        }
    }
}
