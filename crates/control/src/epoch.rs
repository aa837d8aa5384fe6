//! When an epoch begins.

use perennial_types::{TimeSpan, Timestamp};

/// Whether one of the instants `start + k · length`, `k ≥ 1`, lies in `(since, at]`. Nothing was done before
/// the first instant, so there nothing begins.
pub(crate) fn begins(start: Timestamp, length: TimeSpan, since: Option<Timestamp>, at: Timestamp) -> bool {
    let Some(since) = since else { return false };
    let number = |at: Timestamp| at.since(start).micros().div_euclid(length.micros().max(1));
    number(at) > number(since).max(0)
}
