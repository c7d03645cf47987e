//! Policies, roles and CORS rules to paste when something is missing, by kind.
//!
//! They are built from the connection alone, which holds no secret. Values that only the reader knows are in angle
//! brackets.

use longshore_model::{Connection, FailureReason, RedisConnection, S3Connection};
use serde_json::{Value, json};

use super::Check;

/// A text to paste.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// What the text is, and where to paste it.
    pub title: &'static str,
    pub text: String,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Read,
    Write,
    Cors,
    /// The trust policy does not let Longshore assume the role.
    Trust,
    /// The operator has not enabled local files, or not this folder.
    LocalFiles,
}

impl Need {
    pub(super) fn of(check: Check, reason: FailureReason) -> Option<Self> {
        match (reason, check) {
            (FailureReason::RoleDenied, _) => Some(Self::Trust),
            (FailureReason::LocalFilesDisabled | FailureReason::RootItself | FailureReason::OutsideRoot, _) => {
                Some(Self::LocalFiles)
            }
            (FailureReason::AccessDenied, Check::Put | Check::Delete) => Some(Self::Write),
            (FailureReason::AccessDenied, _) => Some(Self::Read),
            _ => None,
        }
    }
}

/// Returns the snippets that grant what is missing.
pub(super) fn write(
    connection: &Connection,
    need: Need,
    can_delete: Option<bool>,
    origin: Option<&str>,
) -> Vec<Snippet> {
    let prefix = connection.prefix();
    let can_delete = can_delete.unwrap_or_default();
    let origin = origin.unwrap_or("https://<host of the labeling app>");
    match (connection, need) {
        (Connection::S3(s3), Need::Read) => vec![iam_policy(&read_s3(s3, &prefix))],
        (Connection::S3s(s3s), Need::Read) => vec![iam_policy(&read_s3(&s3s.s3, &prefix))],
        (Connection::S3(s3), Need::Write) => vec![iam_policy(&write_s3(s3, &prefix, can_delete))],
        (Connection::S3s(s3s), Need::Write) => vec![iam_policy(&write_s3(&s3s.s3, &prefix, can_delete))],
        (Connection::S3(s3), Need::Cors) => cors_s3(s3, origin),
        (Connection::S3s(s3s), Need::Cors) => cors_s3(&s3s.s3, origin),
        (Connection::S3s(s3s), Need::Trust) => vec![trust(s3s.external_id.as_deref())],
        (Connection::Gcs(gcs), Need::Read) => vec![role_gcs(&gcs.bucket, "roles/storage.objectViewer")],
        // On Google Cloud, overwriting the object of a changed annotation requires the right to delete.
        (Connection::Gcs(gcs), Need::Write) => vec![role_gcs(&gcs.bucket, "roles/storage.objectUser")],
        (Connection::Gcs(gcs), Need::Cors) => cors_gcs(&gcs.bucket, origin),
        (Connection::Azure(azure), Need::Read) => vec![sas(&azure.container, "rl")],
        (Connection::Azure(azure), Need::Write) => vec![sas(&azure.container, if can_delete { "cwd" } else { "cw" })],
        (Connection::Azure(_), Need::Cors) => vec![cors_azure(origin)],
        (Connection::Redis(redis), Need::Read | Need::Write) => vec![acl_redis(redis, &prefix, need, can_delete)],
        (Connection::Localfiles(files), Need::LocalFiles) => vec![Snippet {
            title: "Environment of scheduler and workers",
            text: format!(
                "LOCAL_FILES_SERVING_ENABLED=true\nLOCAL_FILES_DOCUMENT_ROOT={}",
                match files.path.trim_end_matches('/').rsplit_once('/') {
                    Some((root, _)) if !root.is_empty() => quote(root),
                    // A root of `/` would open the whole machine.
                    _ => "'<folder above the storage's, but not />'".to_owned(),
                }
            ),
        }],
        (Connection::Localfiles(files), Need::Read | Need::Write) => vec![Snippet {
            title: "Permissions of the folder, on the machines of scheduler and workers",
            text: format!(
                "setfacl -R -m 'u:<user of Longshore>:{}' {}",
                if need == Need::Write { "rwX" } else { "rX" },
                quote(files.path.trim_end_matches('/'))
            ),
        }],
        _ => Vec::new(),
    }
}

