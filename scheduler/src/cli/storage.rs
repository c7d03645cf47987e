//! `longshore storage`.

use clap::{Args, Subcommand};
use longshore_model::Secret;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::error::{CliError, Result};
use super::secret;
use super::show::{Output, rows};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Creates a storage after trying its connection.
    #[command(subcommand)]
    Create(Create),
    /// Lists storages of both directions.
    List {
        #[arg(long, value_name = "ID")]
        project: Option<i64>,
    },
    /// Shows a storage, without its secrets.
    Show { id: i64 },
    /// Tries the connection of a storage as it is stored.
    Validate { id: i64 },
    /// Deletes a storage; its tasks and its bucket stay.
    Delete { id: i64 },
}

#[derive(Debug, Subcommand)]
pub(super) enum Create {
    /// Amazon S3 or a compatible store.
    S3(Box<S3>),
}

#[derive(Debug, Default, Args)]
pub(super) struct S3 {
    #[arg(long, value_name = "ID")]
    project: i64,
    #[arg(long)]
    bucket: String,
    /// Writes annotations to the bucket, instead of importing from it.
    #[arg(long)]
    export: bool,
    /// Tries the connection and stores nothing.
    #[arg(long)]
    dry_run: bool,
    #[arg(long)]
    title: Option<String>,
    #[arg(long)]
    description: Option<String>,
    /// Only keys below it; for export, where the objects go.
    #[arg(long)]
    prefix: Option<String>,
    /// Base URL of a compatible store; AWS without it.
    #[arg(long, env = "S3_ENDPOINT")]
    endpoint: Option<String>,
    #[arg(long)]
    region: Option<String>,
    #[arg(long, env = "S3_ACCESS_KEY_ID", hide_env_values = true, value_parser = secret)]
    access_key_id: Option<Secret>,
    /// "-" reads it from standard input. On the command line itself, a list of processes shows it.
    #[arg(long, env = "S3_SECRET_ACCESS_KEY", hide_env_values = true, value_parser = secret)]
    secret_access_key: Option<Secret>,
    #[arg(long, env = "S3_SESSION_TOKEN", hide_env_values = true, value_parser = secret)]
    session_token: Option<Secret>,
    /// Makes every object one task that names it; else objects hold tasks as JSON. Import only.
    #[arg(long, conflicts_with = "export")]
    blob: bool,
    /// Takes keys below further slashes too. Import only.
    #[arg(long, conflicts_with = "export")]
    recursive: bool,
    /// Python regular expression, matched at the start of the full key. Import only.
    #[arg(long, conflicts_with = "export")]
    regex: Option<String>,
    /// Streams objects through Longshore instead of signing URLs. Import only.
    #[arg(long, conflicts_with = "export")]
    no_presign: bool,
    /// How long signed URLs are valid. Import only.
    #[arg(long, value_name = "MINUTES", conflicts_with = "export")]
    presign_ttl: Option<u16>,
    /// Deletes the object of a deleted annotation. Export only.
    #[arg(long, requires = "export")]
    can_delete: bool,
    /// One object per task instead of one per annotation. Export only.
    #[arg(long, requires = "export")]
    tasks: bool,
    /// Names objects `<id>.json` instead of `<id>`. Export only.
    #[arg(long, requires = "export")]
    json_suffix: bool,
    /// KMS key that written objects are encrypted with. Export only.
    #[arg(long, requires = "export")]
    sse_kms_key_id: Option<String>,
}

impl S3 {
    /// The body of the request. Fields that were not given are left to the API's defaults.
    fn body(&self) -> Value {
        let mut body = Map::from_iter([
            ("project".to_owned(), self.project.into()),
            ("bucket".to_owned(), self.bucket.as_str().into()),
        ]);
        let exposed = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let texts = [
            ("title", self.title.clone()),
            ("description", self.description.clone()),
            ("prefix", self.prefix.clone()),
            ("s3_endpoint", self.endpoint.clone()),
            ("region_name", self.region.clone()),
            ("regex_filter", self.regex.clone()),
            ("aws_sse_kms_key_id", self.sse_kms_key_id.clone()),
            ("aws_access_key_id", exposed(&self.access_key_id)),
            ("aws_secret_access_key", exposed(&self.secret_access_key)),
            ("aws_session_token", exposed(&self.session_token)),
        ];
        body.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
        let switches = [
            ("use_blob_urls", self.blob),
            ("recursive_scan", self.recursive),
            ("can_delete_objects", self.can_delete),
            ("export_tasks", self.tasks),
            ("json_suffix", self.json_suffix),
        ];
        body.extend(switches.into_iter().filter(|(_, on)| *on).map(|(name, on)| (name.to_owned(), on.into())));
        if self.no_presign {
            body.insert("presign".to_owned(), false.into());
        }
        body.extend(self.presign_ttl.map(|minutes| ("presign_ttl".to_owned(), minutes.into())));
        Value::Object(body)
    }

