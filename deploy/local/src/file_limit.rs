//! A limit on the size of the files of a running PostgreSQL, which has the effect of a full disk: files that must grow
//! beyond it cannot be extended, and the server answers with SQLSTATE 53100. It needs no rights and no file system.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::postgres::{Postgres, as_postgres};

impl Postgres {
    /// Lets no process of the server write to a file beyond this many bytes; `None` removes the limit.
    ///
    /// A limit below 16 MiB would hit the write-ahead log, which ends the server. If the limit is no multiple of the block
    /// size of 8 KiB, a block that does not fit is written in part, as on a full disk.
    ///
    /// # Errors
    /// `prlimit` is missing or fails.
    pub fn limit_file_size(&self, bytes: Option<u64>) -> Result<()> {
        let server = self.pid().context("the server runs")?;
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        // The server passes its limit on to later sessions. Those that run already get it one by one.
        for process in std::iter::once(server).chain(children(server)?) {
            let mut command = as_postgres("prlimit".into())?;
            // With the colon, only the soft limit, which can be raised again.
            command.args(["--pid", &process.to_string(), &format!("--fsize={limit}:")]);
            let output = command.output().context("run prlimit")?;
            // A session may have ended meanwhile.
            let is_gone = !Path::new(&format!("/proc/{process}")).exists();
            ensure!(output.status.success() || is_gone, "{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

/// The processes that this process started.
fn children(parent: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process that ends meanwhile has no file. After the name in brackets: state, then the parent.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
        if fields.split_whitespace().nth(1).and_then(|field| field.parse().ok()) == Some(parent) {
            children.push(process);
        }
    }
    Ok(children)
}
