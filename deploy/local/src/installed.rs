//! Python programs that the demo, the bench and the tests run. They are installed once, in pinned versions, below the
//! target folder.
//!
//! The first caller that needs a program installs it; later callers and runs use it until the pins change.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    let local = Path::new(env!("CARGO_MANIFEST_DIR"));
    local.ancestors().nth(2).expect("this crate is in `deploy/local`")
}

/// The Python of a virtual environment with the packages of `tests/<name>/requirements.txt`.
///
/// The file pins all packages, including indirect dependencies, so that each machine runs the same versions. Blocks during
/// the installation.
///
/// # Errors
/// Python is missing, or a package cannot be installed.
pub fn python(name: &str) -> Result<PathBuf> {
    let requirements = source(name).join("requirements.txt");
    let folder = once(name, &[&requirements], |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder)).with_context(|| {
            format!("{name} is a Python program; install Python 3 with venv and pip (Debian: python3-venv)")
        })?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
        run(Command::new(folder.join("bin/python")).args(pip).arg(&requirements))
            .with_context(|| format!("pip could not install {}", requirements.display()))
    })?;
    Ok(folder.join("bin/python"))
}

/// Whether [`python`] would not install anything.
pub fn is_installed(name: &str) -> bool {
    let pins = fs::read(source(name).join("requirements.txt"));
    pins.is_ok_and(|pins| fs::read(home().join(name).join("installed.txt")).is_ok_and(|installed| installed == pins))
}

/// The folder with the pins of a program.
pub fn source(name: &str) -> PathBuf {
    workspace().join("tests").join(name)
}

/// Fills `target/local/<name>` with `install`, unless it was filled with the same pins.
///
/// # Errors
/// The pins cannot be read, or `install` fails.
pub fn once(name: &str, pins: &[&PathBuf], install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let parent = home();
    let (folder, installed) = (parent.join(name), parent.join(name).join("installed.txt"));
    let mut wanted = Vec::new();
    for pin in pins {
        wanted.extend(fs::read(pin).with_context(|| format!("read {}", pin.display()))?);
    }
    fs::create_dir_all(&parent)?;
    // If several processes start at the same time, one installs and the others wait.
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

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started, or fails; the error has its output.
pub fn run(command: &mut Command) -> Result<()> {
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

fn home() -> PathBuf {
    workspace().join("target/local")
}
