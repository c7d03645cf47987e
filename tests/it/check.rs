//! The command `check`, and what the programs say when they cannot start.

use std::process::Command;

use longshore_local::rabbitmq::Permissions;
use longshore_rig::amqp::AmqpHost;
use longshore_rig::rig::{Rig, until};
use serde_json::json;

use crate::programs::{Ended, run, scheduler, worker};

/// The environment of a rig's programs, with changes.
fn environment(mut command: Command, rig: &Rig, changes: &[(&str, &str)]) -> Command {
    command
        .env("DATABASE_URL", &rig.roles.database_url)
        .env("AMQP_URL", &rig.roles.amqp_url)
        .env("LONGSHORE_SECRET_KEYS", rig.secret_keys())
        .env("LONGSHORE_TOKEN", rig.token())
        .envs(changes.iter().copied());
    command
}

/// Runs `check` of both programs with changes of their environment.
async fn check(rig: &Rig, changes: &[(&str, &str)]) -> [Ended; 2] {
    let [mut first, mut second] = [scheduler(&["check"]), worker(&["check"])].map(|it| environment(it, rig, changes));
    let ended = [run(&mut first).await, run(&mut second).await];
    for Ended { text, .. } in &ended {
        let password = |url: &str| url.split(['@']).next().and_then(|user| user.rsplit(':').next()).map(str::to_owned);
        for secret in [&rig.roles.database_url, &rig.roles.amqp_url].map(|url| password(url).expect("a password")) {
            assert!(!text.contains(&secret), "{text}");
        }
        let key = rig.secret_keys().split_once(':').expect("an ID and a key").1;
        assert!(!text.contains(key) && !text.contains(rig.token()), "{text}");
    }
    ended
}

/// The lines about a subject.
fn lines<'a>(text: &'a str, subject: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.split_whitespace().nth(1) == Some(subject)).collect()
}

