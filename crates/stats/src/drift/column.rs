//! One column in two windows.

use std::collections::{BTreeMap, BTreeSet};

use perennial_types::Kind;
use serde::{Deserialize, Serialize};

use super::Sample;
use crate::Moments;
use crate::contingency::{chi_square, jensen_shannon, shares_p};
use crate::ks::distances;

/// New categories that are named; of more only the number is told.
const NAMED: usize = 10;

/// How one column has moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDrift {
    /// The values that are there; nothing if either window has none.
    pub values: Option<ValuesDrift>,
    /// The values that are not there.
    pub missing: MissingDrift,
    /// Categories that the reference does not have; nothing if there are none.
    pub new: Option<NewCategories>,
}

/// How the distribution of the values has moved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValuesDrift {
    /// The test.
    pub method: Method,
    /// Its statistic.
    pub statistic: f64,
    /// Probability of a statistic at least as large if nothing has moved.
    pub p_value: f64,
    /// How large the difference is, whatever the number of rows.
    pub effect: Effect,
}

/// A test of two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Kolmogorov and Smirnov's, for numbers.
    Ks,
    /// Pearson's chi-square, for categories; rare ones are taken together.
    ChiSquare,
}

/// The size of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The Wasserstein-1 distance in standard deviations of the reference: by how many of them the values have
    /// moved on average. Of both windows together if all values of the reference are equal.
    WassersteinSd(f64),
    /// The Jensen-Shannon distance to base 2, from 0 to 1.
    Js(f64),
}

/// How the share of missing values has moved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissingDrift {
    /// Their share in the reference; 0 without rows.
    pub reference: f64,
    /// Their share in the current window; 0 without rows.
    pub current: f64,
    /// Probability of a difference at least as large if the shares are equal.
    pub p_value: f64,
}

/// Categories that only the current window has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewCategories {
    /// The most frequent ones, at most ten.
    pub names: Vec<String>,
    /// How many there are.
    pub count: u64,
    /// The share of the current values that they have.
    pub share: f64,
    /// Probability that chance alone keeps some category as frequent as the largest of these out of the reference.
    pub p_value: f64,
}

/// Samples that cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriftError {
    /// One is numeric, the other categorical.
    #[error("the reference is {reference} and the current window {current}; both must be of one type")]
    Types {
        /// The reference's type.
        reference: &'static str,
        /// The current window's type.
        current: &'static str,
    },
}

impl DriftError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Types { .. } => Kind::Invalid,
        }
    }
}

/// Compares a column's values in two windows.
///
/// # Errors
/// When one sample is numeric and the other categorical.
pub fn compare(reference: &Sample, current: &Sample) -> Result<ColumnDrift, DriftError> {
    let (values, new) = match (reference, current) {
        (Sample::Numeric { values: before, .. }, Sample::Numeric { values: after, .. }) => {
            (numeric(before.as_slice(), after.as_slice()), None)
        }
        (Sample::Categorical { counts: before, .. }, Sample::Categorical { counts: after, .. }) => {
            (categorical(before, after), new_categories(before, after))
        }
        (Sample::Numeric { .. }, Sample::Categorical { .. })
        | (Sample::Categorical { .. }, Sample::Numeric { .. }) => {
            return Err(DriftError::Types { reference: reference.type_name(), current: current.type_name() });
        }
    };
    Ok(ColumnDrift { values, missing: missing(reference, current), new })
}

fn numeric(reference: &[f64], current: &[f64]) -> Option<ValuesDrift> {
    let apart = distances(reference, current)?;
    Some(ValuesDrift {
        method: Method::Ks,
        statistic: apart.ks,
        p_value: apart.p_value,
        effect: Effect::WassersteinSd(in_deviations(apart.wasserstein, reference, current)),
    })
}

fn in_deviations(wasserstein: f64, reference: &[f64], current: &[f64]) -> f64 {
    if wasserstein == 0.0 {
        return 0.0;
    }
    // In parts of the largest number, so that squares of very large and very small numbers can be written too.
    let ends = [reference.first(), reference.last(), current.first(), current.last()];
    let largest = ends.into_iter().flatten().fold(0.0_f64, |largest, end| largest.max(end.abs()));
    let moments = |values: &[f64]| {
        let mut moments = Moments::default();
        values.iter().for_each(|value| moments.push(value / largest));
        moments
    };
    let mut scale = moments(reference);
    // A reference that never varies has no scale of its own.
    if scale.m2 == 0.0 {
        scale.merge(&moments(current));
    }
    let sd = (scale.m2 / scale.n as f64).sqrt();
    (wasserstein / largest / sd).min(f64::MAX)
}

