//! Under construction.

mod spec;
pub use spec::*;
