//! What the engine promises, against slow oracles and golden values.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails its test")]

mod cold;
mod declarations;
mod definition;
mod every_op;
mod oracle;
mod payments;
mod point_in_time;
mod replay;
mod retail;
mod setup;
mod shared;
mod streams;
mod windows;