fn categorical(reference: &BTreeMap<String, u64>, current: &BTreeMap<String, u64>) -> Option<ValuesDrift> {
    let (before, after) = (total(reference), total(current));
    if before == 0 || after == 0 {
        return None;
    }
    let pairs = pairs(reference, current);
    let test = chi_square(&pairs);
    let shares: Vec<_> =
        pairs.iter().map(|&(a, b)| (a as f64 / before as f64, b as f64 / after as f64)).collect();
    Some(ValuesDrift {
        method: Method::ChiSquare,
        statistic: test.statistic,
        p_value: test.p_value,
        effect: Effect::Js(jensen_shannon(&shares)),
    })
}

fn total(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().sum()
}

/// Counts of every category in both, in the order of the names.
fn pairs(reference: &BTreeMap<String, u64>, current: &BTreeMap<String, u64>) -> Vec<(u64, u64)> {
    let names: BTreeSet<&String> = reference.keys().chain(current.keys()).collect();
    let count = |counts: &BTreeMap<String, u64>, name| counts.get(name).copied().unwrap_or(0);
    names.into_iter().map(|name| (count(reference, name), count(current, name))).collect()
}

/// If both windows are a random split of all rows, a category of `c` rows keeps out of the reference with
/// probability `Π (m − t) / (n + m − t)` over `t < c`. Summed over all categories that are at least as frequent
/// as the largest new one, this bounds the probability that there is such a new one. A column of which every
/// value is new (an id) is therefore no finding, and a frequent new value is.
fn new_categories(
    reference: &BTreeMap<String, u64>,
    current: &BTreeMap<String, u64>,
) -> Option<NewCategories> {
    let (before, after) = (total(reference), total(current));
    let is_new = |name: &str| reference.get(name).is_none_or(|count| *count == 0);
    let mut new: Vec<(&String, u64)> = current
        .iter()
        .filter(|(name, count)| **count > 0 && is_new(name))
        .map(|(name, count)| (name, *count))
        .collect();
    new.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let (_, largest) = *new.first()?;
    let counts = pairs(reference, current);
    let sizes = counts.iter().map(|(a, b)| a + b).filter(|size| *size >= largest);
    let p_value = sizes.map(|size| kept_out(size, before, after)).sum::<f64>().min(1.0);
    Some(NewCategories {
        names: new.iter().take(NAMED).map(|(name, _)| (*name).clone()).collect(),
        count: new.len() as u64,
        share: new.iter().map(|(_, count)| *count).sum::<u64>() as f64 / after as f64,
        p_value,
    })
}

/// The probability that none of `size` rows is among the `before` rows of a random split.
fn kept_out(size: u64, before: u64, after: u64) -> f64 {
    if size > after {
        return 0.0;
    }
    let mut probability = 1.0;
    for taken in 0..size {
        probability *= (after - taken) as f64 / (before + after - taken) as f64;
        if probability < 1e-300 {
            return 0.0;
        }
    }
    probability
}

