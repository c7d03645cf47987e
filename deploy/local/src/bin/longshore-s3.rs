//! `longshore-s3`: the in-memory S3 server as a program.
//!
//! Clients create buckets through the S3 API, or the operator with `--buckets`. Objects are lost when it ends, except
//! with `--objects`: then each change is in this file before it is answered.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use longshore_local::s3::{Options, S3Server, saved};
use tokio::signal::unix::{SignalKind, signal};

/// An S3 server that keeps its objects in memory.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    #[arg(long, env = "S3_ACCESS_KEY_ID")]
    access_key: String,
    /// Prefer the environment variable: arguments show up in process lists.
    #[arg(long, env = "S3_SECRET_ACCESS_KEY", hide_env_values = true)]
    secret_key: String,
    /// Delay before every answer, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Buckets to create at the start.
    #[arg(long, value_delimiter = ',')]
    buckets: Vec<String>,
    /// File from which buckets are read at the start, and which gets every change of them.
    #[arg(long)]
    objects: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // `s3s` logs each wrong signature as an error; the client gets the same answer anyway.
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter("info,s3s=off")
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr)
        .init();

    // Before the ready line: a program that waits for that line may stop us immediately.
    let mut terminated = signal(SignalKind::terminate())?;
    let options = Options {
        listen: args.listen,
        latency: Duration::from_millis(args.latency_ms),
        ..Options::with_key(&args.access_key, &args.secret_key)
    };
    let server = S3Server::start(options).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    if let Some(file) = &args.objects {
        saved::keep(server.buckets(), file).with_context(|| format!("cannot use {}", file.display()))?;
    }
    for bucket in &args.buckets {
        server.create_bucket(bucket);
    }
    tracing::info!(event = "s3_server_ready", endpoint = server.endpoint(), "S3 server ready");

    tokio::select! {
        _ = terminated.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    server.shutdown().await;
    Ok(())
}
