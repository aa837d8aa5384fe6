//! Claims about the loop, shown by playing synthetic histories through it.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test")]

mod access;
mod baseline;
mod decisions;
mod experiments;
mod interruption;
mod rollouts;
mod routing;
mod versions;
mod world;
