//! Figures, where they were taken, and how they are told.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::data::Random;

/// What one run of the program found.
#[derive(Serialize)]
pub(crate) struct Report {
    benchmark: String,
    machine: String,
    commit: String,
    /// CPU seconds of a fixed piece of work before and after: what other programs took from this one.
    calibration_s: [f64; 2],
    figures: Vec<Figure>,
}

/// One figure of several repetitions.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// One for each repetition.
    pub(crate) values: Vec<f64>,
    /// What is wanted, where something is.
    pub(crate) target: Option<f64>,
    /// What the machine would allow, and why.
    pub(crate) limit: Option<String>,
}

/// CPU and wall time of a stretch of work.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// A running measurement.
pub(crate) struct Stopwatch {
    cpu: Duration,
    wall: Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { cpu: cpu_time(), wall: Instant::now() }
    }

    pub(crate) fn stop(&self) -> Spent {
        Spent { cpu: cpu_time() - self.cpu, wall: self.wall.elapsed() }
    }
}

/// The CPU time of all threads of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// CPU seconds of arithmetic and of dependent reads of memory, which tell how fast the machine is just now.
fn calibrate() -> f64 {
    let start = cpu_time();
    let mut random = Random(1);
    let mut cycle: Vec<u32> = (0..1 << 22).collect();
    // One cycle through all places (Sattolo), so that every read waits for the one before.
    for i in (1..cycle.len()).rev() {
        cycle.swap(i, random.below(i as u64) as usize);
    }
    let (mut at, mut sum) = (0, 0_u64);
    for _ in 0..2_000_000 {
        at = cycle[at as usize];
        sum = sum.wrapping_add(u64::from(at)).wrapping_mul(random.bits() | 1);
    }
    black_box(sum);
    (cpu_time() - start).as_secs_f64()
}

/// Bytes of this process that lie in memory.
pub(crate) fn resident_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().context("read VmRSS")?;
    Ok(kilobytes * 1024)
}

impl Report {
    pub(crate) fn new(benchmark: &str) -> Self {
        Self {
            benchmark: benchmark.to_owned(),
            machine: machine(),
            commit: commit(),
            calibration_s: [calibrate(), 0.0],
            figures: Vec::new(),
        }
    }

    /// Note what the machine does after the benchmark.
    pub(crate) fn end(&mut self) {
        self.calibration_s[1] = calibrate();
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        eprintln!("{}", figure.line());
        self.figures.push(figure);
    }

    /// The rate of `count` things for each repetition: by CPU time the figure, by wall time beside it.
    pub(crate) fn rate(
        &mut self,
        name: &str,
        unit: &'static str,
        count: usize,
        spent: &[Spent],
        target: f64,
    ) {
        let rate = |time: Duration| count as f64 / time.as_secs_f64();
        let cpu: Vec<f64> = spent.iter().map(|spent| rate(spent.cpu)).collect();
        let wall: Vec<f64> = spent.iter().map(|spent| rate(spent.wall)).collect();
        self.add(Figure { name: name.to_owned(), unit, values: cpu, target: Some(target), limit: None });
        let name = format!("{name}, by wall time");
        self.add(Figure { name, unit, values: wall, target: None, limit: None });
    }

    /// The CPU time of one of `count` things for each repetition.
    pub(crate) fn micros(&mut self, name: &str, count: usize, spent: &[Spent]) {
        let values = spent.iter().map(|spent| spent.cpu.as_secs_f64() * 1e6 / count as f64).collect();
        self.add(Figure { name: name.to_owned(), unit: "µs", values, target: None, limit: None });
    }

    /// Say of the last figure but `back` what the machine would allow.
    pub(crate) fn limit(&mut self, back: usize, limit: impl Into<String>) {
        if let Some(figure) = self.figures.iter_mut().rev().nth(back) {
            figure.limit = Some(limit.into());
        }
    }

    pub(crate) fn print(&self) {
        println!("{} on {} at commit {}", self.benchmark, self.machine, self.commit);
        let [before, after] = self.calibration_s;
        println!("  calibration: {before:.2} s before, {after:.2} s after");
        for figure in &self.figures {
            println!("  {}", figure.line());
            if let Some(limit) = &figure.limit {
                println!("      limit: {limit}");
            }
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self)?;
        fs::write(path, json).with_context(|| format!("write {}", path.display()))
    }
}

impl Figure {
    fn line(&self) -> String {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        let (low, high) =
            (sorted.first().copied().unwrap_or(median), sorted.last().copied().unwrap_or(median));
        let target = self.target.map_or_else(String::new, |target| format!("  (target {})", written(target)));
        format!(
            "{:<44} {:>12} {}  [{} .. {}]{target}",
            self.name,
            written(median),
            self.unit,
            written(low),
            written(high)
        )
    }
}

/// A number with separators where it is large, and decimals where it is small.
fn written(number: f64) -> String {
    if number.abs() < 1000.0 {
        return format!("{number:.3}");
    }
    let digits = format!("{:.0}", number.abs());
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    format!("{}{}", if number < 0.0 { "-" } else { "" }, groups.join(","))
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!("{} ({cores} cores, load {load})", model.trim_start_matches(['\t', ' ', ':']))
}

fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    let text = output.ok().filter(|output| output.status.success());
    text.map_or_else(|| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
