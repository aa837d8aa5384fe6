//! What lies where in the data directory, and making a new cluster in it.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use perennial_types::ContentHash;

use super::account::Account;
use super::binaries::Binaries;
use crate::StoreError;

/// The user inside the database; the socket's directory is what keeps others out.
pub(super) const SUPERUSER: &str = "perennial";

/// The name of the socket in its directory; the port is part of the name only.
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// The longest path of a Unix socket: 108 bytes on Linux, less on macOS, with the final zero.
const LONGEST_SOCKET: usize = 103;

/// A log larger than this is set aside at the next start.
const LARGE_LOG: u64 = 4 << 20;

/// The data directory: ours, with the server's own directories in it.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The directory itself, absolute.
    pub(super) data_dir: PathBuf,
    /// The cluster: what Postgres calls its data directory.
    pub(super) cluster: PathBuf,
    /// The directory of the socket, mode 0700.
    pub(super) socket_dir: PathBuf,
    /// The server's log.
    pub(super) log: PathBuf,
}

impl Layout {
    /// Make the directory if it is not there. `runtime_dir` takes the socket if the path here is too long.
    pub(super) fn open(data_dir: &Path, runtime_dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(data_dir).map_err(StoreError::file("create", data_dir))?;
        let data_dir = data_dir.canonicalize().map_err(StoreError::file("find", data_dir))?;
        let mut socket_dir = data_dir.join("socket");
        if socket_dir.join(SOCKET_NAME).as_os_str().len() > LONGEST_SOCKET {
            let hash = ContentHash::of(data_dir.as_os_str().as_encoded_bytes());
            socket_dir = runtime_dir.join(format!("perennial-{}", hash.short()));
        }
        if socket_dir.join(SOCKET_NAME).as_os_str().len() > LONGEST_SOCKET {
            let path = runtime_dir.display();
            return Err(StoreError::DataDir(format!(
                "the runtime directory {path} is too long for a socket"
            )));
        }
        let (cluster, log) = (data_dir.join("cluster"), data_dir.join("server.log"));
        Ok(Self { data_dir, cluster, socket_dir, log })
    }

    /// Keep other supervisors out for as long as the file lives.
    pub(super) fn lock(&self) -> Result<File, StoreError> {
        let path = self.data_dir.join("lock");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(StoreError::file("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(StoreError::DataDirInUse(self.data_dir.clone())),
            Err(fs::TryLockError::Error(error)) => Err(StoreError::file("lock", &path)(error)),
        }
    }

    /// The major version that made the cluster; nothing if there is none yet.
    pub(super) fn version(&self) -> Result<Option<u32>, StoreError> {
        let path = self.cluster.join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_| {
                StoreError::DataDir(format!(
                    "{} does not hold a version but {:?}",
                    path.display(),
                    text.trim()
                ))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::file("read", &path)(error)),
        }
    }

    /// Make the cluster. It gets its name only when it is complete, so one under that name always is.
    pub(super) fn make_cluster(&self, binaries: &Binaries, account: &Account) -> Result<(), StoreError> {
        let unfinished = self.data_dir.join("cluster.new");
        match fs::remove_dir_all(&unfinished) {
            Ok(()) => tracing::warn!(path = %unfinished.display(), "an interrupted initdb is done again"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::file("remove", &unfinished)(error)),
        }
        account.private_directory(&unfinished)?;
        let mut command = Command::new(binaries.program("initdb"));
        command.arg("--pgdata").arg(&unfinished).args(["--encoding=UTF8", "--locale=C", "--data-checksums"]);
        command.args(["--auth-local=trust", "--auth-host=reject", "--username", SUPERUSER]);
        without_settings(&mut command);
        account.apply(&mut command);
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(StoreError::file("run", &binaries.program("initdb")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(
                self.failed(format!("could not be initialised ({})", output.status), last_lines(&said))
            );
        }
        fs::rename(&unfinished, &self.cluster).map_err(StoreError::file("rename", &unfinished))?;
        let directory = File::open(&self.data_dir).map_err(StoreError::file("open", &self.data_dir))?;
        directory.sync_all().map_err(StoreError::file("sync", &self.data_dir))
    }

    /// The log opened for appending, and its length.
    pub(super) fn open_log(&self) -> Result<(File, u64), StoreError> {
        if fs::metadata(&self.log).is_ok_and(|metadata| metadata.len() > LARGE_LOG) {
            let old = self.data_dir.join("server.log.1");
            fs::rename(&self.log, &old).map_err(StoreError::file("rename", &self.log))?;
        }
        let file = File::options().create(true).append(true).open(&self.log);
        let file = file.map_err(StoreError::file("open", &self.log))?;
        let private = fs::Permissions::from_mode(0o600);
        file.set_permissions(private).map_err(StoreError::file("set the mode of", &self.log))?;
        let length = file.metadata().map_err(StoreError::file("look at", &self.log))?.len();
        Ok((file, length))
    }

    /// An error with the end of what was logged after the first `from` bytes.
    pub(super) fn failed_with_log(&self, what: String, from: u64) -> StoreError {
        let mut bytes = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut bytes)
        });
        let log = match read {
            Ok(_) => last_lines(&String::from_utf8_lossy(&bytes)),
            Err(error) => format!("; its log {} cannot be read: {error}", self.log.display()),
        };
        self.failed(what, log)
    }

    pub(super) fn failed(&self, what: String, log: String) -> StoreError {
        StoreError::PostgresFailed { data_dir: self.data_dir.clone(), what, log }
    }

    /// Remove the socket and its lock file, which a server that is gone has left.
    pub(super) fn remove_socket(&self) -> Result<(), StoreError> {
        for name in [SOCKET_NAME.to_owned(), format!("{SOCKET_NAME}.lock")] {
            let path = self.socket_dir.join(name);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::file("remove", &path)(error)),
            }
        }
        Ok(())
    }
}

/// Keep settings for other servers, which Postgres reads from the environment, away from this one.
pub(super) fn without_settings(command: &mut Command) {
    for name in ["PGDATA", "PGPORT", "PGHOST", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGTZ", "PGDATESTYLE"] {
        command.env_remove(name);
    }
    // The working directory that we have may be closed to the user that the server runs as.
    command.env("LC_ALL", "C").current_dir("/");
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let last = &lines[lines.len().saturating_sub(15)..];
    if last.is_empty() {
        String::new()
    } else {
        format!("; the last lines of its log:\n  {}", last.join("\n  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_moves_the_socket_to_the_runtime_directory() {
        let parent = tempfile::tempdir().unwrap();
        let short = Layout::open(&parent.path().join("pg"), Path::new("/tmp")).unwrap();
        assert!(short.socket_dir.starts_with(&short.data_dir));
        let name = "long".repeat(25);
        let long = Layout::open(&parent.path().join(&name), Path::new("/tmp")).unwrap();
        assert_eq!(long.socket_dir.parent(), Some(Path::new("/tmp")));
        let other = Layout::open(&parent.path().join(name + "2"), Path::new("/tmp")).unwrap();
        assert_ne!(long.socket_dir, other.socket_dir);
    }

    #[test]
    fn only_the_last_lines_of_a_log_are_shown() {
        let text: String = (0..40).map(|i| format!("line {i}\n")).collect();
        let shown = last_lines(&text);
        assert!(shown.ends_with("line 39") && shown.contains("line 25") && !shown.contains("line 24\n"));
        assert_eq!(last_lines("\n"), "");
    }
}
