//! `make up`: a whole deployment that stays on this machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use longshore_local::app::program;
use longshore_rig::installed::workspace;

/// Goal: no server of a developer's machine is reachable from its network. Method: start everything as `make up` does,
/// and look at the sockets of all processes that belong to it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_local_stack_listens_off_loopback() {
    let folder = workspace().join(format!("target/local/tests/{}-up", std::process::id()));
    local("up", &folder).await;
    let listening = listeners(&folder);
    local("down", &folder).await;

    let programs: BTreeSet<&str> = listening.iter().map(|(name, _)| name.as_str()).collect();
    for expected in
        ["beam.smp", "epmd", "longshore-s3", "longshore-sched", "longshore-worke", "postgres", "redis-server"]
    {
        assert!(programs.contains(expected), "{expected}: {listening:?}");
    }
    let reachable: Vec<_> = listening.iter().filter(|(_, address)| !is_loopback(address)).collect();
    assert!(reachable.is_empty(), "{reachable:?}");
}

async fn local(subcommand: &str, folder: &Path) {
    let mut command = Command::new(program("longshore-local").expect("the programs are built"));
    command.arg(subcommand).arg("--dir").arg(folder);
    for variable in ["DATABASE_URL", "AMQP_URL", "REDIS_URL"] {
        command.env_remove(variable);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    assert!(output.status.success(), "{subcommand}: {}", String::from_utf8_lossy(&output.stderr));
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
