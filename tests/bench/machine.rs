//! The conditions of a run: machine, versions, settings.

use std::fs;
use std::process::Command;

use anyhow::Result;
use serde_json::{Map, Value, json};
use tokio_postgres::Client;

/// Settings of Postgres that affect its write speed.
const SETTINGS: [&str; 10] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "work_mem",
    "autovacuum",
];

/// The conditions that affect all figures.
pub async fn conditions(postgres: &Client, scale: f64) -> Result<Value> {
    let mut settings = Map::new();
    for name in SETTINGS {
        let value: String = postgres.query_one("SELECT current_setting($1)", &[&name]).await?.get(0);
        settings.insert(name.to_owned(), value.into());
    }
    Ok(json!({
        "cpu": cpu(),
        "cores": std::thread::available_parallelism()?.get(),
        "memory_mib": memory_mib(),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "load_before": load(),
        "postgres": settings,
        "rabbitmq": version("dpkg-query", &["-W", "-f=${Version}", "rabbitmq-server"]),
        "rustc": version("rustc", &["--version"]),
        "commit": version("git", &["describe", "--always", "--dirty"]),
        "longshore": env!("CARGO_PKG_VERSION"),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        "scale": scale,
    }))
}

/// The conditions in three lines.
pub fn summary(conditions: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let postgres = &conditions["postgres"];
    let settings: Vec<String> = SETTINGS[1..].iter().map(|name| format!("{name} {}", text(&postgres[name]))).collect();
    format!(
        "{} cores of {}, {} MiB, Linux {}, load before {}; everything on this machine, over loopback\n\
         Longshore {} at {} ({} build, {}), RabbitMQ {}\n\
         PostgreSQL {}: {}",
        conditions["cores"],
        text(&conditions["cpu"]),
        conditions["memory_mib"],
        text(&conditions["kernel"]),
        conditions["load_before"],
        text(&conditions["longshore"]),
        text(&conditions["commit"]),
        text(&conditions["profile"]),
        text(&conditions["rustc"]),
        text(&conditions["rabbitmq"]),
        text(&postgres["server_version"]),
        settings.join(", "),
    )
}

/// The average number of runnable processes of the last minute.
pub fn load() -> Option<f64> {
    read("/proc/loadavg").split_whitespace().next()?.parse().ok()
}

/// The first line of a program's version, or `unknown`.
pub fn version(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}

fn cpu() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

fn memory_mib() -> Option<u64> {
    let info = read("/proc/meminfo");
    let kib = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().trim_end_matches(" kB");
    Some(kib.parse::<u64>().ok()? / 1024)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