/// Asserts that both programs report exactly one failure: of this subject, with these words.
fn failed(ended: &[Ended; 2], subject: &str, words: &[&str]) {
    for Ended { code, text } in ended {
        assert_eq!(*code, 1, "{text}");
        let failures: Vec<&str> = text.lines().filter(|line| line.starts_with("FAIL")).collect();
        assert_eq!(failures, lines(text, subject), "{text}");
        for word in words {
            assert!(failures.len() == 1 && failures[0].contains(word), "{word}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_a_working_deployment_and_changes_nothing() {
    let rig = Rig::with().schedulers(0).workers(0).start().await;
    let before = rig.stack.rabbitmq.queues(&rig.vhost).await.expect("queues").len();
    for Ended { code, text } in check(&rig, &[]).await {
        assert_eq!(code, 0, "{text}");
        for subject in
            ["settings", "database", "network", "schema", "rights", "keys", "broker", "queues", "permissions"]
        {
            let found = lines(&text, subject);
            assert!(!found.is_empty() && found.iter().all(|line| line.starts_with("ok ")), "{subject}: {text}");
        }
        assert!(lines(&text, "queues")[0].contains("declares longshore.requests"), "{text}");
    }
    // No queue was declared, and no row was written.
    assert_eq!((before, rig.stack.rabbitmq.queues(&rig.vhost).await.expect("queues").len()), (0, 0));
    let db = rig.database().await;
    for table in ["workers", "audit", "api_tokens", "syncs"] {
        let count = db.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.expect("a count");
        assert_eq!(count.get::<_, i64>(0), 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_of_a_running_deployment_finds_its_queues_and_does_not_disturb_them() {
    let rig = Rig::start().await;
    let (bodies, host) = (["left alone"; 3], AmqpHost::connect(&rig.amqp_url).await);
    for body in bodies {
        host.send("longshore.dead", body.as_bytes()).await;
    }
    for Ended { code, text } in check(&rig, &[]).await {
        assert_eq!(code, 0, "{text}");
        assert!(lines(&text, "queues")[0].contains("exist with the right arguments"), "{text}");
    }
    assert_eq!(host.waiting_in("longshore.dead").await, bodies);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_each_missing_right_wrong_key_and_changed_queue() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    rig.s3.create_bucket("pets");
    let storage = rig.import_storage(project, "pets", json!({})).await;
    let db = rig.database().await;
    let role = rig.roles.database_url.split("://").nth(1).and_then(|user| user.split(':').next()).expect("a role");

    db.batch_execute(&format!("REVOKE UPDATE ON jobs FROM {role}; REVOKE USAGE ON SEQUENCE tasks_id_seq FROM {role}"))
        .await
        .expect("fewer rights");
    let words = ["UPDATE on jobs", "USAGE on tasks_id_seq", "longshore-scheduler grants"];
    failed(&check(&rig, &[]).await, "rights", &words);
    db.batch_execute(&longshore_db::rights::grants(role)).await.expect("what the advice says");

    let other = format!("other:{}", "A".repeat(43) + "=");
    let id = format!("storages {} (key \"local\")", storage.id);
    failed(&check(&rig, &[("LONGSHORE_SECRET_KEYS", &other)]).await, "keys", &[&id]);
    failed(&check(&rig, &[("LONGSHORE_SECRET_KEYS", "x")]).await, "keys", &["openssl rand"]);

    let permit = async |configure: &str, write: &str, read: &str| {
        let permissions = Permissions { configure: configure.into(), write: write.into(), read: read.into() };
        rig.stack.rabbitmq.permit(&rig.vhost, role, &permissions).await.expect("permissions");
    };
    permit(r"^longshore\.(import|export|requests|events)$", r"^longshore\.requests$", r"^longshore\.(requests|dead)$")
        .await;
    let words = [
        "configure on longshore.dead",
        "write on amq.default",
        "write on longshore.events",
        "read on longshore.import",
    ];
    failed(&check(&rig, &[]).await, "permissions", &words);
    permit(".*", ".*", ".*").await;

    rig.stack.rabbitmq.delete_queue(&rig.vhost, "longshore.dead").await.expect("deleted");
    // The programs may declare it first, as they should; then it is deleted again.
    until("a queue with other arguments takes the name", || async {
        let made = rig.stack.rabbitmq.create_queue(&rig.vhost, "longshore.dead").await;
        if made.is_err() {
            rig.stack.rabbitmq.delete_queue(&rig.vhost, "longshore.dead").await.ok();
        }
        made.ok()
    })
    .await;
    failed(&check(&rig, &[]).await, "queues", &["longshore.dead", "other arguments"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_is_wrong_with_an_address_and_what_to_do() {
    let rig = Rig::with().schedulers(0).workers(0).start().await;
    let closed = longshore_local::ports::free().expect("a port");
    let database = |change: &dyn Fn(&mut reqwest::Url)| changed(&rig.roles.database_url, change);
    let broker = |change: &dyn Fn(&mut reqwest::Url)| changed(&rig.roles.amqp_url, change);
    for (url, words) in [
        (database(&|url| url.set_password(Some("wrong")).expect("set")), ["28P01", "check the user and the password"]),
        (database(&|url| url.set_path("nowhere")), ["3D000", "create the database"]),
        (database(&|url| url.set_port(Some(closed)).expect("set")), ["127.0.0.1", "listen on that address"]),
        (
            database(&|url| url.set_host(Some("no.such.invalid")).expect("set")) + "?sslmode=verify-full",
            ["no.such.invalid", "check the host name"],
        ),
        (rig.roles.database_url.clone() + "?sslmode=require", ["does not support TLS", "turn on `ssl`"]),
    ] {
        failed(&check(&rig, &[("DATABASE_URL", &url)]).await, "database", &words);
    }
    for (url, words) in [
        (
            broker(&|url| url.set_password(Some("wrong")).expect("set")),
            ["ACCESS_REFUSED", "check the user and the password"],
        ),
        (broker(&|url| url.set_path("nowhere")), ["nowhere", "create the virtual host"]),
        (broker(&|url| url.set_port(Some(closed)).expect("set")), ["127.0.0.1", "listen on that address"]),
        (rig.roles.amqp_url.replace("amqp://", "amqps://"), ["127.0.0.1", "speak TLS"]),
    ] {
        failed(&check(&rig, &[("AMQP_URL", &url)]).await, "broker", &words);
    }
    let remote = [("DATABASE_URL", "postgres://u:p@db.example/d"), ("AMQP_URL", "amqp://u:p@mq.example")];
    for Ended { code, text } in check(&rig, &remote).await {
        assert_eq!(code, 1, "{text}");
        let faults = lines(&text, "settings");
        assert_eq!(faults.len(), 2, "{text}");
        assert!(faults[0].contains("sslmode=verify-full") && faults[1].contains("amqps://"), "{text}");
    }
}

fn changed(url: &str, change: &dyn Fn(&mut reqwest::Url)) -> String {
    let mut url: reqwest::Url = url.parse().expect("a URL");
    change(&mut url);
    url.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_start_says_where_why_and_what_to_do() {
    let mut rig = Rig::with().schedulers(0).workers(0).start().await;
    let database = rig.database_name();
    rig.roles.database_url = changed(&rig.roles.database_url, &|url| url.set_password(Some("wrong")).expect("set"));
    rig.roles.amqp_url = changed(&rig.roles.amqp_url, &|url| url.set_password(Some("wrong")).expect("set"));
    rig.spawn_scheduler();
    rig.spawn_worker();
    for app in rig.schedulers.iter().chain(&rig.workers) {
        for (event, words) in [
            (
                ["database_not_ready", "heartbeat_failed"],
                ["SQLSTATE 28P01: password authentication failed", "check the user"],
            ),
            (["\"broker\""; 2], ["ACCESS_REFUSED", "check the user"]),
        ] {
            let line = until(&format!("{} logs {event:?}", app.process.name()), || async {
                let log = app.process.log();
                log.lines().find(|line| event.iter().any(|event| line.contains(event))).map(str::to_owned)
            })
            .await;
            for word in words {
                assert!(line.contains(word), "{line}");
            }
            assert!(event[0].contains("broker") || line.contains(&database), "{line}");
        }
    }
}

#[tokio::test]
async fn both_programs_have_help_and_a_version() {
    for program in [scheduler, worker] {
        let version = run(&mut program(&["--version"])).await;
        assert_eq!(
            (version.code, version.text.trim().ends_with(env!("CARGO_PKG_VERSION"))),
            (0, true),
            "{}",
            version.text
        );
        let help = run(&mut program(&["--help"])).await;
        assert!(help.code == 0 && help.text.contains("check") && help.text.contains("environment"), "{}", help.text);
    }
}
