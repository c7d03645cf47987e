//! Access to Redis servers: passwords, users, certificates, and Longshore's allowed endpoints.

use longshore_rig::oracle::one_each;
use longshore_rig::redis::RedisServer;
use longshore_rig::rig::Rig;
use longshore_storage::{ErrorKind, ListRequest};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{EXPORT, IMPORT, create, open, run, set, settings};

/// Validates settings, and returns the code and the reported fields.
async fn refused(rig: &Rig, path: &str, settings: Value) -> (u16, String, Vec<String>) {
    let (status, body) = rig.call("POST", &format!("{path}/validate"), Some(settings.clone())).await;
    let fields = body["validation_errors"].as_object().map(|fields| fields.keys().cloned().collect());
    assert!(!body.to_string().contains("b7e1"), "no secret in {body}");
    (status, body["code"].as_str().unwrap_or_default().to_owned(), fields.unwrap_or_default())
}

/// The port of a server with another protocol.
async fn no_redis() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Read the request first: closing a socket with unread bytes would also discard the answer.
            let asked = stream.read(&mut [0; 1024]).await.expect("somebody asks");
            assert!(asked > 0, "somebody asks");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("somebody listens");
        }
    });
    port.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_faults_are_reported_with_a_code_and_a_field() {
    let server = RedisServer::start().await;
    let authority = server.authority().display().to_string();
    let rig = Rig::with().workers(0).env("SSL_CERT_FILE", authority).start().await;
    let stranger = RedisServer::start().await;
    run(&mut server.db(0).await, "ACL SETUSER reader on >pw ~tasks:* +@read +@connection -@dangerous").await;
    run(&mut server.db(0).await, "ACL SETUSER least on >pw ~tasks:* +scan +strlen +getrange +type +select").await;
    run(&mut server.db(0).await, "ACL SETUSER writer on >pw ~done:* +set +select").await;
    let project = rig.project().await;
    let closed = longshore_local::ports::free().expect("a port").to_string();
    let reader = |path: &str| json!({"username": "reader", "password": "pw", "path": path});
    let cases = [
        (IMPORT, json!({"password": "wrong"}), "wrong_password", "password"),
        (IMPORT, json!({"password": ""}), "wrong_password", "password"),
        (IMPORT, json!({"username": "unknown"}), "wrong_password", "password"),
        (IMPORT, json!({"db": 99}), "validation_error", "db"),
        (IMPORT, json!({"port": closed}), "unreachable", "host"),
        (IMPORT, json!({"host": "no-such-host.invalid"}), "unreachable", "host"),
        (IMPORT, json!({"host": "redis://127.0.0.1"}), "validation_error", "host"),
        (IMPORT, json!({"port": "many"}), "validation_error", "port"),
        (IMPORT, json!({"port": no_redis().await}), "bad_answer", "non_field_errors"),
        (IMPORT, json!({"tls": true, "port": stranger.tls_port.to_string()}), "tls", "tls"),
        (IMPORT, reader("other:"), "access_denied", "non_field_errors"),
        (EXPORT, reader("tasks:"), "access_denied", "non_field_errors"),
    ];
    for (path, own, code, field) in cases {
        let output = refused(&rig, path, settings(&server, project, own.clone())).await;
        assert_eq!(output, (400, code.to_owned(), vec![field.to_owned()]), "{path}: {own}");
    }
    let user = |name: &str, path: &str| json!({"username": name, "password": "pw", "path": path});
    let good = [
        (IMPORT, json!({})),
        (EXPORT, json!({})),
        (EXPORT, json!({"db": 0})),
        (IMPORT, reader("tasks:")),
        (IMPORT, user("least", "tasks:")),
        (EXPORT, user("writer", "done:")),
    ];
    for (path, own) in good {
        let (status, body) = rig.call("POST", &format!("{path}/validate"), Some(settings(&server, project, own))).await;
        assert_eq!(status, 200, "{body}");
    }
    // An authenticated connection must not be used for a later check of another password.
    let output = refused(&rig, IMPORT, settings(&server, project, json!({"password": "wrong"}))).await;
    assert_eq!(output.1, "wrong_password");
    for db in [0, 2] {
        let mut db = server.db(db).await;
        let left: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut db).await.expect("keys");
        // The writer may not delete: its test key expires by itself.
        for key in left {
            assert!(key.starts_with("done:.longshore-probe-"), "the test object is deleted: {key}");
            let lasts: i64 = redis::cmd("TTL").arg(&key).query_async(&mut db).await.expect("an end");
            assert!((0..=60).contains(&lasts), "{key} ends in {lasts} s");
        }
    }
    assert!(!rig.logs().contains("b7e1"), "no password in the logs");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acl_user_with_minimal_rights_imports_over_tls() {
    let server = RedisServer::start().await;
    let authority = server.authority().display().to_string();
    let rig = Rig::with().env("SSL_CERT_FILE", authority).start().await;
    let mut db = server.db(1).await;
    // It may not even ask the server for its name: INFO is "dangerous".
    run(&mut db, "ACL SETUSER reader on >pw ~tasks:* +@read +@connection -@dangerous").await;
    for n in 0..1_200 {
        set(&mut db, format!("tasks:{n}"), "{}").await;
    }
    set(&mut db, "theirs:1", "{}").await;
    let own = json!({
        "username": "reader", "password": "pw", "path": "tasks:", "tls": true, "port": server.tls_port.to_string(),
    });
    let storage = create(&rig, IMPORT, settings(&server, rig.project().await, own)).await;
    let sync = rig.sync_to_end(&storage).await;
    let expected = one_each((0..1_200).map(|n| format!("tasks:{n}")));
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);

    // Keys that the user may not read are quarantined one by one.
    run(&mut db, "ACL SETUSER reader resetkeys ~tasks:1*").await;
    set(&mut db, "tasks:1new", "{}").await;
    set(&mut db, "tasks:2new", "{}").await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["counts"]["created"], &sync["counts"]["quarantined"]), (&json!(1), &json!(1)), "{sync}");
    let aside = rig.quarantine(&storage).await;
    assert_eq!((&aside[0]["key"], &aside[0]["reason"]), (&json!("tasks:2new"), &json!("denied")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_on_an_address_that_the_operator_does_not_allow_is_never_reached() {
    let server = RedisServer::start().await;
    let rig = Rig::with().workers(0).env("LONGSHORE_ALLOWED_ENDPOINTS", "").start().await;
    let project = rig.project().await;
    let hosts = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "::1",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "10.0.0.1",
        "0.0.0.0",
    ];
    for host in hosts {
        for path in [IMPORT, EXPORT] {
            let output = refused(&rig, path, settings(&server, project, json!({"host": host}))).await;
            assert_eq!(output, (403, "blocked_address".to_owned(), vec!["host".to_owned()]), "{host}");
        }
    }
    let mut db = server.db(0).await;
    let report: String = redis::cmd("INFO").arg("stats").query_async(&mut db).await.expect("counters");
    let connections = report.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    let connections: u32 = connections.and_then(|count| count.trim().parse().ok()).expect("a counter");
    // Connections of the test itself: one per attempt until the server answered, and this one.
    let storage = open(&server, 0, "192.0.2.0/24");
    let error = storage.list_page(ListRequest { limit: 1, ..ListRequest::default() }).await.expect_err("blocked");
    assert_eq!((error.kind, error.reason.as_str()), (ErrorKind::Invalid, "blocked_address"));
    let report: String = redis::cmd("INFO").arg("stats").query_async(&mut db).await.expect("counters");
    assert!(report.contains(&format!("total_connections_received:{connections}\r\n")), "{report}");
}
