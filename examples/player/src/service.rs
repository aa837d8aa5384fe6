//! The service as a child process: started, waited for, measured, stopped.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long the service may take to become ready: on a first start it sets up its database.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to stop before it is killed.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
/// Its output, in the data directory.
const LOG_NAME: &str = "serve.log";

/// A running `perennial serve`. Dropped without [`Service::stop`], it is killed.
#[derive(Debug)]
pub struct Service {
    child: Child,
    url: String,
    log: PathBuf,
    // Read to its end, or the service could not write any more.
    _drain: tokio::task::JoinHandle<()>,
}

impl Service {
    /// Start `binary serve` on a data directory and wait until it listens. Port 0 takes any free one.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not listen within two minutes; with the end of its output.
    pub async fn start(binary: &Path, data: &Path, port: u16) -> Result<Self> {
        let log = data.join(LOG_NAME);
        let output = File::options().create(true).append(true).open(&log);
        let output = output.with_context(|| format!("opening {}", log.display()))?;
        let mut child = Command::new(binary)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let stdout = child.stdout.take().context("the service has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let waited = tokio::time::timeout(READY_WITHIN, listening(&mut lines)).await;
        let found = match waited {
            Ok(Ok(Some(url))) => Ok(url),
            Ok(Ok(None)) => Err("ended before it listened".to_owned()),
            Ok(Err(error)) => Err(format!("could not be read: {error}")),
            Err(_) => Err(format!("did not listen within {READY_WITHIN:?}")),
        };
        let url = match found {
            Ok(url) => url,
            Err(why) => {
                end(&mut child).await?;
                bail!("{} {why}\n{}", binary.display(), last_lines(&log));
            }
        };
        let drain = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, url, log, _drain: drain })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The end of what it wrote, for messages.
    pub fn last_output(&self) -> String {
        last_lines(&self.log)
    }

    /// CPU time that it and all its descendants have used so far, user and system, in seconds.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_s(&self) -> Result<f64> {
        let pid = self.child.id().context("the service has ended")?;
        let ticks = cpu_ticks(pid).context("reading /proc")?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Ask it to stop (SIGTERM) and wait; it is killed when it does not within half a minute.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn stop(mut self) -> Result<()> {
        end(&mut self.child).await
    }

    /// Kill it without a warning (SIGKILL) and wait until it is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("killing the service")
    }
}

/// The address in the first line that has one; nothing when the output ends.
async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> std::io::Result<Option<String>> {
    while let Some(line) = lines.next_line().await? {
        if let Some(url) = address_in(&line) {
            return Ok(Some(url));
        }
    }
    Ok(None)
}

fn address_in(line: &str) -> Option<String> {
    let rest = &line[line.find("http://")?..];
    let end = rest.find(|c: char| c == '"' || c.is_whitespace()).unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

async fn end(child: &mut Child) -> Result<()> {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        // It may have ended by itself in the meantime, which the wait below finds.
        let _gone = kill_process(pid, Signal::TERM);
    }
    match tokio::time::timeout(STOPPED_WITHIN, child.wait()).await {
        Ok(status) => status.map(drop).context("waiting for the service to stop"),
        Err(_) => child.kill().await.context("killing the service, which did not stop"),
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Clock ticks of a process, of its children that have ended, and of its living descendants.
fn cpu_ticks(root: u32) -> Result<u64> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end between the listing and the reading.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if let Some(usage) = parent_and_ticks(&stat) {
            processes.insert(pid, usage);
        }
    }
    let descends = |pid: u32| {
        let mut at = Some(pid);
        while let Some(here) = at.filter(|here| *here != root) {
            at = processes.get(&here).map(|(parent, _)| *parent);
        }
        at == Some(root)
    };
    Ok(processes.iter().filter(|(pid, _)| descends(**pid)).map(|(_, (_, ticks))| ticks).sum())
}

/// From `/proc/<pid>/stat`: the parent, and utime + stime + cutime + cstime (fields 4 and 14 to 17).
fn parent_and_ticks(stat: &str) -> Option<(u32, u64)> {
    // The command stands in parentheses and may contain spaces.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let ticks: Option<Vec<u64>> = fields.get(11..15)?.iter().map(|field| field.parse().ok()).collect();
    Some((parent, ticks?.iter().sum()))
}

/// The median time of an fsync after a small append in `data`, in milliseconds.
///
/// # Errors
/// When the directory cannot be written.
pub fn fsync_p50_ms(data: &Path) -> Result<f64> {
    let path = data.join("fsync.probe");
    let mut file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let mut times = Vec::new();
    for _ in 0..101 {
        file.write_all(&[b'x'; 256])?;
        let started = Instant::now();
        file.sync_data()?;
        times.push(started.elapsed());
    }
    fs::remove_file(&path)?;
    times.sort();
    Ok(times[times.len() / 2].as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_plain_and_json_lines() {
        for line in ["listening on http://127.0.0.1:7070", r#"{"listening":"http://127.0.0.1:7070","pid":1}"#]
        {
            assert_eq!(address_in(line).as_deref(), Some("http://127.0.0.1:7070"));
        }
        assert_eq!(address_in("starting"), None);
    }

    #[test]
    fn a_command_with_spaces_does_not_shift_the_fields() {
        let stat = "7 (a b) c) S 5 7 7 0 -1 4194560 9 9 0 0 11 22 33 44 20 0 1 0 9 9 9";
        assert_eq!(parent_and_ticks(stat), Some((5, 110)));
    }

    #[tokio::test]
    async fn a_service_that_ends_early_is_reported_with_its_output() {
        let data = tempfile::tempdir().unwrap();
        let error = Service::start(Path::new("/bin/ls"), data.path(), 0).await.unwrap_err().to_string();
        assert!(error.starts_with("/bin/ls ended before it listened\n"), "{error}");
        assert!(error.contains("option '--data'"), "{error}");
    }
}
