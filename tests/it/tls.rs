//! Encrypted connections to PostgreSQL and RabbitMQ: real servers with certificates of a private authority, and servers
//! that want to learn the password.

mod fake;

use longshore_local::{App, ports};
use longshore_rig::certificates::Authority;
use longshore_rig::encrypted::{CERTIFIED, EncryptedServers};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_postgres::NoTls;

use crate::programs::{Ended, run, scheduler, worker};
use fake::{FakePostgres, SSL_REQUEST, Tls};

const KEYS: &str = "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const PASSWORD: &str = "hunter2secret";

/// What a program needs besides its servers.
const REST: [(&str, &str); 2] = [("LONGSHORE_SECRET_KEYS", KEYS), ("LONGSHORE_TOKEN", "tls-token-0123456789")];

/// Runs `longshore-scheduler check`, with an AMQP address of no server unless one is given.
async fn check(environment: &[(&str, &str)]) -> Ended {
    let mut command = scheduler(&["check"]);
    command.env("DATABASE_URL", "postgres://u:p@127.0.0.1:1/d").env("AMQP_URL", "amqp://u:p@127.0.0.1:1");
    run(command.envs(REST).envs(environment.iter().copied())).await
}

/// The only line about a subject.
fn line<'a>(text: &'a str, subject: &str) -> &'a str {
    let mut lines = text.lines().filter(|line| line.split_whitespace().nth(1) == Some(subject));
    lines.next().unwrap_or_else(|| panic!("{subject}: {text}"))
}

/// Asserts what `check` finds about this database: words of the line about the network, or of the failure.
async fn database_is(url: &str, expected: Result<&str, &str>) {
    let Ended { text, .. } = check(&[("DATABASE_URL", url)]).await;
    match expected {
        Ok(words) => assert!(line(&text, "network").contains(words), "{words}: {text}"),
        Err(words) => {
            let line = line(&text, "database");
            assert!(line.starts_with("FAIL") && line.contains(words), "{words}: {text}");
        }
    }
}

async fn check_postgres(servers: &EncryptedServers, ca: &str, stranger: &str) {
    let [trusted, strange] = [ca, stranger].map(|file| format!("sslrootcert={file}"));
    for (host, parameters, expected) in [
        ("localhost", format!("sslmode=verify-full&{trusted}"), Ok("host name checked")),
        ("localhost", format!("sslmode=require&{trusted}"), Ok("host name checked")),
        ("localhost", format!("sslmode=verify-ca&{trusted}"), Ok("host name not")),
        ("127.0.0.1", format!("sslmode=verify-ca&{trusted}"), Ok("host name not")),
        ("127.0.0.1", format!("sslmode=verify-full&{trusted}"), Err("sslmode=verify-ca")),
        ("127.0.0.1", format!("sslmode=require&{trusted}"), Err("not valid for name")),
        ("localhost", format!("sslmode=verify-full&{strange}"), Err("sslrootcert=")),
        ("127.0.0.1", format!("sslmode=verify-ca&{strange}"), Err("sslrootcert=")),
        ("localhost", "sslmode=verify-full".to_owned(), Err("UnknownIssuer")),
        ("localhost", "sslmode=require&sslrootcert=system".to_owned(), Err("UnknownIssuer")),
    ] {
        database_is(&servers.database_url(host, &parameters), expected).await;
    }
    // Several hosts: the first fails by its name. Then a name that only the certificate is compared with.
    let (before, after) = servers.administrator().split_once("127.0.0.1:").expect("a host");
    let (port, _) = after.split_once('/').expect("a port");
    let both = format!(
        "{before}127.0.0.1:{port},localhost:{after}?target_session_attrs=read-write&sslmode=verify-full&{trusted}"
    );
    database_is(&both, Ok("host name checked")).await;
    let named = |name: &str| {
        format!("{before}/longshore?host={name}&hostaddr=127.0.0.1&port={port}&sslmode=verify-full&{trusted}")
    };
    database_is(&named("localhost"), Ok("host name checked")).await;
    database_is(&named("db.example"), Err("not valid for name")).await;
}

