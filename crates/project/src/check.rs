//! Cross-checks of declarations: each notes faults and goes on.

mod derived;
mod endpoint;
mod experiment;
mod policy;
mod report;
mod source;
mod view;

pub(crate) use endpoint::endpoint;
pub(crate) use experiment::experiment;
pub(crate) use policy::policy;
pub(crate) use report::report;
pub(crate) use source::source;
pub(crate) use view::{CheckedView, view};
