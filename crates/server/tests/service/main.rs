//! The routes over a real pipeline, gateway and database.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what tests share fails like a test")]

mod audits;
mod conforming;
mod keys;
mod malformed;
mod overview;
mod requests;
mod stack;
