//! Lineage in Postgres, the server itself where there is none, and content-addressed blobs.

mod address;
mod database;
mod embedded;
mod error;

pub use address::Address;
pub use database::Store;
pub use embedded::{Postgres, PostgresOptions};
pub use error::StoreError;
