//! The doctor's warning about endpoints without TLS.

use longshore_model::{
    Connection, Direction, RedisConnection, RedisSecrets, S3Secrets, Secret, Secrets, StorageKind, StorageSettings,
};
use prometheus::Registry;
use tokio::net::TcpListener;

use super::{options, settings};
use crate::doctor::{Check, Outcome};
use crate::{AllowedEndpoints, Operator, StorageMetrics, Stores, WireOptions};

async fn tls_outcome(settings: &StorageSettings) -> Outcome {
    let metrics = StorageMetrics::register(&Registry::new()).expect("metrics");
    let allowed = AllowedEndpoints::parse("127.0.0.1, 0.0.0.0").expect("addresses");
    let stores = Stores::new(WireOptions { allowed, ..options() }, Operator::default(), metrics).expect("stores");
    let secrets = match settings.kind() {
        StorageKind::Redis => Secrets::Redis(RedisSecrets { password: Some(Secret::new("p")) }),
        _ => Secrets::S3(S3Secrets::default()),
    };
    let steps = stores.examine(1, settings, &secrets, Direction::Import, None).await;
    steps.into_iter().find(|step| step.check == Check::Tls).expect("a step").outcome
}

fn redis(host: &str, port: u16, tls: bool) -> StorageSettings {
    let (host, port) = (Some(host.into()), Some(port.to_string()));
    StorageSettings::new(Connection::Redis(RedisConnection { host, port, tls, ..RedisConnection::default() }))
}

/// Method: servers that end each connection. By 0.0.0.0 they are reached under an address that is not this machine's.
#[tokio::test]
async fn the_doctor_warns_of_an_endpoint_without_tls_unless_it_is_this_machine() {
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = server.local_addr().expect("an address").port();
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    tokio::spawn(async move { while server.accept().await.map(drop).is_ok() {} });
    let warning = |outcome: Outcome| match outcome {
        Outcome::Warning { code, advice } => Some((code, advice)),
        _ => None,
    };
    let (code, advice) = warning(tls_outcome(&redis("0.0.0.0", port, false)).await).expect("a warning");
    assert!(code == "unencrypted" && advice.contains("password") && advice.contains("`tls`"), "{advice}");
    let s3 = |scheme: &str, host: &str| settings(format!("{scheme}://{host}:{port}"));
    let (code, advice) = warning(tls_outcome(&s3("http", "0.0.0.0")).await).expect("a warning");
    assert!(code == "unencrypted" && advice.contains("https://"), "{advice}");
    let encrypted = [redis("0.0.0.0", port, true), s3("https", "0.0.0.0")];
    for quiet in [redis("127.0.0.1", port, false), s3("http", "127.0.0.1")].into_iter().chain(encrypted) {
        assert_eq!(warning(tls_outcome(&quiet).await), None);
    }
}
