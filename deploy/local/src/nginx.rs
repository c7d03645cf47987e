//! nginx in front of Label Studio and Longshore, with exactly the configuration that users get.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::unistd::geteuid;

use crate::app::App;
use crate::ports;
use crate::run_dir::RunDir;

/// The file for users, of which only addresses are replaced here.
const CONFIGURATION: &str = include_str!("../../label-studio/nginx.conf");

/// The header of each answer that says who gave it, as host and port.
pub const UPSTREAM: &str = "x-upstream";

/// Starts nginx in front of a Label Studio and a Longshore, whose base URLs are given, and returns when it listens.
///
/// # Errors
/// nginx is not installed, or does not start.
pub async fn start(run_dir: &RunDir, label_studio: &str, longshore: &str) -> Result<App> {
    let port = ports::free()?;
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let mut configuration = CONFIGURATION.to_owned();
    for (own, other) in [
        ("listen 80;", format!("listen 127.0.0.1:{port};")),
        ("server 127.0.0.1:8080;", format!("server {};", address(label_studio))),
        ("server 127.0.0.1:8090;", format!("server {};", address(longshore))),
    ] {
        ensure!(configuration.matches(own).count() == 1, "nginx.conf has `{own}` once");
        configuration = configuration.replace(own, &other);
    }
    let folder = run_dir.folder("nginx")?;
    fs::write(folder.join("label-studio.conf"), configuration)?;
    let root = folder.display();
    // What Debian's own file has around it, with folders of this run.
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {root}/{name};")).concat();
    // As root it would change to a user who may not enter the folders above.
    let user = if geteuid().is_root() { "user root; " } else { "" };
    let around = format!(
        "{user}daemon off; pid {root}/pid; error_log stderr; worker_processes 1;\n\
         events {{}}\n\
         http {{ {temporary} access_log off; add_header {UPSTREAM} $upstream_addr always; \
         include {root}/label-studio.conf; }}\n"
    );
    let main = folder.join("nginx.conf");
    fs::write(&main, around)?;
    let mut command = Command::new(program().context("nginx is not installed: deploy/local/install.sh tests")?);
    command.arg("-p").arg(&folder).args(["-e", "stderr", "-c"]).arg(&main);
    let app = App::spawn(run_dir, "nginx", command, port)?;
    app.until_listening().await?;
    Ok(app)
}

/// The program, which Debian keeps out of the PATH of ordinary users. `None` if it is not installed.
pub fn program() -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
    folders.map(|folder| Path::new(folder).join("nginx")).into_iter().find(|program| program.is_file())
}