fn cors_azure(origin: &str) -> Snippet {
    let text = format!(
        "az storage cors add --account-name '<account>' --services b --methods GET HEAD OPTIONS \\\n  \
         --origins {} --allowed-headers '*' --exposed-headers '*' --max-age 3600",
        quote(origin)
    );
    Snippet { title: "CORS rule of the storage account", text }
}

fn acl_redis(redis: &RedisConnection, prefix: &str, need: Need, can_delete: bool) -> Snippet {
    let rights = match need {
        Need::Write if can_delete => "+set +del +select",
        Need::Write => "+set +select",
        _ => "+scan +getrange +strlen +type +select +client|id +info",
    };
    let user = redis.username.as_deref().filter(|user| !user.is_empty()).unwrap_or("<user>");
    let text = format!("ACL SETUSER {} on '><password>' {} {rights}", quote(user), quote(&format!("~{prefix}*")));
    Snippet { title: "ACL of the Redis user", text }
}

fn iam_policy(statements: &[Value]) -> Snippet {
    let document = json!({"Version": "2012-10-17", "Statement": statements});
    Snippet { title: "IAM policy of the user or role that Longshore uses", text: format!("{document:#}") }
}

/// The ARN of a bucket, or of the objects below `below`.
fn arn(s3: &S3Connection, below: &str) -> String {
    let region = s3.region_name.as_deref().unwrap_or_default().trim();
    let partition = match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    format!("arn:{partition}:s3:::{}{below}", s3.bucket)
}

