//! Under construction.

mod goal;
pub use goal::*;
