//! `longshore-local bucket`: buckets of the stack's S3 server, so that a first try needs no other tool.

mod client;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;

use crate::fleet::S3_ACCESS_KEY;
use crate::run_dir::RunDir;
use client::Client;

/// Folders below the given one. Deeper ones are more likely a circle of links.
const MAX_DEPTH: usize = 64;

#[derive(Subcommand)]
pub enum Command {
    /// Make a bucket.
    Make { bucket: String },
    /// Put files, or all files below folders, into a bucket. Keys are the file names, or the paths below the folder.
    Put {
        bucket: String,
        /// Files and folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Text before each key, such as `images/`.
        #[arg(long, default_value = "")]
        prefix: String,
    },
    /// List buckets, or the objects of one.
    List {
        bucket: Option<String>,
        /// Only keys that begin with this text.
        #[arg(long, default_value = "", requires = "bucket")]
        prefix: String,
    },
}

/// Runs a command on the stack in this folder. Returns the lines for the user.
///
/// # Errors
/// The stack does not run, the bucket does not exist, or a file cannot be read.
pub async fn run(dir: &Path, command: Command) -> Result<Vec<String>> {
    let client = client(dir)?;
    Ok(match command {
        Command::Make { bucket } => {
            client.make(&bucket).await?;
            vec![format!("Bucket {bucket} exists. Put files into it: longshore-local bucket put {bucket} <folder>")]
        }
        Command::Put { bucket, paths, prefix } => {
            let files = files(&paths)?;
            ensure!(!files.is_empty(), "there are no files in {}", shown(&paths));
            for (key, path) in &files {
                let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
                client.put(&bucket, &format!("{prefix}{key}"), bytes).await?;
            }
            vec![format!("{} objects are in bucket {bucket}.", files.len())]
        }
        Command::List { bucket: None, .. } => client.buckets().await?,
        Command::List { bucket: Some(bucket), prefix } => {
            let objects = client.objects(&bucket, &prefix).await?;
            objects.into_iter().map(|(key, bytes)| format!("{bytes:>12}  {}", key.escape_debug())).collect()
        }
    })
}

fn client(dir: &Path) -> Result<Client> {
    let run_dir = RunDir::find(dir).filter(|run_dir| run_dir.processes().iter().any(|process| process.name == "s3"));
    let run_dir = run_dir.with_context(|| {
        format!("Longshore is not running in {}; start it with `longshore-local up`", dir.display())
    })?;
    let port = run_dir.kept_port("s3").context("the S3 server has a port")?;
    Client::new(format!("http://127.0.0.1:{port}"), S3_ACCESS_KEY, &run_dir.secret("s3")?)
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The files with their keys.
fn files(paths: &[PathBuf]) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).with_context(|| format!("read {}", path.display()))?;
        if metadata.is_dir() {
            walk(path, "", 0, &mut found)?;
        } else {
            let name = path.file_name().with_context(|| format!("{} has no name", path.display()))?;
            found.push((key(Path::new(name))?, path.clone()));
        }
    }
    Ok(found)
}

fn walk(folder: &Path, above: &str, depth: usize, found: &mut Vec<(String, PathBuf)>) -> Result<()> {
    ensure!(depth < MAX_DEPTH, "{} is more than {MAX_DEPTH} folders deep", folder.display());
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths {
        let name = key(Path::new(path.file_name().unwrap_or_default()))?;
        let metadata = fs::metadata(&path).with_context(|| format!("read {}", path.display()))?;
        if metadata.is_dir() {
            walk(&path, &format!("{above}{name}/"), depth + 1, found)?;
        } else if metadata.is_file() {
            found.push((format!("{above}{name}"), path));
        }
    }
    Ok(())
}

fn key(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => bail!("the name of {} is not UTF-8, as keys of S3 are; rename it", path.display()),
    }
}
