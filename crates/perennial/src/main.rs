//! Perennial: keeps deployed models fresh.
//!
//! The binary joins the services: it reads the command line, makes the one system clock, and starts what was
//! asked for.

use std::process::ExitCode;

use clap::Parser;

mod ask;
mod cli;
mod clock;
mod database;
mod declarations;
mod features;
mod import;
mod keys;
mod memory;
mod output;
mod serve;
mod skew;
mod train;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(options) => block_on(serve::run(options)),
        Command::Validate { project } => block_on(declarations::validate(&project)),
        Command::Plan { project, server } => block_on(declarations::plan(&project, &server)),
        Command::Apply { project, at, server } => block_on(declarations::apply(&project, at, &server)),
        Command::Import { source, file, at, server } => block_on(import::run(&source, &file, at, &server)),
        Command::Features(options) => features::run(&options),
        Command::TrainingSet(options) => block_on(features::training_set(&options)),
        Command::DeadLetters(command) => block_on(ask::dead_letters(command)),
        Command::Skew(options) => skew::run(&options),
        Command::Key(command) => block_on(keys::run(command)),
        Command::Ask(question) => block_on(ask::run(question)),
        Command::Train { run_dir, memory_bytes } => return train::run(&run_dir, memory_bytes),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
