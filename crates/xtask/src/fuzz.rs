//! Fuzzing: the targets of `tests/fuzz/`, each for a while, from small beginnings that the program makes itself.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::Cargo;

/// The targets, as `tests/fuzz/src/main.rs` has them.
const TARGETS: [&str; 11] = [
    "json",
    "csv",
    "avro",
    "protobuf",
    "wire",
    "writer_schema",
    "frames",
    "parquet",
    "snapshot",
    "declarations",
    "expression",
];

/// Coverage that libFuzzer steers by, as cargo-fuzz asks for it, by flags of the stable compiler. The target is named
/// so that build scripts and macros go without.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Run one target, or all of them one after the other.
///
/// # Errors
/// At the first target that finds something; the message names the file with the input.
pub(crate) fn fuzz(arguments: &[String]) -> Result<()> {
    let (chosen, minutes) = understand(arguments)?;
    let cargo = Cargo::new()?;
    let directory = cargo.target().join("fuzz");
    let host = host()?;
    eprintln!("> cargo build --release (tests/fuzz, with coverage)");
    let built = cargo
        .command()
        .args(["build", "--release", "--target", &host])
        .current_dir(cargo.workspace().join("tests/fuzz"))
        .env("CARGO_TARGET_DIR", &directory)
        .env("RUSTFLAGS", COVERAGE)
        .status()
        .context("start cargo")?;
    ensure!(built.success(), "the targets were not built: cargo ended with {built}");
    let program = directory.join(&host).join("release/perennial-fuzz");
    for target in chosen {
        run(&program, &directory, target, minutes)?;
    }
    Ok(())
}

fn understand(arguments: &[String]) -> Result<(Vec<&'static str>, u32)> {
    let (mut chosen, mut minutes) = (Vec::new(), 10);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--minutes" {
            let text = rest.next().context("--minutes wants a number")?;
            minutes = text.parse().with_context(|| format!("--minutes {text:?} is no whole number"))?;
        } else if let Some(target) = TARGETS.into_iter().find(|target| target == argument) {
            chosen.push(target);
        } else {
            bail!("no target {argument:?}; there are {}", TARGETS.join(", "));
        }
    }
    if chosen.is_empty() {
        chosen.extend(TARGETS);
    }
    Ok((chosen, minutes))
}

fn run(program: &Path, directory: &Path, target: &str, minutes: u32) -> Result<()> {
    // What was found interesting is kept from run to run; inputs that failed lie beside it.
    let corpus = directory.join("corpus").join(target);
    let found = directory.join("found").join(target);
    for made in [&corpus, &found] {
        fs::create_dir_all(made).with_context(|| format!("make {}", made.display()))?;
    }
    eprintln!("> fuzz {target} for {minutes} minutes");
    let status = Command::new("nice")
        .arg(program)
        .arg(&corpus)
        .arg(format!("-max_total_time={}", minutes * 60))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=8192", "-verbosity=0", "-print_final_stats=1"])
        .env("PERENNIAL_FUZZ_TARGET", target)
        .env("PERENNIAL_FUZZ_CORPUS", &corpus)
        .status()
        .with_context(|| format!("start {}", program.display()))?;
    ensure!(status.success(), "{target} found something; the input is in {}", found.display());
    Ok(())
}

/// The triple of this machine.
fn host() -> Result<String> {
    let told = Command::new("rustc").arg("-vV").output().context("start rustc")?;
    let told = String::from_utf8(told.stdout).context("understand rustc")?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not name its host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_those_of_the_program() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/src/main.rs");
        let program = fs::read_to_string(path).unwrap();
        let named: Vec<&str> = program
            .lines()
            .filter_map(|line| line.trim().strip_prefix("(\"")?.split_once('"'))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(named, TARGETS);
    }

    #[test]
    fn a_target_and_its_time_are_understood() {
        let understand = |line: &str| {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            super::understand(&arguments).map_err(|error| error.to_string())
        };
        assert_eq!(understand("csv --minutes 3").unwrap(), (vec!["csv"], 3));
        assert_eq!(understand("").unwrap(), (TARGETS.to_vec(), 10));
        assert!(understand("cvs").unwrap_err().starts_with("no target \"cvs\"; there are json, csv"));
        assert!(understand("--minutes").is_err() && understand("--minutes x").is_err());
    }
}
