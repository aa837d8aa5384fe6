//! A service of one run: its directory, its key, its process.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// The project of the OpenAPI document's examples.
const PROJECT: &str = "crates/server/src/schemas/example.yaml";

/// A directory that is removed when it is dropped.
pub(super) struct Place(PathBuf);

impl Place {
    /// Outside the target directory, since the database's user enters it where everything is run by root.
    pub(super) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("perennial-contract-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        let place = Self(path);
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).context("open the directory")?;
        Ok(place)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Leave it there.
    pub(super) fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty()
            && let Err(error) = fs::remove_dir_all(&self.0)
        {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// The key that the calls are made with.
#[derive(Deserialize)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
}

/// A service that runs; it is ended when it is dropped.
pub(super) struct Service {
    program: PathBuf,
    child: Child,
    url: String,
    key: Key,
    place: Option<Place>,
}

/// The program without the settings of its user.
fn perennial(program: &Path) -> Command {
    let mut command = Command::new(program);
    let settings = std::env::vars().map(|(name, _)| name);
    for name in settings.filter(|name| name.starts_with("PERENNIAL_") || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    command
}

impl Service {
    /// Make a key while nothing runs, since the first one closes the door, and start.
    pub(super) fn start(program: &Path, workspace: &Path, place: Place) -> Result<Self> {
        let (data, project) = (place.path().join("data"), place.path().join("project"));
        fs::create_dir(&project).context("make the project's directory")?;
        fs::copy(workspace.join(PROJECT), project.join("bikes.yaml"))
            .with_context(|| format!("copy {PROJECT}"))?;
        let mut create = perennial(program);
        create.args(["key", "create", "--name", "contract", "--scope", "admin", "--data"]).arg(&data);
        let created = create.output().with_context(|| format!("start {}", program.display()))?;
        let told = String::from_utf8_lossy(&created.stderr);
        ensure!(created.status.success(), "no key was made: {told}");
        let key = serde_json::from_slice(&created.stdout).context("read the key that was made")?;
        let log = File::create(place.path().join("service.log")).context("make the service's log")?;
        let mut child = perennial(program)
            .args(["serve", "--bind", "127.0.0.1", "--port", "0", "--data"])
            .arg(&data)
            .arg("--project")
            .arg(&project)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let stdout = child.stdout.take().context("the service's output is read")?;
        let mut service =
            Self { program: program.to_owned(), child, url: String::new(), key, place: Some(place) };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("read what the service says")?;
        let url = line.trim().strip_prefix("listening on ");
        service.url =
            url.with_context(|| format!("the service did not start:\n{}", service.log()))?.to_owned();
        Ok(service)
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Where it runs.
    pub(super) fn directory(&self) -> &Path {
        self.place.as_ref().map_or(Path::new("."), Place::path)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory().join("service.log")).unwrap_or_default()
    }

    /// Whether it still lets the key in.
    pub(super) fn answers(&self) -> bool {
        let mut ask = perennial(&self.program);
        ask.args(["status", "--server", &self.url, "--key", &self.key.secret]);
        ask.output().is_ok_and(|told| told.status.success())
    }

    /// Stop it as its operators do.
    ///
    /// # Errors
    /// When it did not end well.
    pub(super) fn stop(mut self) -> Result<Place> {
        self.terminate()?;
        let status = self.child.wait().context("wait for the service")?;
        ensure!(status.success(), "the service ended with {status}:\n{}", self.log());
        self.place.take().context("a service stops once")
    }

    fn terminate(&self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("stop the service")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Only where a step failed before it was stopped; its database ends with it.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) && self.terminate().is_ok() {
            let _ = self.child.wait();
        }
    }
}
