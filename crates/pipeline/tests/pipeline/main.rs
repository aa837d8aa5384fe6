//! Claims about the pipeline, on a real log in a temporary directory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails its test")]

mod audits;
mod history;
mod ingest;
mod memory;
mod recent;
mod recovery;
mod replacement;
mod skew;
mod source_times;
mod spine;
mod streams;
mod training;
mod world;
