//! What a row must be, by definition: from all events of its user that were applied before it, one by one.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Result, ensure};
use perennial_features::{Tail, View};
use perennial_types::{TimeSpan, Value};

use crate::data::Payment;
use crate::views::{DISTINCT_WINDOW, WEEK};

/// Of so many rows one is computed by definition.
const EVERY: usize = 97;
/// What the order of additions may change.
const TOLERANCE: f64 = 1e-9;
/// Up to so many different values their approximate number is exact; beyond that five standard errors are allowed.
const EXACT_UP_TO: f64 = 512.0;
const DISTINCT_TOLERANCE: f64 = 5.0 * 0.016_25;

/// Every event that was applied, and what the comparison found so far.
pub(crate) struct Oracle {
    tail: Tail,
    /// By user, in order of time.
    applied: HashMap<i64, Vec<Payment>>,
    rows: usize,
    /// Rows that were computed.
    pub(crate) checked: usize,
    /// The largest relative difference of a value that is rounded.
    pub(crate) difference: f64,
}

impl Oracle {
    pub(crate) fn new(tail: Tail) -> Self {
        Self { tail, applied: HashMap::new(), rows: 0, checked: 0, difference: 0.0 }
    }

    pub(crate) fn apply(&mut self, payment: Payment) {
        let events = self.applied.entry(payment.user_id).or_default();
        let at = events.partition_point(|event| event.ts <= payment.ts);
        events.insert(at, payment);
    }

    /// Compare a row that was read at `at_ms`, if it is one of those to compute.
    ///
    /// # Errors
    /// When it is another one.
    pub(crate) fn check(&mut self, user_id: i64, at_ms: i64, values: &[Value]) -> Result<()> {
        self.rows += 1;
        if !self.rows.is_multiple_of(EVERY) {
            return Ok(());
        }
        self.checked += 1;
        let none = Vec::new();
        let events = self.applied.get(&user_id).unwrap_or(&none);
        let mut wanted = [0.0; 6 * WEEK.len()];
        for (i, window) in WEEK.into_iter().enumerate() {
            let events = within(events, TimeSpan::parse(window)?, self.tail, at_ms);
            for (op, value) in six(events).into_iter().enumerate() {
                wanted[op * WEEK.len() + i] = value;
            }
        }
        for (i, (value, wanted)) in values.iter().zip(wanted).enumerate() {
            let apart = apart(value, wanted);
            ensure!(apart <= TOLERANCE, "user {user_id} at {at_ms}: feature {i} is {value}, not {wanted}");
            self.difference = self.difference.max(apart);
        }
        if let Some(value) = values.get(wanted.len()) {
            let events = within(events, TimeSpan::parse(DISTINCT_WINDOW)?, self.tail, at_ms);
            let merchants: BTreeSet<i64> = events.iter().map(|event| event.merchant_id).collect();
            let wanted = merchants.len() as f64;
            let allowed = if wanted <= EXACT_UP_TO { 0.0 } else { DISTINCT_TOLERANCE };
            let apart = apart(value, wanted);
            ensure!(apart <= allowed, "user {user_id} at {at_ms}: {value} merchants, not {wanted}");
        }
        Ok(())
    }
}

/// The events of a window that is read at `at_ms`.
fn within(events: &[Payment], window: TimeSpan, tail: Tail, at_ms: i64) -> &[Payment] {
    let start = at_ms - window.micros() / 1000;
    let hop = View::hop(window).micros() / 1000;
    let start = if tail == Tail::Hop { start.div_euclid(hop) * hop } else { start };
    let first = events.partition_point(|event| event.ts < start);
    let last = events.partition_point(|event| event.ts < at_ms);
    &events[first..last]
}

/// Count, sum, mean, smallest, largest, standard deviation of all.
fn six(events: &[Payment]) -> [f64; 6] {
    if events.is_empty() {
        return [0.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN, f64::NAN];
    }
    let amounts = || events.iter().map(|event| event.amount);
    let (count, sum) = (events.len() as f64, amounts().sum::<f64>());
    let mean = sum / count;
    let squares: f64 = amounts().map(|amount| (amount - mean) * (amount - mean)).sum();
    let (min, max) = (amounts().fold(f64::INFINITY, f64::min), amounts().fold(f64::NEG_INFINITY, f64::max));
    [count, sum, mean, min, max, (squares / count).sqrt()]
}

/// How far a value is from what it should be, relative to that if it is above one.
fn apart(value: &Value, wanted: f64) -> f64 {
    match value.as_f64() {
        Some(value) => (value - wanted).abs() / wanted.abs().max(1.0),
        None if wanted.is_nan() => 0.0,
        None => f64::INFINITY,
    }
}
