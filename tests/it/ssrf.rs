//! SSRF: endpoints of users reach no private address, in any spelling, with any DNS answer and at any time, except the
//! endpoints that the operator allows.

use futures::FutureExt;
use longshore_local::s3::{AccessKey, Options, S3Server};
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Spellings of this machine and of the metadata service.
const INSIDE: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0177.0.0.1",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "0.0.0.0",
    "0",
    "[::]",
    "localhost",
    "LOCALHOST",
    "a.localhost",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "100.100.100.200",
    "192.168.0.1",
    "10.0.0.1",
    "172.16.0.1",
];

fn s3(project: i64, endpoint: &str) -> Value {
    json!({
        "project": project, "bucket": "pics", "s3_endpoint": endpoint, "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": SECRET_ACCESS_KEY
    })
}

/// Checks that settings are refused because of their endpoint.
async fn check_blocked(rig: &Rig, method: &str, path: &str, settings: &Value) {
    let (status, body) = rig.call(method, path, Some(settings.clone())).await;
    assert_eq!((status, &body["code"]), (403, &json!("blocked_address")), "{method} {path} {settings}: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_private_address_is_reached_when_a_storage_is_saved() {
    // The rig's server is allowed, so that there are storages to change.
    let open = server().await;
    let allowed = open.address().to_string();
    let rig = Rig::with().workers(0).env("LONGSHORE_ALLOWED_ENDPOINTS", allowed).start().await;
    let (project, port) = (rig.project().await, rig.s3.address().port());
    let import = rig.post("/api/storages/s3", s3(project, &open.endpoint())).await["id"].clone();
    let export = rig.post("/api/storages/export/s3", s3(project, &open.endpoint())).await["id"].clone();
    open.clear_calls();
    let mut hosts: Vec<String> = INSIDE.iter().map(|host| (*host).to_owned()).collect();
    // A name that resolves to a private address, if this machine has one.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    if tokio::net::lookup_host((name.trim(), 80)).await.is_ok() {
        hosts.push(name.trim().to_owned());
    }
    for host in hosts {
        let endpoint = format!("http://{host}:{port}");
        let (whole, changed) =
            (s3(project, &endpoint), json!({"s3_endpoint": endpoint, "aws_secret_access_key": SECRET_ACCESS_KEY}));
        for (method, path, settings) in [
            ("POST", "/api/storages/s3".to_owned(), &whole),
            ("POST", "/api/storages/s3/validate".to_owned(), &whole),
            ("POST", "/api/storages/s3/files".to_owned(), &whole),
            ("POST", "/api/storages/export/s3".to_owned(), &whole),
            ("POST", "/api/storages/export/s3/validate".to_owned(), &whole),
            ("PUT", format!("/api/storages/s3/{import}"), &whole),
            ("PATCH", format!("/api/storages/s3/{import}"), &changed),
            ("PATCH", format!("/api/storages/export/s3/{export}"), &changed),
        ] {
            check_blocked(&rig, method, &path, settings).await;
        }
        let azure = json!({
            "project": project, "container": "pics", "account_name": "devstoreaccount1", "account_key": "c2VjcmV0",
            "endpoint": format!("{endpoint}/devstoreaccount1")
        });
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let redis = json!({"project": project, "path": "tasks", "host": plain, "port": port.to_string()});
        for (kind, settings) in [("azure", azure), ("redis", redis)] {
            for direction in ["", "export/"] {
                for action in ["", "/validate"] {
                    let path = format!("/api/storages/{direction}{kind}{action}");
                    check_blocked(&rig, "POST", &path, &settings).await;
                }
            }
        }
    }
    assert!(rig.s3.calls().is_empty(), "no request arrived");
    assert!(open.calls().is_empty(), "what is allowed was not asked instead");
}

/// A server that opens buckets with the rig's key, with the bucket `pics`.
async fn server() -> S3Server {
    let access_keys = vec![AccessKey::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY)];
    let server = S3Server::start(Options { access_keys, ..Options::default() }).await.expect("a server");
    server.put("pics", "one.json", "{}");
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_endpoints_are_reached_and_saved_ones_are_checked_at_connect() {
    let (open, other) = (server().await, server().await);
    let mut rig = Rig::with().env("LONGSHORE_ALLOWED_ENDPOINTS", open.address().to_string()).start().await;
    let project = rig.project().await;
    let path = "/api/storages/s3/validate";
    assert_eq!(rig.call("POST", path, Some(s3(project, &open.endpoint()))).await.0, 200);
    // Another spelling of the same address is allowed too.
    let decimal = format!("http://2130706433:{}", open.address().port());
    assert_eq!(rig.call("POST", path, Some(s3(project, &decimal))).await.0, 200);
    for endpoint in [
        other.endpoint(),
        format!("http://127.0.0.2:{}", open.address().port()),
        format!("http://[::1]:{}", open.address().port()),
        "http://169.254.169.254".to_owned(),
    ] {
        check_blocked(&rig, "POST", path, &s3(project, &endpoint)).await;
    }
    assert!(other.calls().is_empty());

    let mut settings = s3(project, &open.endpoint());
    settings["recursive_scan"] = json!(true);
    let id = rig.post("/api/storages/s3", settings).await["id"].as_i64().expect("an id");
    let storage = longshore_rig::rig::StorageHandle { id, project, path: "/api/storages/s3" };
    assert_eq!(rig.sync_to_end(&storage).await["status"], "completed");

    // The operator removes the endpoint: now the worker refuses it, not the API.
    rig.set_environment("LONGSHORE_ALLOWED_ENDPOINTS", "");
    let worker = rig.workers.remove(0);
    worker.stop().await.expect("the worker ends");
    rig.add_worker().await;
    open.clear_calls();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("blocked_address")), "{sync}");
    assert!(open.calls().is_empty(), "no request arrived");
}

/// A server that redirects every request.
async fn redirecting(status: u16, location: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = format!(
                "HTTP/1.1 {status} OtherProject\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            tokio::spawn(async move {
                let mut head = [0; 16 * 1024];
                if stream.read(&mut head).await.is_ok() {
                    drop(stream.write_all(answer.as_bytes()).await);
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_never_followed_even_to_an_allowed_endpoint() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let trap = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let inside = format!("http://{}/pics?list-type=2", trap.local_addr().expect("an address"));
    for status in [301, 302, 303, 307, 308] {
        for location in [inside.as_str(), "http://169.254.169.254/latest/meta-data/iam/security-credentials/"] {
            let endpoint = redirecting(status, location.to_owned()).await;
            let azure = json!({
                "project": project, "container": "pics", "account_name": "devstoreaccount1",
                "account_key": "c2VjcmV0", "endpoint": format!("{endpoint}/devstoreaccount1")
            });
            for (kind, settings) in [("s3", s3(project, &endpoint)), ("azure", azure)] {
                for action in ["validate", "files"] {
                    let path = format!("/api/storages/{kind}/{action}");
                    let (code, body) = rig.call("POST", &path, Some(settings.clone())).await;
                    assert_eq!(code, 400, "{status} {path}: {body}");
                    assert!(!body.to_string().contains("meta-data"), "{body}");
                }
            }
        }
    }
    assert!(trap.accept().now_or_never().is_none(), "somebody went where a redirect led");
}
