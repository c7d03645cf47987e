//! Which Label Studio is refused, and why.

use longshore_local::app::program;
use longshore_rig::rig::Rig;

/// Runs `longshore-scheduler check` and returns its lines about the host.
async fn check(database_url: &str, rig: &Rig) -> Vec<String> {
    let mut command = std::process::Command::new(program("longshore-scheduler").expect("the programs are built"));
    command
        .arg("check")
        .env_clear()
        .env("DATABASE_URL", database_url)
        .env("AMQP_URL", &rig.amqp_url)
        .env("LONGSHORE_SECRET_KEYS", rig.secret_keys())
        .env("LONGSHORE_TOKEN", rig.token())
        .env("LONGSHORE_HOST", "label-studio")
        .env("LONGSHORE_LABEL_STUDIO_URL", "http://127.0.0.1:8080");
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().filter(|line| line.contains("host")).map(str::to_owned).collect()
}

/// Goal: nothing is written half. Method: what later and earlier versions have done to the tables.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs Label Studio: make test-label-studio"]
async fn a_label_studio_whose_rows_would_be_incomplete_is_refused_by_name() {
    let rig = Rig::with().label_studio().workers(0).start().await;
    let lines = check(&rig.database_url, &rig).await;
    assert!(lines.iter().any(|line| line.contains("tables are known")), "{lines:?}");
    let db = rig.database().await;
    for (change, word) in [
        ("ALTER TABLE public.task ADD COLUMN reviewed boolean NOT NULL", "`reviewed`"),
        ("ALTER TABLE public.prediction RENAME COLUMN score TO confidence", "`score`"),
        (
            "DELETE FROM public.django_migrations WHERE name = '0021_azureblobimportstorage_recursive_scan_and_more'",
            "before 1.21",
        ),
    ] {
        db.batch_execute(change).await.expect("a change");
        let lines = check(&rig.database_url, &rig).await;
        assert!(lines.iter().any(|line| line.starts_with("FAIL") && line.contains(word)), "{word}: {lines:?}");
    }
    let empty = rig.stack.postgres.create_database(&format!("{}_empty", rig.vhost)).await.expect("a database");
    let lines = check(&empty, &rig).await;
    assert!(lines.iter().any(|line| line.starts_with("FAIL") && line.contains("no Label Studio")), "{lines:?}");
}
