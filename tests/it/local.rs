//! `make up`: a whole deployment that stays on this machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use longshore_local::app::program;
use longshore_local::ports;
use longshore_rig::installed::workspace;

/// Goal: no server of a developer's machine is reachable from its network. Method: start everything as `make up` does,
/// and look at the sockets of all processes that belong to it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_local_stack_listens_off_loopback() {
    let folder = workspace().join(format!("target/local/tests/{}-up", std::process::id()));
    local(&folder, "up").await;
    let listening = listeners(&folder);
    local(&folder, "down").await;

    let programs: BTreeSet<&str> = listening.iter().map(|(name, _)| name.as_str()).collect();
    for expected in
        ["beam.smp", "epmd", "longshore-s3", "longshore-sched", "longshore-worke", "postgres", "redis-server"]
    {
        assert!(programs.contains(expected), "{expected}: {listening:?}");
    }
    let reachable: Vec<_> = listening.iter().filter(|(_, address)| !is_loopback(address)).collect();
    assert!(reachable.is_empty(), "{reachable:?}");
}

/// Goal: a first try needs no other tool, and survives a restart. Method: chosen ports and a chosen token, a bucket with
/// files, a sync by command, then restarts, one of them after the S3 server was killed: the same addresses,
/// objects, tasks and token.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_stack_has_the_same_ports_token_buckets_and_tasks() {
    let folder = workspace().join(format!("target/local/tests/{}-first-day", std::process::id()));
    let photos = folder.join("photos");
    fs::create_dir_all(photos.join("new")).expect("folders");
    for name in ["cat.png", "new/dög 1.png"] {
        fs::write(photos.join(name), "image").expect("a file");
    }
    let (port, s3_port) = (ports::free().expect("a port"), ports::free().expect("a port"));
    let token = "8d1f0c5e7ab94d2396f1";
    local(&folder, &format!("up --port {port} --s3-port {s3_port} --token {token}")).await;
    local(&folder, "bucket make pets").await;
    let put = local(&folder, &format!("bucket put pets {} --prefix in/", photos.display())).await;
    assert_eq!(put, "2 objects are in bucket pets.\n");
    let missing = run(&folder, &format!("bucket put nowhere {}", photos.display())).await;
    assert!(!missing.0 && missing.1.contains("bucket make nowhere"), "{}", missing.1);
    let again = run(&folder, "up --port 1").await;
    assert!(!again.0 && again.1.contains("longshore-local restart"), "{}", again.1);

    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let taken = (taken.local_addr().expect("its address").port(), taken);
    for wrong in [format!("--port {}", taken.0), "--token short".to_owned(), "--port 9 --s3-port 9".to_owned()] {
        let refused = run(&folder, &format!("restart {wrong}")).await;
        assert!(!refused.0, "{wrong}");
    }
    assert!(local(&folder, "status").await.contains("scheduler"), "a refused restart stops nothing");
    let before = environment(&folder);
    assert!(before.contains(&format!("LONGSHORE_URL=http://127.0.0.1:{port}\n")), "{before}");
    assert!(before.contains(&format!("LONGSHORE_TOKEN={token}\n")), "{before}");
    longshore(&before, "project create --title Pets").await;
    longshore(&before, "storage create s3 --project Pets --title pets --bucket pets --prefix in --recursive --blob")
        .await;
    let synced = longshore(&before, "sync start pets --follow").await;
    assert!(synced.contains("created 2"), "{synced}");

    local(&folder, "restart").await;
    assert_eq!(environment(&folder), before);
    let listed = local(&folder, "bucket list pets").await;
    assert_eq!(listed, "           5  in/cat.png\n           5  in/new/dög 1.png\n");
    assert_eq!(local(&folder, "bucket list").await, "pets\n");
    let synced = longshore(&before, "sync start pets --follow").await;
    assert!(synced.contains("created 0") && synced.contains("existed 2"), "{synced}");

    // What the S3 server has answered outlives its death.
    local(&folder, "bucket make later").await;
    let status = local(&folder, "status").await;
    let pid = status.lines().find_map(|line| line.strip_prefix("s3 ")?.trim().strip_prefix("pid ")?.parse().ok());
    let pid = nix::unistd::Pid::from_raw(pid.expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it runs");
    local(&folder, "restart").await;
    assert_eq!(local(&folder, "bucket list").await, "later\npets\n");
    assert_eq!(local(&folder, "bucket list pets").await, listed);

    let other = "f01d2c9be4774a8890cd";
    local(&folder, &format!("restart --token {other}")).await;
    let changed = environment(&folder);
    assert_eq!(changed, before.replace(token, other));
    assert!(longshore(&changed, "task list --project Pets").await.contains("cat.png"));
    local(&folder, "down").await;
    assert!(!folder.join("env").exists() && photos.join("cat.png").exists());
    fs::remove_dir_all(&folder).expect("the folder is ours");
}

