//! The commands of `deploy/label-studio/README.md`, as they stand there.

use std::process::Command;

use longshore_local::app::program;
use longshore_local::ports;
use longshore_rig::installed::workspace;
use longshore_rig::label_studio::{self, Version};
use longshore_rig::rig::Rig;

/// The block of commands of the page that has this text.
fn block(page: &str, text: &str) -> String {
    let block = page.split("```").find(|block| block.starts_with("sh\n") && block.contains(text)).expect("a block");
    block.lines().skip(1).map(|line| format!("{}\n", line.strip_prefix("   ").unwrap_or(line))).collect()
}

/// Goal: the page works on a new installation, word for word. Method: a shell runs its steps 3 and 4 with other addresses.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs Label Studio: make test-label-studio"]
async fn the_commands_of_the_page_start_longshore_beside_a_new_label_studio() {
    let rig = Rig::with().schedulers(0).workers(0).start().await;
    let database = rig.stack.postgres.create_database(&format!("{}_page", rig.vhost)).await.expect("a database");
    label_studio::fill(&rig.stack, &database, Version::Newest).await.expect("the tables of Label Studio");
    let page = std::fs::read_to_string(workspace().join("deploy/label-studio/README.md")).expect("the page");
    let mut script = format!("set -e\n{}{}", block(&page, "longshore.env <<"), block(&page, "host check"));
    let (api, metrics) = (ports::free().expect("a free port"), ports::free().expect("a free port"));
    for (own, other) in [
        ("postgres://user:password@db.example:5432/labels?sslmode=verify-full", database.as_str()),
        ("amqps://longshore:broker-password@mq.example:5671/longshore", rig.amqp_url.as_str()),
        ("127.0.0.1:8090", &format!("127.0.0.1:{api}")),
    ] {
        assert!(script.contains(own), "{own}: {script}");
        script = script.replace(own, other);
    }
    // A scheduler would listen there, too.
    let worker = format!("LONGSHORE_METRICS_LISTEN=127.0.0.1:{metrics} longshore-worker &");
    script = script.replace("longshore-worker &", &worker);
    script += &format!("curl -fsS --retry 30 --retry-delay 1 --retry-connrefused http://127.0.0.1:{metrics}/readyz\n");
    // By process: bash forgets the number of a job that has ended.
    script += "both=$(jobs -p); kill $both; for one in $both; do wait $one; done\n";
    let program = program("longshore").expect("the programs are built");
    let path = format!("{}:/usr/bin:/bin", program.parent().expect("a folder").display());
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &script])
        .env_clear()
        .env("PATH", path)
        .current_dir(rig.run_dir.folder("page").expect("a folder"));
    let output = tokio::task::spawn_blocking(move || shell.output()).await.expect("no panic").expect("it starts");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("up to date"), "the worker's check sees the schema: {text}");
}
