//! The hot path: a request in, an answer with its reason out, and a record of both.
//!
//! It decides which version answers and what is answered when none can. It never decides which version should:
//! it follows the control stream.

mod endpoint;
mod error;
mod gateway;
mod replies;

pub use error::GatewayError;
pub use gateway::{Gateway, GatewayFold, GatewayHandle, Predicting};
pub use replies::Reply;