    async fn run(mut self, client: &Client, output: Output) -> Result<()> {
        if self.secret_access_key.as_ref().is_some_and(|key| key.expose() == "-") {
            let line = std::io::read_to_string(std::io::stdin()).map_err(CliError::Input)?;
            self.secret_access_key = Some(Secret::new(line.trim()));
        }
        let base = base(if self.export { "export" } else { "import" }, "s3");
        if self.dry_run {
            let answer = client.post(&format!("{base}/validate"), &self.body()).await?;
            output.one(&answer, |_| "The connection works.".to_owned());
        } else {
            output.fields(&client.post(&base, &self.body()).await?);
        }
        Ok(())
    }
}

impl Command {
    pub(super) async fn run(self, client: &Client, output: Output) -> Result<()> {
        match self {
            Self::Create(Create::S3(s3)) => s3.run(client, output).await?,
            Self::List { project } => {
                let columns = [
                    ("ID", "/id"),
                    ("PROJECT", "/project"),
                    ("DIRECTION", "/direction"),
                    ("TYPE", "/type"),
                    ("STATUS", "/status"),
                    ("LAST COUNT", "/last_sync_count"),
                    ("BUCKET", "/bucket"),
                    ("PREFIX", "/prefix"),
                    ("TITLE", "/title"),
                ];
                output.list(&list(client, project).await?.into(), &columns);
            }
            Self::Show { id } => output.fields(&find(client, id).await?.0),
            Self::Validate { id } => {
                let (storage, path) = find(client, id).await?;
                let collection = path.rsplit_once('/').map_or("", |(collection, _)| collection);
                let answer = client.post(&format!("{collection}/validate"), &storage).await?;
                output.one(&answer, |_| "The connection works.".to_owned());
            }
            Self::Delete { id } => {
                let (_, path) = find(client, id).await?;
                let answer = client.delete(&path).await?;
                output.one(&answer, |_| format!("Storage {id} is deleted."));
            }
        }
        Ok(())
    }
}

/// The path of a direction and kind.
fn base(direction: &str, kind: &str) -> String {
    if direction == "export" { format!("/api/storages/export/{kind}") } else { format!("/api/storages/{kind}") }
}

/// The storages of both directions, each with its `direction`.
async fn list(client: &Client, project: Option<i64>) -> Result<Vec<Value>> {
    let query: Vec<_> = project.map(|id| ("project", id.to_string())).into_iter().collect();
    let mut all = Vec::new();
    for (direction, path) in [("import", "/api/storages"), ("export", "/api/storages/export")] {
        for row in rows(&client.get(path, &query).await?) {
            let mut row = row.clone();
            row["direction"] = json!(direction);
            all.push(row);
        }
    }
    Ok(all)
}

/// A storage of either direction and its path.
pub(super) async fn find(client: &Client, id: i64) -> Result<(Value, String)> {
    let storage = list(client, None).await?.into_iter().find(|row| row["id"] == id).ok_or(CliError::NoStorage(id))?;
    let word = |name: &str| storage[name].as_str().unwrap_or_default().to_owned();
    let path = format!("{}/{id}", base(&word("direction"), &word("type")));
    Ok((storage, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_label_studios_fields_and_what_is_not_given_stays_out() {
        let plain = S3 { project: 2, bucket: "b".to_owned(), ..S3::default() };
        assert_eq!(plain.body(), json!({"project": 2, "bucket": "b"}));

        let import = S3 {
            prefix: Some("in/".to_owned()),
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            access_key_id: Some(Secret::new("id")),
            secret_access_key: Some(Secret::new("key")),
            blob: true,
            recursive: true,
            no_presign: true,
            presign_ttl: Some(5),
            ..plain
        };
        let expected = json!({
            "project": 2, "bucket": "b", "prefix": "in/", "s3_endpoint": "http://127.0.0.1:9000",
            "aws_access_key_id": "id", "aws_secret_access_key": "key",
            "use_blob_urls": true, "recursive_scan": true, "presign": false, "presign_ttl": 5
        });
        assert_eq!(import.body(), expected);
        assert!(!format!("{import:?}").contains("\"key\""));
    }

    #[test]
    fn each_direction_and_kind_has_its_path() {
        assert_eq!(base("import", "s3"), "/api/storages/s3");
        assert_eq!(base("export", "gcs"), "/api/storages/export/gcs");
    }
}
