//! Validation of S3 storages: for each fault, the status, the field, a stable code and advice.

use std::net::SocketAddr;
use std::sync::Arc;

use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const NON_FIELD: &str = "non_field_errors";

/// One fault.
struct Case {
    what: &'static str,
    /// Fields that differ from the valid settings.
    settings: Value,
    /// Fault of the server.
    fault: Option<(When, Fault)>,
    /// Whether import, export or both are refused.
    refused: &'static [&'static str],
    status: u16,
    code: &'static str,
    field: &'static str,
    /// A part of the advice.
    advice: &'static str,
}

const IMPORT: &str = "/api/storages/s3";
const EXPORT: &str = "/api/storages/export/s3";
const BOTH: &[&str] = &[IMPORT, EXPORT];

fn cases(blocked: &str, untrusted: &str, closed: &str) -> Vec<Case> {
    let case = |what, settings, status, code, field, advice| Case {
        what,
        settings,
        fault: None,
        refused: BOTH,
        status,
        code,
        field,
        advice,
    };
    let report = |what, fault, code, field, advice| Case {
        fault: Some((When::any(), Fault::Error(fault))),
        ..case(what, json!({}), 400, code, field, advice)
    };
    let without_right = |what, op, refused, advice| Case {
        fault: Some((When::op(op), Fault::Error(S3ErrorCode::AccessDenied))),
        refused,
        ..case(what, json!({}), 400, "access_denied", NON_FIELD, advice)
    };
    vec![
        case(
            "a wrong key",
            json!({"aws_access_key_id": "AKIANOBODY"}),
            400,
            "unknown_access_key",
            "aws_access_key_id",
            "Check the access key ID",
        ),
        case(
            "a wrong secret",
            json!({"aws_secret_access_key": "not-it"}),
            400,
            "wrong_secret_key",
            "aws_secret_access_key",
            "Check the secret access key",
        ),
        report(
            "a wrong region, as AWS says it of a signature",
            S3ErrorCode::AuthorizationHeaderMalformed,
            "wrong_region",
            "region_name",
            "another region",
        ),
        report(
            "a wrong region, as AWS says it of an address",
            S3ErrorCode::PermanentRedirect,
            "wrong_region",
            "region_name",
            "another region",
        ),
        case(
            "no such bucket",
            json!({"bucket": "nowhere"}),
            400,
            "no_such_bucket",
            "bucket",
            "The bucket does not exist",
        ),
        without_right("no right to list", Op::List, &[IMPORT], "LIST and GET for import"),
        without_right("no right to put", Op::Put, &[EXPORT], "PUT for export"),
        report("clocks that differ", S3ErrorCode::RequestTimeTooSkewed, "clock_skew", NON_FIELD, "set the clock"),
        report("keys that have ended", S3ErrorCode::ExpiredToken, "expired_credentials", NON_FIELD, "Enter new ones"),
        case(
            "an untrusted certificate",
            json!({"s3_endpoint": untrusted}),
            400,
            "tls",
            "s3_endpoint",
            "endpoint's certificate",
        ),
        case(
            "an address that the operator has not opened",
            json!({"s3_endpoint": blocked}),
            403,
            "blocked_address",
            "s3_endpoint",
            "LONGSHORE_ALLOWED_ENDPOINTS",
        ),
        case("no listener", json!({"s3_endpoint": closed}), 400, "unreachable", "s3_endpoint", "nothing listens there"),
        case(
            "a host that is not known",
            json!({"s3_endpoint": "http://longshore.invalid"}),
            400,
            "unreachable",
            "s3_endpoint",
            "does not resolve",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_reports_the_fault_its_field_and_the_fix() {
    let rig = Rig::with().workers(0).env("LONGSHORE_ALLOWED_ENDPOINTS", "127.0.0.1").start().await;
    rig.s3.create_bucket("pics");
    let good = json!({
        "project": rig.project().await, "bucket": "pics", "s3_endpoint": rig.s3.endpoint(),
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY,
    });
    let (untrusted, _server) = untrusted().await;
    let blocked = format!("http://127.0.0.2:{}", rig.s3.address().port());
    let closed = format!("http://127.0.0.1:{}", longshore_local::ports::free().expect("a port"));
    for case in cases(&blocked, &format!("https://{untrusted}"), &closed) {
        let mut settings = good.clone();
        for (name, value) in case.settings.as_object().expect("settings") {
            settings[name] = value.clone();
        }
        if let Some((when, fault)) = case.fault {
            rig.s3.fail(when, fault);
        }
        for collection in BOTH {
            let (status, body) = rig.call("POST", &format!("{collection}/validate"), Some(settings.clone())).await;
            let output = format!("{} on {collection}: {status} {body}", case.what);
            if !case.refused.contains(collection) {
                assert_eq!(status, 200, "{output}");
                continue;
            }
            assert_eq!((status, &body["code"]), (case.status, &json!(case.code)), "{output}");
            assert_eq!(body["validation_errors"][case.field], json!([body["detail"]]), "{output}");
            assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(case.advice)), "{output}");
            // Saving is refused in the same way, and no storage is stored.
            let (status, body) = rig.call("POST", collection, Some(settings.clone())).await;
            assert_eq!((status, &body["code"]), (case.status, &json!(case.code)), "{output}");
        }
        rig.s3.clear_faults();
    }
    assert_eq!(rig.get("/api/storages").await, json!([]));
    assert_eq!(rig.get("/api/storages/export").await, json!([]));
    assert!(rig.s3.objects("pics").is_empty(), "the test object is deleted");
}

/// A server with a self-signed certificate.
async fn untrusted() -> (SocketAddr, JoinSet<()>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a key that fits");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust it closes the connection during the handshake.
            acceptor.accept(stream).await.err();
        }
    });
    (address, task)
}