async fn check_rabbitmq(servers: &EncryptedServers, ca: &str, stranger: &str) {
    for (host, authorities, expected) in [
        ("localhost", ca, Ok("certificate and host name checked")),
        ("127.0.0.1", ca, Err("certificate lists")),
        ("localhost", stranger, Err("LONGSHORE_AMQP_CA_FILE")),
        ("localhost", "", Err("LONGSHORE_AMQP_CA_FILE")),
    ] {
        let url = servers.amqp_url(host);
        let Ended { text, .. } = check(&[("AMQP_URL", &url), ("LONGSHORE_AMQP_CA_FILE", authorities)]).await;
        match expected {
            Ok(words) => assert!(line(&text, "network").contains(words), "{host}: {text}"),
            Err(words) => {
                let line = line(&text, "broker");
                assert!(line.starts_with("FAIL") && line.contains(words), "{host} {authorities}: {text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_postgres_and_rabbitmq_are_checked_as_the_settings_say() {
    let servers = EncryptedServers::start().await;
    let ca = servers.authority.file().display().to_string();
    let stranger = Authority::make(&servers.run_dir.folder("logs").expect("a folder")).file().display().to_string();
    check_postgres(&servers, &ca, &stranger).await;
    check_rabbitmq(&servers, &ca, &stranger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_programs_run_with_every_connection_encrypted_and_a_client_certificate() {
    let servers = EncryptedServers::start().await;
    let (client, driver) = tokio_postgres::connect(servers.administrator(), NoTls).await.expect("the server answers");
    let driver = tokio::spawn(driver);
    let role = format!(
        "CREATE ROLE {CERTIFIED} LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON DATABASE longshore TO {CERTIFIED}"
    );
    client.batch_execute(&role).await.expect("a role");
    let ca = servers.authority.file().display().to_string();
    let secret = servers.run_dir.secret("postgres").expect("a password");
    let plain = servers.database_url("localhost", &format!("sslmode=verify-full&sslrootcert={ca}"));
    let without = plain.replacen(&format!("postgres:{secret}@"), &format!("{CERTIFIED}:{PASSWORD}@"), 1);
    let (chain, key) = (servers.client.chain.display(), servers.client.key.display());
    let url = format!("{without}&sslcert={chain}&sslkey={key}");
    let refused = check(&[("DATABASE_URL", &without)]).await.text;
    assert!(line(&refused, "database").starts_with("FAIL") && !refused.contains(PASSWORD), "{refused}");

    let amqp = servers.amqp_url("localhost");
    let mut apps = Vec::new();
    for (name, mut command, listen) in
        [("scheduler", scheduler(&[]), "LONGSHORE_LISTEN"), ("worker", worker(&[]), "LONGSHORE_METRICS_LISTEN")]
    {
        let port = ports::free().expect("a port");
        command.envs(REST).env("DATABASE_URL", &url).env("AMQP_URL", &amqp).env("LONGSHORE_AMQP_CA_FILE", &ca);
        command.env(listen, format!("127.0.0.1:{port}"));
        let app = App::spawn(&servers.run_dir, name, command, port).expect("a process");
        app.until_ready().await.expect("it becomes ready");
        apps.push(app);
    }
    let sessions = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl
                      JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'longshore-%'";
    let row = client.query_one(sessions, &[]).await.expect("sessions");
    let (encrypted, other): (i64, i64) = (row.get(0), row.get(1));
    assert!(encrypted > 2 && other == 0, "{encrypted} encrypted, {other} not");
    drop(client);
    driver.await.expect("no panic").expect("the connection ends");
}

/// Goal: no answer of a server makes a program send its password unencrypted. Method: a server that has no TLS and asks
/// for the password as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_denies_tls_learns_no_password() {
    let attacker = FakePostgres::start(Tls::Denied).await;
    for mode in ["require", "verify-full"] {
        let url = format!("postgres://app:{PASSWORD}@127.0.0.1:{}/d?sslmode={mode}", attacker.port);
        let Ended { code, text } = check(&[("DATABASE_URL", &url)]).await;
        let line = line(&text, "database");
        assert!(code == 1 && line.contains("does not support TLS") && !text.contains(PASSWORD), "{mode}: {text}");
    }
    let seen = attacker.seen();
    assert!(seen.connections >= 2);
    assert_eq!(seen.plain, SSL_REQUEST.repeat(seen.connections), "only requests for TLS");

    // The same server gets the password of a client that was told to do without.
    let url = format!("postgres://app:{PASSWORD}@127.0.0.1:{}/d?sslmode=disable", attacker.port);
    check(&[("DATABASE_URL", &url)]).await;
    assert!(String::from_utf8_lossy(&attacker.seen().plain).contains(PASSWORD), "the server can read passwords");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_wrong_certificate_learns_no_password() {
    let run_dir = longshore_local::RunDir::open(
        longshore_rig::installed::workspace()
            .join("target/local/tests")
            .join(format!("{}-certificates", std::process::id())),
    )
    .expect("a folder");
    let folder = run_dir.folder("redis").expect("a folder");
    let authority = Authority::make(&folder);
    let attacker = FakePostgres::start(Tls::Shown(authority.issue("attacker", "DNS:attacker.example"))).await;
    let url = |parameters: &str| format!("postgres://app:{PASSWORD}@127.0.0.1:{}/d?{parameters}", attacker.port);
    let ca = authority.file().display().to_string();
    for parameters in ["sslmode=verify-full", "sslmode=require", &format!("sslmode=verify-full&sslrootcert={ca}")] {
        let Ended { code, text } = check(&[("DATABASE_URL", &url(parameters))]).await;
        assert!(code == 1 && line(&text, "database").contains("certificate"), "{parameters}: {text}");
        assert!(attacker.seen().encrypted.is_empty(), "{parameters}: the handshake must fail");
    }
    // The name is not checked with `verify-ca`, so this client does go on.
    check(&[("DATABASE_URL", &url(&format!("sslmode=verify-ca&sslrootcert={ca}")))]).await;
    assert!(String::from_utf8_lossy(&attacker.seen().encrypted).contains(PASSWORD));
    run_dir.remove().expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_tls_learns_no_password() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.expect("bytes");
        seen.extend(&buffer[..length]);
        // What a broker without TLS would say to a TLS handshake.
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"AMQP\0\0\x09\x01").await.expect("sent");
        stream.read_to_end(&mut seen).await.ok();
        seen
    });
    let url = format!("amqps://app:{PASSWORD}@localhost:{port}/v").replace("localhost", "127.0.0.1");
    let Ended { code, text } = check(&[("AMQP_URL", &url)]).await;
    assert!(code == 1 && line(&text, "broker").contains("speak TLS") && !text.contains(PASSWORD), "{text}");
    let seen = seen.await.expect("no panic");
    assert_eq!(seen.first(), Some(&0x16), "a TLS handshake");
    assert!(!String::from_utf8_lossy(&seen).contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_refuse_to_leave_this_machine_unencrypted_unless_told_to_and_then_warn() {
    let (database, broker) =
        (format!("postgres://u:{PASSWORD}@db.invalid/d"), format!("amqp://u:{PASSWORD}@mq.invalid"));
    for program in [scheduler, worker] {
        let mut command = program(&[]);
        command.envs(REST).env("DATABASE_URL", &database).env("AMQP_URL", &broker);
        let Ended { code, text } = run(&mut command).await;
        assert_eq!(code, 1, "{text}");
        for words in ["DATABASE_URL has no sslmode", "AMQP_URL is amqp://", "db.invalid", "mq.invalid"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains(PASSWORD), "{text}");
    }

    let run_dir = longshore_local::RunDir::open(
        longshore_rig::installed::workspace()
            .join("target/local/tests")
            .join(format!("{}-plaintext", std::process::id())),
    )
    .expect("a folder");
    for (name, mut command, listen) in
        [("scheduler", scheduler(&[]), "LONGSHORE_LISTEN"), ("worker", worker(&[]), "LONGSHORE_METRICS_LISTEN")]
    {
        let port = ports::free().expect("a port");
        command.envs(REST).env("DATABASE_URL", format!("{database}?sslmode=disable")).env("AMQP_URL", &broker);
        command.env("LONGSHORE_ALLOW_PLAINTEXT", "true").env(listen, format!("127.0.0.1:{port}"));
        let app = App::spawn(&run_dir, name, command, port).expect("a process");
        longshore_rig::rig::until(&format!("{name} warns"), || async {
            let log = app.process.log();
            assert!(!log.contains(PASSWORD), "{log}");
            ["database_plaintext", "broker_plaintext"].iter().all(|event| log.contains(event)).then_some(())
        })
        .await;
    }
    run_dir.remove().expect("removed");
}
