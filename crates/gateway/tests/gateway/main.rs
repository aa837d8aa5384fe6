//! Claims about answers, on a real log in a temporary directory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails its test")]

mod answers;
mod traffic;
mod world;
