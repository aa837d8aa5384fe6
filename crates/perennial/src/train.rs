//! The trainer's process.

use std::path::Path;
use std::process::ExitCode;

use perennial_orchestrator::{EXIT_DATA, TrainerError, train_in, wait_for_parent_to_go};
use rustix::process::{Resource, Rlimit, nice, setrlimit};

/// How much nicer than the service a trainer is.
const NICER: i32 = 10;

pub(crate) fn run(run_dir: &Path, memory_bytes: Option<u64>) -> ExitCode {
    // A trainer that is not niced trains all the same.
    let _ = nice(NICER);
    if let Some(bytes) = memory_bytes {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        if let Err(error) = setrlimit(Resource::As, limit) {
            eprintln!("cannot bound the memory to {bytes} bytes: {error}");
            return ExitCode::FAILURE;
        }
    }
    std::thread::spawn(|| {
        wait_for_parent_to_go();
        std::process::exit(1);
    });
    match train_in(run_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(TrainerError::Data(reason)) => {
            eprintln!("{reason}");
            ExitCode::from(u8::try_from(EXIT_DATA).unwrap_or(1))
        }
        Err(TrainerError::Machine(reason)) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