fn missing(reference: &Sample, current: &Sample) -> MissingDrift {
    let share = |sample: &Sample| match sample.rows() {
        0 => 0.0,
        rows => sample.missing() as f64 / rows as f64,
    };
    let counts = |sample: &Sample| (sample.missing(), sample.rows());
    MissingDrift {
        reference: share(reference),
        current: share(current),
        p_value: shares_p(counts(reference), counts(current)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(values: &[f64]) -> Sample {
        Sample::numeric(values.iter().map(|value| Some(*value)))
    }

    fn texts(counts: &[(&str, usize)]) -> Sample {
        Sample::categorical(counts.iter().flat_map(|(name, count)| std::iter::repeat_n(Some(*name), *count)))
    }

    fn effect(reference: &Sample, current: &Sample) -> Effect {
        compare(reference, current).unwrap().values.unwrap().effect
    }

    #[test]
    fn types_must_agree() {
        let error = compare(&numbers(&[1.0]), &texts(&[("a", 1)])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the reference is numeric and the current window categorical; both must be of one type"
        );
    }

    #[test]
    fn windows_without_values_are_compared_by_what_is_missing() {
        let empty = Sample::numeric(vec![None; 40]);
        let full = Sample::numeric((0..40).map(|row| Some(f64::from(row))));
        let drift = compare(&full, &empty).unwrap();
        assert_eq!((drift.values, drift.new), (None, None));
        assert_eq!((drift.missing.reference, drift.missing.current), (0.0, 1.0));
        assert!(drift.missing.p_value < 1e-12);
        let nothing = compare(&Sample::numeric([]), &Sample::numeric([])).unwrap();
        assert_eq!(nothing.missing, MissingDrift { reference: 0.0, current: 0.0, p_value: 1.0 });
    }

    #[test]
    fn a_shift_is_told_in_standard_deviations_of_the_reference() {
        // The population deviation of -2, 0 and 2 is √(8/3).
        let Effect::WassersteinSd(shift) = effect(&numbers(&[-2.0, 0.0, 2.0]), &numbers(&[-1.0, 1.0, 3.0]))
        else {
            panic!("numbers have a Wasserstein distance");
        };
        assert!((shift - 1.0 / (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        // A constant that became another: both together deviate by half a unit.
        assert_eq!(effect(&numbers(&[1.0; 4]), &numbers(&[2.0; 4])), Effect::WassersteinSd(2.0));
        assert_eq!(effect(&numbers(&[1.0; 4]), &numbers(&[1.0; 9])), Effect::WassersteinSd(0.0));
        assert_eq!(effect(&numbers(&[1e200; 4]), &numbers(&[-1e200; 4])), Effect::WassersteinSd(2.0));
        assert_eq!(effect(&numbers(&[-8e307, 8e307]), &numbers(&[8e307])), Effect::WassersteinSd(1.0));
    }

    #[test]
    fn new_categories_are_named_by_frequency() {
        let drift =
            compare(&texts(&[("a", 90), ("b", 10)]), &texts(&[("a", 30), ("x", 3), ("y", 7)])).unwrap();
        let new = drift.new.unwrap();
        assert_eq!((new.names, new.count, new.share), (vec!["y".to_owned(), "x".to_owned()], 2, 0.25));
        // Sizes of at least seven: a (120 rows, impossible), b (10) and y (7), of 140 rows 40 in the window.
        let exact = |size: u32| (0..size).map(|t| f64::from(40 - t) / f64::from(140 - t)).product::<f64>();
        assert!((new.p_value - exact(10) - exact(7)).abs() < 1e-15);
    }

    #[test]
    fn a_column_of_ids_has_new_values_and_no_finding() {
        let ids = |from: u32, to: u32| Sample::categorical((from..to).map(|id| Some(id.to_string())));
        let drift = compare(&ids(0, 500), &ids(500, 600)).unwrap();
        assert_eq!(drift.new.map(|new| (new.count, new.p_value)), Some((100, 1.0)));
        assert_eq!(drift.values.unwrap().p_value, 1.0);
    }

    proptest! {
        #[test]
        fn the_chance_of_staying_out_counts_all_splits(before in 0_u64..8, after in 1_u64..8, size in 1_u64..8) {
            prop_assume!(size <= before + after);
            let choose = |n: u64, k: u64| (0..k).fold(1_u64, |c, i| c * (n - i) / (i + 1)) as f64;
            let exact = if size > after { 0.0 } else { choose(before + after - size, before) / choose(before + after, before) };
            prop_assert!((kept_out(size, before, after) - exact).abs() < 1e-12);
        }

        #[test]
        fn moving_and_stretching_both_windows_changes_nothing(
            before in prop::collection::vec(-50.0..50.0_f64, 2..40),
            after in prop::collection::vec(-50.0..50.0_f64, 1..40),
            by in -100.0..100.0_f64,
            times in 0.5..2.0_f64,
        ) {
            let moved = |values: &[f64]| numbers(&values.iter().map(|value| value * times + by).collect::<Vec<_>>());
            let (here, there) = (effect(&numbers(&before), &numbers(&after)), effect(&moved(&before), &moved(&after)));
            let (Effect::WassersteinSd(here), Effect::WassersteinSd(there)) = (here, there) else {
                panic!("numbers have a Wasserstein distance");
            };
            prop_assert!((here - there).abs() < 1e-6 * (1.0 + here), "{here} {there}");
        }
    }
}
