//! The stack itself, on real servers.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use longshore_local::config::Existing;
use longshore_local::guard::{Folder, Guard};
use longshore_local::{Options, Place, Process, Stack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;

#[tokio::test]
async fn killed_servers_come_back_with_their_data_while_another_stack_runs_on() {
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

    // Ended cleanly, they come back the same way.
    tokio::try_join!(one.postgres.restart(), one.rabbitmq.restart(), one.redis.restart()).unwrap();
    assert_eq!(redis(&one, "GET kept").await, "$5");

    let folder = one.place().root().to_owned();
    drop(one);
    assert_eq!(working_in(&folder), Vec::<PathBuf>::new());
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_dropped_guard_ends_what_has_a_pid_file_and_nothing_else() {
    let place = Place::open(scratch("guarded")).unwrap();
    let guard = Guard::watch(&place, Folder::Remove).unwrap();
    let sleeper = |name| {
        let mut command = Command::new("sleep");
        command.arg("1000");
        Process::spawn(&place, name, command).unwrap()
    };
    let ours = sleeper("ours");
    // A pid file of long ago, whose number now belongs to a stranger: this test.
    std::fs::write(place.pid_file("stranger"), std::process::id().to_string()).unwrap();
    let names = || place.processes().into_iter().map(|each| each.name).collect::<Vec<_>>();
    eventually("it has written its pid", || !names().is_empty()).await;
    assert_eq!(names(), ["ours"]);

    drop(guard);
    let ended = timeout(Duration::from_secs(60), ours.wait()).await.expect("the guard kills it");
    assert!(!ended.success());
    assert!(!place.root().exists());
}

#[tokio::test]
async fn servers_do_not_outlive_an_owner_that_is_killed() {
    let dir = scratch("orphaned");
    let mut owner = Command::new(env!("CARGO_BIN_EXE_longshore-local"));
    owner.args(["up", "--dir"]).arg(&dir);
    for variable in ["DATABASE_URL", "AMQP_URL", "REDIS_URL"] {
        owner.env_remove(variable);
    }
    let mut owner = owner.spawn().unwrap();
    let pid_file = |name| dir.join("pids").join(name);
    eventually("servers are starting", || {
        assert_eq!(owner.try_wait().unwrap(), None, "it ended by itself");
        ["postgres", "rabbitmq", "redis"].into_iter().all(|name| pid_file(name).is_file())
    })
    .await;
    assert!(!working_in(&dir).is_empty());

    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the servers end", || working_in(&dir).is_empty()).await;
    Place::find(&dir).unwrap().remove().unwrap();
    assert!(!dir.exists());
}

async fn private(name: &str) -> anyhow::Result<Stack> {
    Stack::start(scratch(name), Options { existing: Existing::default(), ..Options::for_tests() }).await
}

/// Waits for what is up to other processes.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let held = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), held).await.expect(what);
}

/// A folder nothing is in.
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

/// The working folders, below this one, of all processes there are.
fn working_in(folder: &Path) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let folders = processes.filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok());
    folders.filter(|cwd| cwd.starts_with(folder)).collect()
}
