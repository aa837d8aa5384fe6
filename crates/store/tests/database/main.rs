//! The schema and its queries, on a real server that the tests start.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what tests share fails like a test")]

mod facts;
mod graph;
mod leases;
mod projection;
mod reading;
mod server;
mod traffic;
