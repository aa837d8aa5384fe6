//! The service as its users run it: the program in a process of its own, on a free port of this machine.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};

/// A service that runs on a directory of its own, which goes with it.
pub(crate) struct Service {
    child: Child,
    address: String,
    directory: PathBuf,
}

impl Service {
    /// Start the program beside this one with a project; on one core if its number is given, as `taskset` takes it.
    pub(crate) fn start(project: &str, core: Option<&str>, more: &[&str]) -> Result<Self> {
        let program = program()?;
        let directory = std::env::temp_dir().join(format!("perennial-bench-{}", std::process::id()));
        fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
        // The database's user enters it where everything is run by root.
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).context("open the directory")?;
        let declared = directory.join("project.yaml");
        fs::write(&declared, project).context("write the project")?;
        let log = File::create(directory.join("service.log")).context("make the service's log")?;
        let mut command = match core {
            Some(core) => {
                let mut pinned = Command::new("taskset");
                pinned.args(["-c", core]).arg(&program);
                pinned
            }
            None => Command::new(&program),
        };
        for (name, _) in std::env::vars().filter(|(name, _)| of_the_service(name)) {
            command.env_remove(name);
        }
        command.args(["serve", "--bind", "127.0.0.1", "--port", "0", "--data"]).arg(directory.join("data"));
        command.arg("--project").arg(&declared).args(more);
        let child = command.stdout(Stdio::piped()).stderr(log).spawn();
        let child = child.with_context(|| format!("start {}", program.display()))?;
        let mut service = Self { child, address: String::new(), directory };
        let stdout = service.child.stdout.take().context("the service's output is read")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("read what the service says")?;
        let address = line.trim().strip_prefix("listening on http://");
        service.address =
            address.with_context(|| format!("the service did not start:\n{}", service.told()))?.to_owned();
        Ok(service)
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// CPU time that the process has used, its database apart.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        // Fields 14 and 15 (proc_pid_stat(5)); the name before them may hold anything but ends with the last bracket.
        let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let ticks: u64 = ticks.sum::<Result<_, _>>().with_context(|| format!("understand {path}"))?;
        Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
    }

    /// Stop it as its operators do.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.terminate()?;
        let status = self.child.wait().context("wait for the service")?;
        ensure!(status.success(), "the service ended with {status}:\n{}", self.told());
        Ok(())
    }

    fn told(&self) -> String {
        fs::read_to_string(self.directory.join("service.log")).unwrap_or_default()
    }

    fn terminate(&self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("stop the service")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Only where a step failed before it was stopped.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) && self.terminate().is_ok() {
            let _ = self.child.wait();
        }
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            eprintln!("cannot remove {}: {error}", self.directory.display());
        }
    }
}

fn of_the_service(name: &str) -> bool {
    name.starts_with("PERENNIAL_") || name == "DATABASE_URL"
}

/// The program that was built with this one.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program's own file")?;
    // A benchmark of cargo's lies one directory deeper.
    let found = own.ancestors().skip(1).take(2).map(|directory| directory.join("perennial"));
    let found = found.into_iter().find(|program| program.is_file());
    found.context("the service is not built; run this by `cargo xtask bench`")
}
