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
    /// A list of doubles, up to rounding.
    Near(Vec<f64>),
    /// A map of what it says.
    ByText(BTreeMap<String, Wanted>),
}

impl Wanted {
    pub(crate) fn met_by(&self, found: &Value) -> bool {
        match (self, found) {
            (Self::Exactly(wanted), found) => wanted == found,
            (Self::About(wanted, error), Value::Double(found)) => {
                (found - wanted).abs() <= error * wanted.abs() + 1e-9
            }
            (Self::Near(wanted), Value::List(found)) => {
                let near = |(wanted, found): (&f64, &Value)| Self::About(*wanted, ROUNDING).met_by(found);
                wanted.len() == found.len() && wanted.iter().zip(found.iter()).all(near)
            }
            (Self::ByText(wanted), Value::Map(found)) => {
                let wanted: Vec<_> = wanted.iter().filter(|(_, it)| **it != NULL).collect();
                let met = |((key, wanted), (found_key, found)): (&(&String, &Self), &(_, Value))| {
                    let found_key: &std::sync::Arc<str> = found_key;
                    **key == **found_key && wanted.met_by(found)
                };
                wanted.len() == found.len() && wanted.iter().zip(found.iter()).all(met)
            }
            (Self::About(..) | Self::Near(_) | Self::ByText(_), _) => false,
        }
    }
}

const ROUNDING: f64 = 1e-9;
const NULL: Wanted = Wanted::Exactly(Value::Null);
/// The edges of the histograms.
pub(crate) const EDGES: [f64; 3] = [-50.0, 0.0, 20.0];

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
        Op::Avg if events[0].value.as_list().is_some() => Wanted::Near(mean_list(events)),
        Op::Avg => Wanted::About(mean(&numbers), ROUNDING),
        Op::Min => exactly(events.iter().min_by(|a, b| order(&a.value, &b.value))),
        Op::Max => exactly(events.iter().max_by(|a, b| order(&a.value, &b.value))),
        Op::First => exactly(events.first()),
        Op::Last => exactly(events.last()),
        Op::FirstK(_)
        | Op::LastK(_)
        | Op::FirstDistinct(_)
        | Op::LastDistinct(_)
        | Op::Top(_)
        | Op::Bottom(_)
        | Op::Frequent(_)
        | Op::Histogram => several(op, events, &numbers),
        Op::SinceLast => {
            let last = events.last().unwrap().time;
            Wanted::Exactly(Value::Double((at - last) as f64 / 1e6))
        }
        Op::Stddev => about(central(&numbers, 2) / (n - 1.0), n >= 2.0, f64::sqrt),
        Op::StddevPop => about(central(&numbers, 2) / n, true, f64::sqrt),
        Op::Variance => about(central(&numbers, 2) / (n - 1.0), n >= 2.0, |it| it),
        Op::VariancePop => about(central(&numbers, 2) / n, true, |it| it),
        Op::Skew | Op::Kurtosis => shape(op, &numbers),
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

/// Skewness and kurtosis.
fn shape(op: Op, numbers: &[f64]) -> Wanted {
    let n = numbers.len() as f64;
    match op {
        Op::Skew => {
            let squares = central(numbers, 2) / n;
            let skewness = central(numbers, 3) / n / squares.powf(1.5);
            about(skewness, n >= 3.0 && squares > 0.0, |it| it * (n * (n - 1.0)).sqrt() / (n - 2.0))
        }
        Op::Kurtosis => {
            let squares = central(numbers, 2) / n;
            let excess = central(numbers, 4) / n / squares.powi(2) - 3.0;
            about(excess, n >= 4.0 && squares > 0.0, |it| {
                ((n + 1.0) * it + 6.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0))
            })
        }
        other => panic!("{other} is neither"),
    }
}

/// Those that give a list.
fn several(op: Op, events: &[Counted], numbers: &[f64]) -> Wanted {
    match op {
        Op::FirstK(k) => list(events.iter().take(k.into())),
        Op::LastK(k) => list(events[events.len().saturating_sub(k.into())..].iter()),
        Op::FirstDistinct(k) => list(once_each(events.iter()).into_iter().take(k.into())),
        Op::LastDistinct(k) => {
            let mut last = once_each(events.iter().rev());
            last.truncate(k.into());
            list(last.into_iter().rev())
        }
        Op::Top(k) => list(sorted(events).into_iter().rev().take(k.into())),
        Op::Bottom(k) => list(sorted(events).into_iter().take(k.into())),
        Op::Frequent(k) => {
            let counts = counts(events);
            let mut once = sorted(events);
            once.dedup_by(|a, b| a.value == b.value);
            once.sort_by_key(|event| std::cmp::Reverse(counts[&event.value.to_string()]));
            list(once.into_iter().take(k.into()))
        }
        Op::Histogram => {
            let mut bins = [0; EDGES.len() + 1];
            numbers.iter().for_each(|x| bins[EDGES.iter().filter(|edge| *edge <= x).count()] += 1);
            Wanted::Exactly(Value::List(bins.map(Value::Int64).into()))
        }
        other => panic!("{other} gives one value"),
    }
}

/// The values of `op` by the text of each event's bucket.
pub(crate) fn by_text(op: Op, events: &[(String, Counted)], at: i64) -> Wanted {
    if events.is_empty() && !matches!(op, Op::Count | Op::Distinct | Op::ApproxDistinct) {
        return NULL;
    }
    let mut groups: BTreeMap<String, Vec<Counted>> = BTreeMap::new();
    for (text, event) in events {
        groups.entry(text.clone()).or_default().push(event.clone());
    }
    Wanted::ByText(groups.into_iter().map(|(text, events)| (text, value(op, &events, at))).collect())
}

fn list<'a>(events: impl Iterator<Item = &'a Counted>) -> Wanted {
    Wanted::Exactly(Value::List(events.map(|event| event.value.clone()).collect()))
}

/// The first event of each value.
fn once_each<'a>(events: impl Iterator<Item = &'a Counted>) -> Vec<&'a Counted> {
    let mut once: Vec<&Counted> = Vec::new();
    for event in events {
        if once.iter().all(|other| other.value != event.value) {
            once.push(event);
        }
    }
    once
}

fn sorted(events: &[Counted]) -> Vec<&Counted> {
    let mut sorted: Vec<&Counted> = events.iter().collect();
    sorted.sort_by(|a, b| order(&a.value, &b.value));
    sorted
}

fn mean_list(events: &[Counted]) -> Vec<f64> {
    let lists: Vec<&[Value]> = events.iter().filter_map(|event| event.value.as_list()).collect();
    let longest = lists.iter().map(|list| list.len()).max().unwrap_or(0);
    let place = |i: usize| lists.iter().filter_map(|list| list.get(i)?.as_f64()).sum::<f64>();
    (0..longest).map(|i| place(i) / lists.len() as f64).collect()
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
