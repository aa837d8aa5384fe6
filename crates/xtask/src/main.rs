//! Developer automation: `cargo xtask <command>`. Run without a command for help.

mod cargo;
mod contract;
mod fuzz;
#[cfg(test)]
mod image;
mod install;
mod kafka;
mod python;

use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::Cargo;
use crate::install::Need;

const HELP: &str = "\
cargo xtask <command>

  demo [example] [options]
                   play an example against a service of its own: bike-demand (if none is named), payments-fraud
                   or retail-repurchase; `cargo xtask demo --help` lists the options
  test [filter]    every test of the workspace, those on a real Postgres and a real Kafka included
  bench <name> [--json file] [options]
                   one benchmark: of the engine state, read, memory, w1, w3 or recovery; of the service ingest,
                   serve or freshness, and kafka; `cargo xtask bench --help` lists the options
  fuzz [target …] [--minutes n]
                   what reads bytes and texts from outside, each target for n minutes (10); without a target all of
                   them: json, csv, avro, protobuf, wire, writer_schema, frames, parquet, snapshot, declarations
                   and expression
  contract [--examples n]
                   whether the service keeps what /openapi.json promises: schemathesis asks a service of its
                   own, with n examples of each operation (200); a few minutes, and 20 examples are a start
  lint             formatting, clippy without warnings, the map of crates
  install [build]  only install what demo and test need, or what compiling needs

Each command first installs what it needs and this machine lacks: on Debian and Ubuntu as root by apt-get,
elsewhere it says what to install and stops. Kafka's jars come by Maven into the target directory; with
PERENNIAL_TEST_KAFKA=host:port the tests use that broker instead.
";

/// What `demo` can play; the first one if none is named.
const EXAMPLES: [&str; 3] = ["bike-demand", "payments-fraud", "retail-repurchase"];

/// The benchmarks that start the service.
const OF_THE_SERVICE: [&str; 3] = ["ingest", "serve", "freshness"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let done = match command {
        "demo" => demo(rest),
        "test" => test(rest),
        "bench" => bench(rest),
        "fuzz" => install::install(Need::FUZZ).and_then(|()| fuzz::fuzz(rest)),
        "contract" => install::install(Need::CONTRACT).and_then(|()| contract::contract(rest)),
        "lint" => without_arguments(command, rest).and_then(|()| lint()),
        "install" => Need::named(rest).and_then(install),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(anyhow::anyhow!(
            "no command {other:?}; there are demo, test, bench, fuzz, contract, lint and install"
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn without_arguments(command: &str, rest: &[String]) -> Result<()> {
    anyhow::ensure!(rest.is_empty(), "{command} takes no arguments, found {:?}", rest.join(" "));
    Ok(())
}

/// Build the service and the example, then become the example: it gets every signal, and its exit code is
/// the one of this command.
fn demo(arguments: &[String]) -> Result<()> {
    let (name, arguments) = match arguments.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (first.as_str(), rest),
        Some(_) | None => (EXAMPLES[0], arguments),
    };
    anyhow::ensure!(EXAMPLES.contains(&name), "no example {name:?}; there are {}", EXAMPLES.join(", "));
    if !arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        install::install(Need::DEMO)?;
    }
    let cargo = Cargo::new()?;
    cargo.run(&["build", "--release", "--package", "perennial", "--package", name])?;
    let service = cargo.program("release", "perennial");
    let example = cargo.program("release", name);
    Err(cargo::become_program(&example, &service, arguments))
}

fn test(arguments: &[String]) -> Result<()> {
    install(Need::ALL)?;
    let cargo = python::for_golden_values(Cargo::new()?)?;
    // The end-to-end tests start the program itself.
    cargo.run(&["build", "--package", "perennial"])?;
    cargo.run_with(&["test", "--workspace"], arguments)
}

/// Install what is missing; with Java comes the broker that it runs.
fn install(needs: &[Need]) -> Result<()> {
    install::install(needs)?;
    if needs.contains(&Need::Java) { kafka::resolve(&Cargo::new()?) } else { Ok(()) }
}

/// Build the benchmarks for release, then run one.
fn bench(arguments: &[String]) -> Result<()> {
    install::install(Need::BUILD)?;
    let cargo = Cargo::new()?;
    if arguments.first().is_some_and(|name| OF_THE_SERVICE.contains(&name.as_str())) {
        install::install(Need::DEMO)?;
        // It is started by the benchmark, which lies beside it.
        cargo.run(&["build", "--release", "--package", "perennial"])?;
    }
    match arguments.split_first() {
        Some((name, more)) if name == "kafka" => {
            install(Need::ALL)?;
            cargo.run(&["build", "--release", "--package", "perennial"])?;
            cargo.run_with(&["bench", "--package", "perennial-bench", "--bench", "kafka", "--"], more)
        }
        _ => cargo.run_with(&["run", "--release", "--package", "perennial-bench", "--"], arguments),
    }
}

fn lint() -> Result<()> {
    install::install(Need::BUILD)?;
    let cargo = Cargo::new()?;
    cargo.run(&["fmt", "--all", "--", "--check"])?;
    cargo.run(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    cargo.run(&["test", "--package", "xtask", "--test", "map"])
}
