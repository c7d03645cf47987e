//! Runs a command of a program to its end.

use std::process::Command;

use longshore_local::app::program;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    /// What it wrote to both outputs.
    pub(crate) text: String,
}

/// A scheduler's command without the environment of this process.
pub(crate) fn scheduler(arguments: &[&str]) -> Command {
    command("longshore-scheduler", arguments)
}

/// A worker's command without the environment of this process.
pub(crate) fn worker(arguments: &[&str]) -> Command {
    command("longshore-worker", arguments)
}

/// A command of `longshore` without the environment of this process.
pub(crate) fn cli(arguments: &[&str]) -> Command {
    command("longshore", arguments)
}

fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(name).expect("the programs are built"));
    command.args(arguments).env_clear();
    command
}

/// Runs a command to its end.
pub(crate) async fn run(command: &mut Command) -> Ended {
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.expect("no panic");
    let output = output.expect("its output");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    Ended { code: output.status.code().expect("it ended by itself"), text }
}
