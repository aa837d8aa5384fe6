//! Error rates and power as claimed, counted over simulated samples with fixed seeds.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test")]

mod adwin;
mod draws;
mod drift;
mod sequential;
