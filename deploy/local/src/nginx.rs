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

/// How the file for users is used. `deploy/label-studio/README.md` says what users change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout<'a> {
    /// As it is.
    Whole,
    /// Below this path, such as `/ls`.
    Below(&'a str),
    /// Its upstreams, maps and first two locations in a server block that hands on nothing else.
    InOwnServer,
}

/// Starts nginx in front of a Label Studio and a Longshore, whose base URLs are given, and returns when it listens.
///
/// # Errors
/// nginx is not installed, or does not start.
pub async fn start(run_dir: &RunDir, label_studio: &str, longshore: &str) -> Result<App> {
    start_with(run_dir, label_studio, longshore, Layout::Whole).await
}

/// The file for users in a layout.
fn laid_out(layout: Layout<'_>) -> Result<String> {
    match layout {
        Layout::Whole => Ok(CONFIGURATION.to_owned()),
        Layout::Below(path) => {
            let below = CONFIGURATION.replace("location ~ ^/", &format!("location ~ ^{path}/"));
            let below = below.replace("location / {", &format!("location {path}/ {{"));
            let lines = below.lines().map(|line| match line.trim_start().starts_with("location ") {
                true => format!("{line}\n        rewrite ^{path}(/.*)$ $1 break;\n"),
                false => format!("{line}\n"),
            });
            Ok(lines.collect())
        }
        Layout::InOwnServer => {
            let (before, server) = CONFIGURATION.split_once("server {\n").context("a server block")?;
            let (listen, rest) = server.split_once("    # The Sync button").context("a first location")?;
            let (locations, _) = rest.split_once("    # Uploads").context("a last location")?;
            let own = "location / { proxy_set_header Host $http_host; proxy_pass http://label_studio; }";
            Ok(format!("{before}server {{\n{listen}    # {locations}    {own}\n}}\n"))
        }
    }
}

/// The same in a layout.
///
/// # Errors
/// As [`start`].
pub async fn start_with(run_dir: &RunDir, label_studio: &str, longshore: &str, layout: Layout<'_>) -> Result<App> {
    let port = ports::free()?;
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let mut configuration = laid_out(layout)?;
    for (own, other) in [
        ("listen 80;", format!("listen 127.0.0.1:{port};")),
        ("server_name labels.example;", "server_name 127.0.0.1 localhost;".to_owned()),
        ("server 127.0.0.1:8080;", format!("server {};", address(label_studio))),
        ("server 127.0.0.1:8090;", format!("server {};", address(longshore))),
    ] {
        ensure!(configuration.matches(own).count() == 1, "nginx.conf has `{own}` once");
        configuration = configuration.replace(own, &other);
    }
    let folder = run_dir.folder("nginx")?;
    fs::write(folder.join("label-studio.conf"), configuration)?;
    let root = folder.display();
    // What Debian's own files have around it, with folders of this run. Their site is the default one.
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {root}/{name};")).concat();
    // As root it would change to a user who may not enter the folders above.
    let user = if geteuid().is_root() { "user root; " } else { "" };
    let around = format!(
        "{user}daemon off; pid {root}/pid; error_log stderr; worker_processes 1;\n\
         events {{}}\n\
         http {{ {temporary} access_log off; add_header {UPSTREAM} $upstream_addr always; \
         server {{ listen 127.0.0.1:{port} default_server; return 404; }} include {root}/label-studio.conf; }}\n"
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
