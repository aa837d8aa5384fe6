//! Python packages that checks take, each in a virtual environment of its own below the target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::Cargo;
use crate::install::{self, Need};

/// The setting that says which Python makes golden values.
const GIVEN: &str = "PERENNIAL_PYTHON";

/// What the generator of golden values computes with.
const NUMPY: &str = "2.2.6";

/// The programs of a package's environment, installed once for each release.
pub(crate) fn programs(cargo: &Cargo, package: &str, version: &str) -> Result<PathBuf> {
    let home = cargo.target().join(format!("{package}-{version}"));
    let (programs, done) = (home.join("bin"), home.join("installed"));
    if done.is_file() {
        return Ok(programs);
    }
    eprintln!("installing {package} {version} in {}", home.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))?;
    run(Command::new(programs.join("pip")).args(["install", "--quiet", &format!("{package}=={version}")]))?;
    // What was cut short is begun anew.
    std::fs::write(&done, "").with_context(|| format!("write {}", done.display()))?;
    Ok(programs)
}

/// Cargo whose tests can make golden values, where the data that they come from lies beside the repository.
pub(crate) fn for_golden_values(cargo: Cargo) -> Result<Cargo> {
    let shared = std::env::var_os("PERENNIAL_SHARED")
        .map_or_else(|| cargo.workspace().join("../shared"), PathBuf::from);
    if std::env::var_os(GIVEN).is_some() || !shared.join("tools/gen_events.py").is_file() {
        return Ok(cargo);
    }
    install::install(&[Need::Python])?;
    let python = programs(&cargo, "numpy", NUMPY)?.join("python3");
    Ok(cargo.with(GIVEN, Path::new(&python)))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {}", command.get_program().display()))?;
    ensure!(status.success(), "{} ended with {status}", command.get_program().display());
    Ok(())
}
