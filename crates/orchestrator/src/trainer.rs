//! Training in a child process, by the contract of the run directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use perennial_learn::contract::{self, Manifest, Progress, RunSpec, TrainMetrics};
use perennial_types::ContentHash;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::TrainerError;

/// The exit status by which a trainer says that no repetition can help; its last line on standard error is
/// the reason.
pub const EXIT_DATA: i32 = 3;

/// How much of a trainer's standard error is kept for messages, in bytes.
const KEPT_ERROR: u64 = 64 * 1024;

/// How trainers are started.
#[derive(Clone, Debug)]
pub struct TrainerOptions {
    /// The program that is started with `train --run-dir DIR`.
    pub program: PathBuf,
    /// The directory of run directories.
    pub runs_dir: PathBuf,
    /// A run that takes longer is ended: a cause of the machine.
    pub timeout: Duration,
    /// The address space a trainer may use, in bytes.
    pub memory_bytes: u64,
}

/// What a trainer left behind, checked.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) artifact: Vec<u8>,
    pub(crate) manifest: Manifest,
    pub(crate) metrics: TrainMetrics,
}

/// Make an empty directory for an attempt of a run.
pub(crate) fn make_run_dir(options: &TrainerOptions, run: &str) -> Result<PathBuf, TrainerError> {
    let dir = options.runs_dir.join(run);
    let io = |error: std::io::Error| TrainerError::Machine(format!("{}: {error}", dir.display()));
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir_all(&dir).map_err(io)?;
    Ok(dir)
}

/// Train what the run directory asks for in a child process, and read its results.
pub(crate) async fn train(
    options: &TrainerOptions,
    spec: &RunSpec,
    dir: &Path,
    mut on_progress: impl FnMut(Progress),
) -> Result<Trained, TrainerError> {
    let run_file = dir.join(contract::RUN_FILE);
    let text = serde_json::to_vec_pretty(spec).map_err(TrainerError::machine)?;
    fs::write(&run_file, text)
        .map_err(|error| TrainerError::Machine(format!("{}: {error}", run_file.display())))?;
    let mut child = spawn(options, dir)?;
    write_pid(dir, &child)?;
    let watched = watch(&mut child, &mut on_progress);
    match tokio::time::timeout(options.timeout, watched).await {
        Ok(result) => result?,
        Err(_) => {
            end_group(&child);
            // The group was killed; its leader is reaped so that nothing is left behind.
            let _ = child.wait().await;
            return Err(TrainerError::Machine(format!(
                "the trainer was ended after {} seconds",
                options.timeout.as_secs()
            )));
        }
    }
    collect(dir)
}

fn spawn(options: &TrainerOptions, dir: &Path) -> Result<Child, TrainerError> {
    let mut command = Command::new(&options.program);
    command
        .arg("train")
        .arg("--run-dir")
        .arg(dir)
        .arg("--memory-bytes")
        .arg(options.memory_bytes.to_string())
        // The trainer ends itself when this pipe does, so it never outlives the service.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command.spawn().map_err(|error| {
        TrainerError::Machine(format!("cannot start {}: {error}", options.program.display()))
    })
}

async fn watch(child: &mut Child, on_progress: &mut impl FnMut(Progress)) -> Result<(), TrainerError> {
    // Held open until the trainer has ended: its end is the trainer's signal that the service is gone.
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().ok_or_else(|| TrainerError::machine("no standard output"))?;
    let stderr = child.stderr.take().ok_or_else(|| TrainerError::machine("no standard error"))?;
    let reading = async {
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(TrainerError::machine)? {
            match serde_json::from_str::<Progress>(&line) {
                Ok(progress) => on_progress(progress),
                Err(_) => tracing::debug!(line, "a trainer printed a line that is no progress"),
            }
        }
        Ok::<(), TrainerError>(())
    };
    let complaining = async {
        let mut text = Vec::new();
        let mut stderr = stderr;
        (&mut stderr).take(KEPT_ERROR).read_to_end(&mut text).await.map_err(TrainerError::machine)?;
        // What is beyond the limit is read and dropped, so that the trainer does not block.
        tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await.map_err(TrainerError::machine)?;
        Ok::<String, TrainerError>(String::from_utf8_lossy(&text).into_owned())
    };
    let (read, complaint) = tokio::join!(reading, complaining);
    let status = child.wait().await.map_err(TrainerError::machine)?;
    drop(stdin);
    read?;
    let complaint = complaint?;
    let last_line = complaint.trim().lines().last().unwrap_or("it said nothing").to_owned();
    match status.code() {
        Some(0) => Ok(()),
        Some(EXIT_DATA) => Err(TrainerError::Data(last_line)),
        Some(code) => {
            Err(TrainerError::Machine(format!("the trainer ended with status {code}: {last_line}")))
        }
        None => Err(TrainerError::Machine(format!("the trainer was killed: {last_line}"))),
    }
}

fn collect(dir: &Path) -> Result<Trained, TrainerError> {
    let manifest: Manifest = read_json(&dir.join(contract::MANIFEST_FILE))?;
    let metrics: TrainMetrics = read_json(&dir.join(contract::METRICS_FILE))?;
    let path = dir.join(&manifest.artifact);
    let artifact = read(&path)?;
    let found = ContentHash::of(&artifact);
    if found != manifest.sha256 {
        let (path, expected) = (path.display(), manifest.sha256);
        return Err(TrainerError::Machine(format!(
            "{path}: the manifest promises {expected}, found {found}"
        )));
    }
    Ok(Trained { artifact, manifest, metrics })
}

fn read(path: &Path) -> Result<Vec<u8>, TrainerError> {
    fs::read(path).map_err(|error| TrainerError::Machine(format!("{}: {error}", path.display())))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, TrainerError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| TrainerError::Machine(format!("{}: {error}", path.display())))
}

const PID_FILE: &str = "pid";

fn write_pid(dir: &Path, child: &Child) -> Result<(), TrainerError> {
    let Some(pid) = child.id() else { return Ok(()) };
    let path = dir.join(PID_FILE);
    let text = format!("{pid} {}", started(pid).unwrap_or_default());
    fs::write(&path, text).map_err(|error| TrainerError::Machine(format!("{}: {error}", path.display())))
}

fn end_group(child: &Child) {
    if let Some(pid) = child.id() {
        kill_group(pid);
    }
}

fn kill_group(pid: u32) {
    let group = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // A group that has just ended by itself is as good as killed.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// When the process of this id was started, in ticks since boot: with the id it names a process for good.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

/// End trainers that an earlier life of the service started and that are still there.
pub(crate) fn end_survivors(runs_dir: &Path) {
    let Ok(entries) = fs::read_dir(runs_dir) else { return };
    for entry in entries.flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join(PID_FILE)) else { continue };
        let Some((pid, start)) = text.split_once(' ') else { continue };
        let Ok(pid) = pid.parse() else { continue };
        if !start.is_empty() && started(pid).as_deref() == Some(start) {
            tracing::warn!(pid, "ended a trainer that had survived the service");
            kill_group(pid);
        }
    }
}
