//! What each op is by its definition, over a plain list of values: slow, and right up to rounding.

use std::collections::BTreeMap;

use perennial_features::Op;
use perennial_types::Value;

/// One value that counts.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) time: i64,
    pub(crate) value: Value,
    /// That of the second column.
    pub(crate) with: f64,
}

/// What an op should give.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// This, to the bit.
    Exactly(Value),
    /// A double within this relative error of it, and of rounding.
    About(f64, f64),
}

impl Wanted {
    pub(crate) fn met_by(&self, found: &Value) -> bool {
        match (self, found) {
            (Self::Exactly(wanted), found) => wanted == found,
            (Self::About(wanted, error), Value::Double(found)) => {
                (found - wanted).abs() <= error * wanted.abs() + 1e-9
            }
            (Self::About(..), _) => false,
        }
    }
}

const ROUNDING: f64 = 1e-9;

/// The value of `op` at `at`, over events in order of event time, of equal times in that of coming to count.
pub(crate) fn value(op: Op, events: &[Counted], at: i64) -> Wanted {
    let whole = |count: usize| Wanted::Exactly(Value::Int64(count as i64));
    if events.is_empty() {
        return if matches!(op, Op::Count | Op::Distinct | Op::ApproxDistinct) {
            whole(0)
        } else {
            Wanted::Exactly(Value::Null)
        };
    }
    let n = events.len() as f64;
    let numbers: Vec<f64> = events.iter().filter_map(|event| event.value.as_f64()).collect();
    let others: Vec<f64> = events.iter().map(|event| event.with).collect();
    let exactly = |event: Option<&Counted>| Wanted::Exactly(event.unwrap().value.clone());
    match op {
        Op::Count => whole(events.len()),
        Op::Sum => match events[0].value {
            Value::Int64(_) => Wanted::Exactly(Value::Int64(numbers.iter().sum::<f64>() as i64)),
            _ => Wanted::About(numbers.iter().sum(), ROUNDING),
        },
        Op::Avg => Wanted::About(mean(&numbers), ROUNDING),
        Op::Min => exactly(events.iter().min_by(|a, b| order(&a.value, &b.value))),
        Op::Max => exactly(events.iter().max_by(|a, b| order(&a.value, &b.value))),
        Op::First => exactly(events.first()),
        Op::Last => exactly(events.last()),
        Op::SinceLast => {
            let last = events.last().unwrap().time;
            Wanted::Exactly(Value::Double((at - last) as f64 / 1e6))
        }
        Op::Stddev => about(central(&numbers, 2) / (n - 1.0), n >= 2.0, f64::sqrt),
        Op::StddevPop => about(central(&numbers, 2) / n, true, f64::sqrt),
        Op::Variance => about(central(&numbers, 2) / (n - 1.0), n >= 2.0, |it| it),
        Op::VariancePop => about(central(&numbers, 2) / n, true, |it| it),
        Op::Skew => {
            let squares = central(&numbers, 2) / n;
            let skewness = central(&numbers, 3) / n / squares.powf(1.5);
            about(skewness, n >= 3.0 && squares > 0.0, |it| it * (n * (n - 1.0)).sqrt() / (n - 2.0))
        }
        Op::Kurtosis => {
            let squares = central(&numbers, 2) / n;
            let excess = central(&numbers, 4) / n / squares.powi(2) - 3.0;
            about(excess, n >= 4.0 && squares > 0.0, |it| {
                ((n + 1.0) * it + 6.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0))
            })
        }
        Op::Distinct | Op::ApproxDistinct => whole(counts(events).len()),
        Op::Quantile(rank) => {
            let mut sorted = numbers;
            sorted.sort_by(f64::total_cmp);
            Wanted::About(sorted[(rank.share() * (n - 1.0)).floor() as usize], 0.01 + ROUNDING)
        }
        Op::Covariance => about(products(&numbers, &others) / (n - 1.0), n >= 2.0, |it| it),
        Op::CovariancePop => about(products(&numbers, &others) / n, true, |it| it),
        Op::Correlation => {
            let squares = central(&numbers, 2).sqrt() * central(&others, 2).sqrt();
            about(products(&numbers, &others) / squares, squares > 0.0, |it| it)
        }
        Op::DecayedSum(half_life) => Wanted::About(decayed(events, half_life.micros(), at), ROUNDING),
        Op::DecayedRate(half_life) => {
            let sum = decayed(events, half_life.micros(), at);
            Wanted::About(sum * 2_f64.ln() * 1e6 / half_life.micros() as f64, ROUNDING)
        }
    }
}

fn about(value: f64, known: bool, then: impl Fn(f64) -> f64) -> Wanted {
    if known { Wanted::About(then(value), ROUNDING) } else { Wanted::Exactly(Value::Null) }
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The sum of a power of the deviations.
fn central(numbers: &[f64], power: i32) -> f64 {
    let mean = mean(numbers);
    numbers.iter().map(|x| (x - mean).powi(power)).sum()
}

fn products(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    a.iter().zip(b).map(|(x, y)| (x - mean_a) * (y - mean_b)).sum()
}

fn decayed(events: &[Counted], half_life: i64, at: i64) -> f64 {
    let weight = |event: &Counted| 0.5_f64.powf((at - event.time) as f64 / half_life as f64);
    events.iter().map(|event| weight(event) * event.value.as_f64().unwrap_or(1.0)).sum()
}

pub(crate) fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.total_cmp(b),
        (Value::Int64(a), Value::Int64(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        _ => panic!("{a} and {b} are of different types"),
    }
}

/// How often each value stands there.
pub(crate) fn counts(events: &[Counted]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event.value.to_string()).or_default() += 1;
    }
    counts
}
