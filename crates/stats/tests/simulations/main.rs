//! Error rates and power as claimed, counted over simulated samples with fixed seeds.

mod adwin;
mod draws;
mod sequential;
