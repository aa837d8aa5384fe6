//! Claims about the pipeline, on a real log in a temporary directory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails its test")]

mod audits;
mod ingest;
mod recent;
mod recovery;
mod skew;
mod training;
mod world;
