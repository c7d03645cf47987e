//! Tests of the stack, on real servers.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use longshore_local::config::ExistingServers;
use longshore_local::guard::{Folder, Guard};
use longshore_local::{Options, Process, RunDir, Stack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;

#[tokio::test]
async fn killed_servers_restart_with_their_data_without_touching_another_stack() {
    let (one, other) = tokio::try_join!(private("one"), private("other")).unwrap();

    let database = one.postgres.create_database("kept").await.unwrap();
    sql(&database, "CREATE TABLE kept AS SELECT 7 AS number").await;
    one.rabbitmq.create_vhost("kept").await.unwrap();
    assert_eq!(redis(&one, "SET kept seven").await, "+OK");
    let before = [one.postgres.pid(), one.rabbitmq.pid(), one.redis.pid()];

    tokio::try_join!(one.postgres.kill(), one.rabbitmq.kill(), one.redis.kill()).unwrap();
    assert_eq!([one.postgres.pid(), one.rabbitmq.pid(), one.redis.pid()], [None; 3]);
    assert!(one.rabbitmq.queues("kept").await.is_err());
    assert_eq!(other.rabbitmq.queues("/").await.unwrap().len(), 0);
    assert_eq!(redis(&other, "GET kept").await, "$-1");
    sql(other.postgres.url(), "SELECT 1").await;

    tokio::try_join!(one.postgres.restart(), one.rabbitmq.restart(), one.redis.restart()).unwrap();
    for (before, now) in before.into_iter().zip([one.postgres.pid(), one.rabbitmq.pid(), one.redis.pid()]) {
        assert!(now.is_some() && now != before);
    }
    sql(&database, "SELECT 1 / (number - 6) FROM kept").await;
    assert_eq!(one.rabbitmq.queues("kept").await.unwrap().len(), 0);
    assert_eq!(redis(&one, "GET kept").await, "$5");

    // After a clean stop they restart the same way.
    tokio::try_join!(one.postgres.restart(), one.rabbitmq.restart(), one.redis.restart()).unwrap();
    assert_eq!(redis(&one, "GET kept").await, "$5");

    let folder = one.run_dir().root().to_owned();
    drop(one);
    assert_eq!(working_in(&folder), Vec::<PathBuf>::new());
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_dropped_guard_kills_only_processes_of_its_run_directory() {
    let run_dir = RunDir::open(scratch("guarded")).unwrap();
    let guard = Guard::watch(&run_dir, Folder::Remove).unwrap();
    let sleeper = |name| {
        let mut command = Command::new("sleep");
        command.arg("1000");
        Process::spawn(&run_dir, name, command).unwrap()
    };
    let ours = sleeper("ours");
    // A stale pid file whose pid now belongs to another program: this test.
    std::fs::write(run_dir.pid_file("stranger"), std::process::id().to_string()).unwrap();
    let names = || run_dir.processes().into_iter().map(|each| each.name).collect::<Vec<_>>();
    eventually("the process has written its pid", || !names().is_empty()).await;
    assert_eq!(names(), ["ours"]);

    drop(guard);
    let ended = timeout(Duration::from_secs(60), ours.wait()).await.expect("the guard kills the process");
    assert!(!ended.success());
    assert!(!run_dir.root().exists());
}

#[tokio::test]
async fn servers_end_when_their_owner_is_killed() {
    let dir = scratch("orphaned");
    let mut owner = Command::new(env!("CARGO_BIN_EXE_longshore-local"));
    owner.args(["up", "--dir"]).arg(&dir);
    for variable in ["DATABASE_URL", "AMQP_URL", "REDIS_URL"] {
        owner.env_remove(variable);
    }
    let mut owner = owner.spawn().unwrap();
    let pid_file = |name| dir.join("pids").join(name);
    eventually("servers are starting", || {
        assert_eq!(owner.try_wait().unwrap(), None, "the owner ended by itself");
        ["postgres", "rabbitmq", "redis"].into_iter().all(|name| pid_file(name).is_file())
    })
    .await;
    assert!(!working_in(&dir).is_empty());

    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the servers end", || working_in(&dir).is_empty()).await;
    RunDir::find(&dir).unwrap().remove().unwrap();
    assert!(!dir.exists());
}

async fn private(name: &str) -> anyhow::Result<Stack> {
    Stack::start(scratch(name), Options { existing: ExistingServers::default(), ..Options::for_tests() }).await
}

/// Waits until a condition outside this process holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let held = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), held).await.expect(what);
}

/// Path of a folder that does not exist.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::remove_dir_all(&path).ok();
    path
}

async fn sql(url: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::select! {
        ended = connection => panic!("the connection ended: {ended:?}"),
        done = client.batch_execute(statement) => done.unwrap(),
    }
}

/// The first line of the answer to one command.
async fn redis(stack: &Stack, command: &str) -> String {
    let url = reqwest::Url::parse(stack.redis.url()).unwrap();
    let mut stream = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).await.unwrap();
    let login = format!("AUTH {}\r\n{command}\r\nQUIT\r\n", url.password().unwrap());
    stream.write_all(login.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().nth(1).unwrap().to_owned()
}

/// The working directories of all processes, as far as they are below this folder.
fn working_in(folder: &Path) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let folders = processes.filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok());
    folders.filter(|cwd| cwd.starts_with(folder)).collect()
}
