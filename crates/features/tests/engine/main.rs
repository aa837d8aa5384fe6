//! What the engine promises, against slow oracles and golden values.

mod declarations;
mod oracle;
mod point_in_time;
mod replay;
mod retail;
mod setup;
mod windows;
