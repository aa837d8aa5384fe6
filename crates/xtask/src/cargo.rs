//! Running cargo in this workspace, and what it built.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Cargo, with the workspace and the target directory that this program was built from.
pub(crate) struct Cargo {
    program: PathBuf,
    workspace: PathBuf,
    target: PathBuf,
    /// What its programs find in their environment.
    environment: Vec<(&'static str, PathBuf)>,
}

impl Cargo {
    /// Find out where this program comes from.
    pub(crate) fn new() -> Result<Self> {
        // Cargo puts this program at `<target>/debug/xtask`, wherever settings say that the target is.
        let own = std::env::current_exe().context("find the path of this program")?;
        let target =
            own.parent().and_then(Path::parent).context("this program is outside a target directory")?;
        // As cargo runs it, not as it was compiled: clones that share a target directory share this program.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("start this as `cargo xtask`")?;
        let manifest = Path::new(&manifest);
        let workspace =
            manifest.parent().and_then(Path::parent).context("this crate is outside a workspace")?;
        let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        let (workspace, target) = (workspace.to_owned(), target.to_owned());
        Ok(Self { program, workspace, target, environment: Vec::new() })
    }

    /// With a path that its programs find in their environment.
    pub(crate) fn with(mut self, name: &'static str, path: &Path) -> Self {
        self.environment.push((name, path.to_owned()));
        self
    }

    /// Run one cargo command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        self.run_with(arguments, &[])
    }

    /// Run one cargo command with further arguments of the user.
    pub(crate) fn run_with(&self, arguments: &[&str], further: &[String]) -> Result<()> {
        let line = [&["cargo"], arguments].concat().join(" ");
        eprintln!("> {line} {}", further.join(" "));
        let status = Command::new(&self.program)
            .args(arguments)
            .args(further)
            .current_dir(&self.workspace)
            .env("CARGO_TARGET_DIR", &self.target)
            .envs(self.environment.iter().map(|(name, path)| (name, path)))
            .status()
            .with_context(|| format!("start {}", self.program.display()))?;
        ensure!(status.success(), "`{line}` ended with {status}");
        Ok(())
    }

    /// Cargo itself, to be run elsewhere.
    pub(crate) fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// The root of the workspace.
    pub(crate) fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The target directory.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The path of a program that was built.
    pub(crate) fn program(&self, profile: &str, name: &str) -> PathBuf {
        self.target.join(profile).join(name)
    }
}

/// Replace this process by the example; the error says why that failed.
pub(crate) fn become_program(example: &Path, service: &Path, arguments: &[String]) -> anyhow::Error {
    let error = Command::new(example).args(arguments).arg("--perennial").arg(service).exec();
    anyhow::Error::new(error).context(format!("start {}", example.display()))
}
