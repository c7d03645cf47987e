//! No entry of the allow list opens the metadata service of a cloud.

use longshore_rig::rig::Rig;
use serde_json::json;

/// Addresses of metadata services, in several spellings.
const METADATA: &[&str] = &[
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.170.2",
    "168.63.129.16",
    "2822734096",
    "168.4161808",
    "100.100.100.200",
    "192.0.0.192",
    "[::ffff:168.63.129.16]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a83f:8110]",
    "[2002:a9fe:a9fe::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fd00:c1::a9fe:a9fe]",
    "[fd00:42::42]",
    "[fe80::a9fe:a9fe]",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_service_is_reached_by_no_kind_with_any_allow_list() {
    for allowed in ["", "0.0.0.0/0,::/0"] {
        let rig = Rig::with().workers(0).env("LONGSHORE_ALLOWED_ENDPOINTS", allowed).start().await;
        let project = rig.project().await;
        for host in METADATA {
            let endpoint = format!("http://{host}");
            let plain = host.trim_start_matches('[').trim_end_matches(']');
            let keys = json!({"aws_access_key_id": "AK", "aws_secret_access_key": "SK"});
            let s3 = super::with(&keys, &json!({"project": project, "bucket": "pics", "s3_endpoint": endpoint}));
            let azure = json!({"project": project, "container": "pics", "account_name": "labels", "account_key": "c2VjcmV0",
                               "endpoint": format!("{endpoint}:32526/labels")});
            let redis = json!({"project": project, "host": plain, "port": "80"});
            for (kind, settings) in [("s3", s3), ("azure", azure), ("redis", redis)] {
                let (status, body) = rig.call("POST", &format!("/api/storages/{kind}/validate"), Some(settings)).await;
                assert_eq!(
                    (status, &body["code"]),
                    (403, &json!("blocked_address")),
                    "{allowed} {kind} {host}: {body}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_starts_with_a_metadata_service_in_its_allow_list() {
    let mut rig = Rig::with().workers(0).start().await;
    rig.set_environment("LONGSHORE_ALLOWED_ENDPOINTS", "10.0.0.1,169.254.169.254:80");
    let (scheduler, worker) = (rig.spawn_scheduler(), rig.spawn_worker());
    for app in [&rig.schedulers[scheduler], &rig.workers[worker]] {
        assert!(!app.process.wait().await.success());
        let log = app.process.log();
        assert!(log.contains("\"169.254.169.254:80\" is the address of a cloud's metadata service"), "{log}");
    }
}
