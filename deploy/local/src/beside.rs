//! `longshore-local beside`: a command with temporary servers.
//!
//! A test runner that starts a process for each test would start servers for each of them. This way all its processes
//! share one set of servers, as the tests of one process do.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::config::ExistingServers;
use crate::stack::{Options, Stack};

/// Starts servers in `dir`, runs `command`, stops the servers and returns the exit code of the command.
///
/// The command gets their addresses in the variables that [`ExistingServers::of_test_run`] reads.
///
/// # Errors
/// The servers do not start, or the command cannot be started.
pub async fn run(dir: &Path, command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("name a command")?;
    let stack = Stack::start(dir, Options::for_tests()).await?;
    let servers = ExistingServers {
        database_url: Some(stack.postgres.url().to_owned()),
        amqp_url: Some(stack.rabbitmq.url().to_owned()),
        amqp_management_url: Some(stack.rabbitmq.management_url()),
        redis_url: Some(stack.redis.url().to_owned()),
    };
    let status = Command::new(program).args(arguments).envs(servers.variables()).status().await;
    let status = status.with_context(|| format!("run {}", program.display()))?;
    // A command that a signal ended has no exit code.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
