//! The main process of a server: its pid file, whether it lives, and signals to it.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::StoreError;

/// What the pid file of a cluster says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    /// The main process.
    pub(super) pid: Pid,
    /// What it is doing.
    pub(super) status: Status,
}

/// What the server says that it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It starts or recovers, or has not said anything yet.
    Starting,
    /// It takes connections.
    Ready,
    /// It shuts down.
    Stopping,
}

impl PidFile {
    /// The pid file of the cluster; nothing if there is none or it is not complete.
    pub(super) fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(cluster.join("postmaster.pid")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The lines: pid, data directory, start time, port, socket directory, address, memory key, status.
        let mut lines = text.lines();
        let pid = Pid::from_raw(lines.next()?.trim().parse().ok().filter(|pid| *pid > 0)?)?;
        let status = match lines.nth(6).map(str::trim) {
            Some("ready" | "standby") => Status::Ready,
            Some("stopping") => Status::Stopping,
            _ => Status::Starting,
        };
        Some(Self { pid, status })
    }
}

/// Whether this process lives and is the server of this cluster; the id of one that has died may belong to
/// anybody by now.
pub(super) fn serves(pid: Pid, cluster: &Path) -> bool {
    if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
        return false;
    }
    let cluster = cluster.as_os_str().as_encoded_bytes();
    let id = pid.as_raw_nonzero();
    match fs::read(format!("/proc/{id}/cmdline")) {
        // Empty for a process that has ended and waits for its parent.
        Ok(command) => command.split(|byte| *byte == 0).any(|argument| argument == cluster),
        Err(_) if Path::new("/proc/self/cmdline").exists() => false,
        Err(_) => {
            let listed =
                Command::new("/bin/ps").args(["-ww", "-o", "command=", "-p", &id.to_string()]).output();
            listed.is_ok_and(|output| output.stdout.windows(cluster.len()).any(|part| part == cluster))
        }
    }
}

/// Send a signal; a process that is gone already is no error.
pub(super) fn signal(pid: Pid, signal: Signal) -> Result<(), rustix::io::Errno> {
    match kill_process(pid, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other,
    }
}

/// Write our own id over that of a process which is gone. Postgres refuses to start while the id in the file
/// belongs to a living process, but knows that its parent's id cannot be another server's. The rest of the
/// file stays: by the memory key in it Postgres recognises children of the old server that still run.
pub(super) fn disown(cluster: &Path) -> Result<(), StoreError> {
    let path = cluster.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    let text = format!("{}\n{rest}", std::process::id());
    fs::write(&path, text).map_err(StoreError::file("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_tells_the_process_and_what_it_does() {
        let text = |status| format!("4711\n/data\n1700000000\n5432\n/data/socket\n\n  1234   56\n{status}\n");
        let parsed = |status| PidFile::parse(&text(status)).unwrap();
        assert_eq!(parsed("ready   ").pid.as_raw_nonzero().get(), 4711);
        assert_eq!(parsed("ready   ").status, Status::Ready);
        assert_eq!(parsed("stopping").status, Status::Stopping);
        assert_eq!(parsed("starting").status, Status::Starting);
        assert_eq!(PidFile::parse("4711\n").unwrap().status, Status::Starting);
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("-4711\n"), None);
    }

    #[test]
    fn a_living_process_that_is_no_server_does_not_serve() {
        let ourselves = rustix::process::getpid();
        assert!(!serves(ourselves, Path::new("/no/such/cluster")));
    }
}