/// The file of variables of the running stack.
fn environment(folder: &Path) -> String {
    fs::read_to_string(folder.join("env")).expect("the file of the running stack")
}

/// Runs `longshore` with these variables. Returns its output.
async fn longshore(environment: &str, words: &str) -> String {
    let mut command = Command::new(program("longshore").expect("the programs are built"));
    command.args(words.split(' ')).envs(environment.lines().filter_map(|line| line.split_once('=')));
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Runs `longshore-local`, which must succeed. Returns its output.
async fn local(folder: &Path, words: &str) -> String {
    let (is_ok, text) = run(folder, words).await;
    assert!(is_ok, "{words}: {text}");
    text
}

/// Runs `longshore-local`. Returns whether it succeeded, and its output or its error.
async fn run(folder: &Path, words: &str) -> (bool, String) {
    let mut command = Command::new(program("longshore-local").expect("the programs are built"));
    command.args(words.split(' ')).arg("--dir").arg(folder);
    for variable in ["DATABASE_URL", "AMQP_URL", "REDIS_URL"] {
        command.env_remove(variable);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(text).expect("text"))
}

/// The name of each process of the stack that listens, and the address in hexadecimal, as the kernel shows it.
///
/// A process belongs to the stack if it works in the folder, or got it in its environment, as daemons that left it did.
fn listeners(folder: &Path) -> Vec<(String, String)> {
    let folder = folder.canonicalize().expect("the folder exists");
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").expect("processes").flatten().map(|entry| entry.path()) {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let works_here = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder));
        if !works_here && !String::from_utf8_lossy(&environment).contains(folder.to_str().expect("a plain path")) {
            continue;
        }
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned();
        let sockets: BTreeSet<String> = fs::read_dir(process.join("fd"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok()?.to_str()?.strip_prefix("socket:[").map(str::to_owned))
            .filter_map(|inode| inode.strip_suffix(']').map(str::to_owned))
            .collect();
        for table in ["tcp", "tcp6"] {
            let table = fs::read_to_string(Path::new("/proc/net").join(table)).unwrap_or_default();
            for row in table.lines().skip(1) {
                let columns: Vec<&str> = row.split_whitespace().collect();
                // Columns: number, local address, remote address, state (0A listens), …, inode.
                if columns[3] == "0A" && sockets.contains(columns[9]) {
                    found.push((name.clone(), columns[1].to_owned()));
                }
            }
        }
    }
    found
}

/// Whether an address of `/proc/net/tcp` or `tcp6` is 127.0.0.0/8, ::1, or the first as an IPv6 address. The kernel
/// prints words in the machine's byte order.
fn is_loopback(address: &str) -> bool {
    let (host, _) = address.split_once(':').expect("an address and a port");
    let words: Vec<u32> = (0..host.len() / 8)
        .map(|word| u32::from_str_radix(&host[word * 8..word * 8 + 8], 16).expect("a word").to_be())
        .collect();
    match words.as_slice() {
        [v4] | [0, 0, 0xffff, v4] => v4 >> 24 == 127,
        v6 => v6 == [0, 0, 0, 1],
    }
}