fn read_s3(s3: &S3Connection, prefix: &str) -> Vec<Value> {
    let mut list = json!({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn(s3, "")});
    if !prefix.is_empty() {
        list["Condition"] = json!({"StringLike": {"s3:prefix": format!("{prefix}*")}});
    }
    vec![list, json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": arn(s3, &format!("/{prefix}*"))})]
}

fn write_s3(s3: &S3Connection, prefix: &str, can_delete: bool) -> Vec<Value> {
    let actions = if can_delete { json!(["s3:PutObject", "s3:DeleteObject"]) } else { json!("s3:PutObject") };
    let mut statements =
        vec![json!({"Effect": "Allow", "Action": actions, "Resource": arn(s3, &format!("/{prefix}*"))})];
    if let Some(id) = s3.aws_sse_kms_key_id.as_deref().map(str::trim).filter(|id| !id.is_empty()) {
        let key =
            if id.starts_with("arn:") { id.to_owned() } else { format!("arn:aws:kms:<region>:<account>:key/{id}") };
        statements.push(json!({"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": key}));
    }
    statements
}

fn cors_s3(s3: &S3Connection, origin: &str) -> Vec<Snippet> {
    let rules = json!({"CORSRules": [{
        "AllowedOrigins": [origin], "AllowedMethods": ["GET", "HEAD"], "AllowedHeaders": ["*"],
        "ExposeHeaders": ["Accept-Ranges", "Content-Length", "Content-Range", "ETag"], "MaxAgeSeconds": 3600,
    }]});
    let command =
        format!("aws s3api put-bucket-cors --bucket {} --cors-configuration file://cors.json", quote(&s3.bucket));
    vec![
        Snippet { title: "CORS rules of the bucket, as cors.json", text: format!("{rules:#}") },
        Snippet { title: "Command that sets the CORS rules", text: command },
    ]
}

fn trust(external_id: Option<&str>) -> Snippet {
    let mut statement = json!({
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": "<ARN of the user or role that scheduler and workers run as>"},
    });
    if let Some(id) = external_id.map(str::trim).filter(|id| !id.is_empty()) {
        statement["Condition"] = json!({"StringEquals": {"sts:ExternalId": id}});
    }
    let document = json!({"Version": "2012-10-17", "Statement": [statement]});
    Snippet { title: "Trust policy of the role", text: format!("{document:#}") }
}

fn role_gcs(bucket: &str, role: &str) -> Snippet {
    Snippet {
        title: "Role of the service account on the bucket",
        text: format!(
            "gcloud storage buckets add-iam-policy-binding {} \\\n  \
             --member='serviceAccount:<e-mail of the service account>' --role={role}",
            quote(&format!("gs://{bucket}"))
        ),
    }
}

fn cors_gcs(bucket: &str, origin: &str) -> Vec<Snippet> {
    let rules = json!([{
        "origin": [origin], "method": ["GET", "HEAD"], "maxAgeSeconds": 3600,
        "responseHeader": ["Accept-Ranges", "Content-Length", "Content-Range", "Content-Type", "ETag", "Range"],
    }]);
    let command = format!("gcloud storage buckets update {} --cors-file=cors.json", quote(&format!("gs://{bucket}")));
    vec![
        Snippet { title: "CORS rules of the bucket, as cors.json", text: format!("{rules:#}") },
        Snippet { title: "Command that sets the CORS rules", text: command },
    ]
}

fn sas(container: &str, permissions: &str) -> Snippet {
    Snippet {
        title: "Command that creates a SAS with the needed permissions, to test that the account allows them",
        text: format!(
            "az storage container generate-sas --account-name '<account>' --account-key '<account key>' \\\n  \
             --name {} --permissions {permissions} --expiry '<date, such as 2030-01-01>' --https-only",
            quote(container)
        ),
    }
}

/// Quotes any text as one argument for a shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use longshore_model::StorageSettings;

    use super::*;

    fn connection(json: &str) -> Connection {
        serde_json::from_str::<StorageSettings>(json).unwrap().connection
    }

    fn text(json: &str, need: Need, can_delete: bool) -> String {
        let snippets = write(&connection(json), need, Some(can_delete), Some("https://labels.example.com"));
        assert!(!snippets.is_empty(), "{json} {need:?}");
        snippets.into_iter().map(|snippet| snippet.text + "\n").collect()
    }

    const S3: &str = r#"{"kind":"s3","bucket":"pics","prefix":"train","aws_sse_kms_key_id":"key-1"}"#;

    #[test]
    fn policies_name_bucket_and_prefix_and_no_more_rights_than_needed() {
        let policy: Value = serde_json::from_str(&text(S3, Need::Read, false)).unwrap();
        assert_eq!(
            policy["Statement"],
            json!([
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::pics",
                 "Condition": {"StringLike": {"s3:prefix": "train/*"}}},
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::pics/train/*"},
            ])
        );
        let write = text(S3, Need::Write, false);
        assert!(write.contains("kms:GenerateDataKey") && write.contains("key/key-1") && !write.contains("Delete"));
        assert!(text(S3, Need::Write, true).contains("s3:DeleteObject"));
        let china = r#"{"kind":"s3","bucket":"pics","region_name":"cn-north-1"}"#;
        assert!(text(china, Need::Read, false).contains("arn:aws-cn:s3:::pics/*"));
        let role =
            r#"{"kind":"s3s","bucket":"pics","role_arn":"arn:aws:iam::123456789012:role/r","external_id":"ours"}"#;
        assert!(text(role, Need::Trust, false).contains(r#""sts:ExternalId": "ours""#));
    }

    #[test]
    fn every_kind_has_snippets_that_name_the_storage() {
        for (settings, name) in [
            (S3, "pics"),
            (r#"{"kind":"gcs","bucket":"pics"}"#, "pics"),
            (r#"{"kind":"azure","container":"pics"}"#, "pics"),
            (r#"{"kind":"redis","path":"tasks:"}"#, "~tasks:*"),
            (r#"{"kind":"localfiles","path":"/data/pics"}"#, "/data/pics"),
        ] {
            for need in [Need::Read, Need::Write] {
                assert!(text(settings, need, true).contains(name), "{settings} {need:?}");
            }
        }
        for settings in [S3, r#"{"kind":"gcs","bucket":"pics"}"#, r#"{"kind":"azure","container":"pics"}"#] {
            assert!(text(settings, Need::Cors, false).contains("https://labels.example.com"), "{settings}");
        }
        let closed = text(r#"{"kind":"localfiles","path":"/data/pics/"}"#, Need::LocalFiles, false);
        assert!(closed.contains("LOCAL_FILES_DOCUMENT_ROOT='/data'"), "{closed}");
        let top = text(r#"{"kind":"localfiles","path":"/data"}"#, Need::LocalFiles, false);
        assert!(top.contains("LOCAL_FILES_DOCUMENT_ROOT='<folder above"), "{top}");
    }

    #[test]
    fn a_name_cannot_become_a_command() {
        let odd = r#"{"kind":"gcs","bucket":"a'; rm -rf ~; '"}"#;
        assert!(text(odd, Need::Read, false).contains(r"'gs://a'\''; rm -rf ~; '\'''"));
    }
}
