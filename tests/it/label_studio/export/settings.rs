//! Settings of export storages of S3: encryption, and whose keys sign.

use std::collections::BTreeSet;

use longshore_rig::rig::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, TEMPORARY_ACCESS_KEY_ID};
use serde_json::json;

use super::super::Twins;
use super::differences;

/// Label Studio encrypts only with this flag.
const ENCRYPTION_FLAG: &str = "fflag_feat_back_lsdv_3958_server_side_encryption_for_target_storage_short";

const KMS_KEY: &str = "arn:aws:kms:eu-north-1:111122223333:key/1234abcd";

impl Twins {
    /// How the objects of a bucket are encrypted: the method and the ID of the key.
    fn encryption(&self, bucket: &str) -> BTreeSet<(Option<String>, Option<String>)> {
        let keys = self.rig.s3.objects(bucket).into_iter().map(|(key, ..)| key);
        let objects = keys.map(|key| self.rig.s3.get(bucket, &key).expect("an object"));
        objects.map(|object| (object.encryption, object.kms_key_id)).collect()
    }
}

/// Goal: each setting has the same effect. Method: one project and pairs of storages, where Label Studio encrypts and where
/// it does not.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn settings_of_s3_targets_mean_what_they_mean_to_label_studio() {
    let keys =
        vec![("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()), ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned())];
    let of_environment = json!({"aws_access_key_id": null, "aws_secret_access_key": null});
    let temporary = json!({"aws_access_key_id": TEMPORARY_ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY,
        "aws_session_token": SESSION_TOKEN});
    let kms = (Some("aws:kms".to_owned()), Some(KMS_KEY.to_owned()));
    let none = (None, None);
    for encrypts in [false, true] {
        let mut theirs = keys.clone();
        theirs.push((ENCRYPTION_FLAG, encrypts.to_string()));
        let twins = Twins::start_with(&keys, &theirs).await;
        let project = twins.content().await.project;
        // Without a key of their own, Label Studio asks for what S3 does anyway.
        let their_default = if encrypts { (Some("AES256".to_owned()), None) } else { none.clone() };
        for (name, settings, expected) in [
            ("plain", json!({"region_name": "eu-north-1"}), [&their_default, &none]),
            ("environment", of_environment.clone(), [&their_default, &none]),
            ("temporary", temporary.clone(), [&their_default, &none]),
            ("blank", json!({"aws_sse_kms_key_id": ""}), [&their_default, &none]),
            ("kms", json!({"aws_sse_kms_key_id": KMS_KEY}), [if encrypts { &kms } else { &none }, &kms]),
        ] {
            let [their_bucket, our_bucket] = ["theirs", "ours"].map(|side| format!("{side}-{name}"));
            let target = twins.target(project, &their_bucket, settings.clone()).await;
            let shown = twins.export_theirs(target).await;
            assert_eq!(shown["status"], "completed", "{name}: {shown}");
            let target = twins.target(project, &our_bucket, settings).await;
            let shown = twins.export_ours(target).await;
            assert_eq!(shown["status"], "completed", "{name}: {shown}");
            let found = differences(&twins.exported(&their_bucket), &twins.exported(&our_bucket));
            assert!(found.is_empty(), "{name}: {}", found.join("\n"));
            for (bucket, expected) in [&their_bucket, &our_bucket].into_iter().zip(expected) {
                assert_eq!(twins.encryption(bucket), BTreeSet::from([expected.clone()]), "{bucket}, {encrypts}");
            }
        }
    }
}
