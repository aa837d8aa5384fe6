//! The schema and its queries, on a real server that the tests start.

mod facts;
mod graph;
mod leases;
mod projection;
mod reading;
mod server;
