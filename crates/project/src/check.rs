//! Cross-checks of declarations: each notes faults and goes on.

mod endpoint;
mod policy;
mod source;
mod view;

pub(crate) use endpoint::endpoint;
pub(crate) use policy::policy;
pub(crate) use source::source;
pub(crate) use view::{CheckedView, view};
