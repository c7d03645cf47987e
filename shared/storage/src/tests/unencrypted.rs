//! The doctor's warning about endpoints without TLS.

use longshore_model::{
    Connection, Direction, RedisConnection, RedisSecrets, S3Secrets, Secret, Secrets, StorageKind, StorageSettings,
};
use prometheus::Registry;

use super::{options, settings};
use crate::doctor::{Check, Outcome};
use crate::{Operator, StorageMetrics, Stores};

async fn tls_outcome(settings: &StorageSettings) -> Outcome {
    let metrics = StorageMetrics::register(&Registry::new()).expect("metrics");
    let stores = Stores::new(options(), Operator::default(), metrics).expect("stores");
    let secrets = match settings.kind() {
        StorageKind::Redis => Secrets::Redis(RedisSecrets { password: Some(Secret::new("p")) }),
        _ => Secrets::S3(S3Secrets::default()),
    };
    // The address guard refuses these hosts, so nothing is sent; the warning does not depend on an answer.
    let steps = stores.examine(1, settings, &secrets, Direction::Import, None).await;
    steps.into_iter().find(|step| step.check == Check::Tls).expect("a step").outcome
}

fn redis(host: &str, tls: bool) -> StorageSettings {
    let connection =
        RedisConnection { host: Some(host.into()), port: Some("1".into()), tls, ..RedisConnection::default() };
    StorageSettings::new(Connection::Redis(connection))
}

#[tokio::test]
async fn the_doctor_warns_of_an_endpoint_without_tls_unless_it_is_this_machine() {
    let warning = |outcome: Outcome| match outcome {
        Outcome::Warning { code, advice } => Some((code, advice)),
        _ => None,
    };
    let (code, advice) = warning(tls_outcome(&redis("10.0.0.1", false)).await).expect("a warning");
    assert!(code == "unencrypted" && advice.contains("password") && advice.contains("`tls`"), "{advice}");
    let (code, advice) = warning(tls_outcome(&settings("http://10.0.0.1".to_owned())).await).expect("a warning");
    assert!(code == "unencrypted" && advice.contains("https://"), "{advice}");
    for quiet in [redis("127.0.0.1", false), redis("10.0.0.1", true), settings("https://10.0.0.1".to_owned())] {
        assert_eq!(warning(tls_outcome(&quiet).await), None);
    }
}
