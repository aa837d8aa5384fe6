//! The comparison of a model's inputs as a report shows it.

use std::collections::BTreeMap;

use perennial_policy::DriftRule;
use perennial_report::{CategoryShare, ColumnKind, ColumnSection, Distribution, DriftSection, EffectName};
use perennial_stats::drift::{Assessed, Effect, Method, Sample};

use crate::measure::{Compared, ComparedColumn};

/// Bins of a histogram, each with as many rows of the reference.
const BINS: usize = 12;
/// Categories that are told apart; the rest is one.
const CATEGORIES: usize = 20;

/// All columns, judged by a rule.
pub(super) fn section(compared: &Compared, rule: DriftRule) -> Result<DriftSection, String> {
    let assessment = compared.assess(rule)?;
    let weights: f64 = assessment.columns.iter().map(|column| column.weight).sum();
    let columns = compared.columns.iter().zip(&assessment.columns);
    let columns: Vec<ColumnSection> =
        columns.map(|(column, judged)| describe(compared, column, judged)).collect();
    Ok(DriftSection {
        method: "Kolmogorov-Smirnov for numbers, chi-square for categories".to_owned(),
        correction: "bh".to_owned(),
        alpha: rule.alpha,
        reference_rows: compared.reference_rows,
        current_rows: compared.current_rows,
        share: assessment.share,
        weighted_share: (weights > 0.0).then_some(assessment.weighted_share),
        max_effect: assessment.worst.is_some().then_some(assessment.max_effect),
        worst: assessment.worst,
        alarmed: assessment.alarmed,
        columns,
    })
}

fn describe(compared: &Compared, column: &ComparedColumn, judged: &Assessed) -> ColumnSection {
    let (reference, current) = (compared.reference(column), &column.current);
    let values = judged.drift.values;
    let (reference_shown, current_shown) = distributions(reference, current);
    let kind = match reference {
        Sample::Numeric { .. } => ColumnKind::Numeric,
        Sample::Categorical { .. } => ColumnKind::Categorical,
    };
    let (test, effect_name) = match kind {
        ColumnKind::Numeric => (Method::Ks, EffectName::WassersteinSd),
        ColumnKind::Categorical => (Method::ChiSquare, EffectName::Js),
    };
    ColumnSection {
        name: judged.name.clone(),
        kind,
        test: match test {
            Method::Ks => "ks".to_owned(),
            Method::ChiSquare => "chi_square".to_owned(),
        },
        statistic: values.map(|values| values.statistic),
        p_value: values.map(|values| values.p_value),
        p_adjusted: Some(judged.p_adjusted),
        effect: values.map(|values| match values.effect {
            Effect::WassersteinSd(size) | Effect::Js(size) => size,
        }),
        effect_name,
        missing_reference: judged.drift.missing.reference,
        missing_current: judged.drift.missing.current,
        new_categories: judged.drift.new.iter().flat_map(|new| new.names.clone()).collect(),
        alarmed: judged.alarmed,
        reason: judged.reason.clone(),
        reference: reference_shown,
        current: current_shown,
    }
}

/// Both samples over the same bins or names.
fn distributions(reference: &Sample, current: &Sample) -> (Distribution, Distribution) {
    match (reference, current) {
        (Sample::Numeric { values: before, .. }, Sample::Numeric { values: after, .. }) => {
            let edges = edges(before.as_slice(), after.as_slice());
            let shown = |sample: &[f64]| Distribution::Histogram {
                edges: edges.clone(),
                shares: shares_in(&edges, sample),
            };
            (shown(before.as_slice()), shown(after.as_slice()))
        }
        (Sample::Categorical { counts: before, .. }, Sample::Categorical { counts: after, .. }) => {
            let names = names(before, after);
            (categories(&names, before), categories(&names, after))
        }
        (Sample::Numeric { .. }, Sample::Categorical { .. })
        | (Sample::Categorical { .. }, Sample::Numeric { .. }) => {
            let nothing = || Distribution::Categories { categories: Vec::new() };
            (nothing(), nothing())
        }
    }
}

/// Quantiles of the reference, widened to hold both samples; strictly increasing. Sorted samples.
fn edges(reference: &[f64], current: &[f64]) -> Vec<f64> {
    let of = if reference.is_empty() { current } else { reference };
    let quantile = |bin: usize| of[(of.len() - 1) * bin / BINS];
    let mut edges: Vec<f64> = if of.is_empty() { Vec::new() } else { (0..=BINS).map(quantile).collect() };
    edges.extend(current.first());
    edges.extend(current.last());
    edges.sort_unstable_by(f64::total_cmp);
    // Zeros of both signs are one edge.
    edges.dedup_by(|a, b| a == b);
    match edges.as_slice() {
        [] => vec![0.0, 1.0],
        [only] => {
            let half = (only.abs() * 0.05).max(0.5);
            vec![only - half, only + half]
        }
        [_, ..] => edges,
    }
}

/// The share of a sorted sample in each bin; a bin holds its lower edge, the last one both.
fn shares_in(edges: &[f64], sample: &[f64]) -> Vec<f64> {
    let bins = edges.len() - 1;
    let below = |edge: f64| sample.partition_point(|value| *value < edge);
    let counts = (0..bins).map(|bin| {
        let from = below(edges[bin]);
        let to = if bin + 1 == bins { sample.len() } else { below(edges[bin + 1]) };
        to.saturating_sub(from)
    });
    let rows = sample.len().max(1) as f64;
    counts.map(|count| count as f64 / rows).collect()
}

/// The names that are told apart, most frequent of both samples first.
fn names(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Vec<String> {
    let share = |counts: &BTreeMap<String, u64>, name: &str| {
        let all: u64 = counts.values().sum();
        counts.get(name).copied().unwrap_or(0) as f64 / all.max(1) as f64
    };
    let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    names.sort_unstable();
    names.dedup();
    let weight = |name: &str| share(before, name).max(share(after, name));
    names.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    names.truncate(CATEGORIES);
    names
}

fn categories(names: &[String], counts: &BTreeMap<String, u64>) -> Distribution {
    let all = counts.values().sum::<u64>().max(1) as f64;
    let count = |name: &String| counts.get(name).copied().unwrap_or(0);
    let mut categories: Vec<CategoryShare> = names
        .iter()
        .filter(|name| count(name) > 0)
        .map(|name| CategoryShare { name: name.clone(), share: count(name) as f64 / all })
        .collect();
    categories.sort_by(|a, b| b.share.total_cmp(&a.share));
    let told: u64 = names.iter().map(count).sum();
    let rest = counts.values().sum::<u64>() - told;
    if rest > 0 {
        categories.push(CategoryShare { name: "(others)".to_owned(), share: rest as f64 / all });
    }
    Distribution::Categories { categories }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(distribution: &Distribution) -> Vec<f64> {
        match distribution {
            Distribution::Histogram { edges, shares } => {
                assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{edges:?}");
                assert_eq!(edges.len(), shares.len() + 1);
                shares.clone()
            }
            Distribution::Categories { categories } => categories.iter().map(|one| one.share).collect(),
        }
    }

    #[test]
    fn every_value_lies_in_one_bin_whatever_the_samples() {
        let samples: [&[f64]; 5] =
            [&[], &[3.0], &[0.0, -0.0, 1.0], &[1.0, 1.0, 1.0, 9.0], &[-5.0, 2.0, 2.5, 700.0]];
        for reference in samples {
            for current in samples {
                let sample = |values: &[f64]| Sample::numeric(values.iter().copied().map(Some));
                let (before, after) = distributions(&sample(reference), &sample(current));
                for (shown, values) in [(before, reference), (after, current)] {
                    let sum: f64 = shares(&shown).iter().sum();
                    let expected = if values.is_empty() { 0.0 } else { 1.0 };
                    assert!((sum - expected).abs() < 1e-12, "{reference:?} {current:?}: {sum}");
                }
            }
        }
    }

    #[test]
    fn bins_hold_equal_shares_of_the_reference() {
        let reference = Sample::numeric((0..1_201).map(|i| Some(f64::from(i).powi(2))));
        let (shown, _) = distributions(&reference, &reference);
        for share in shares(&shown) {
            assert!((share - 1.0 / BINS as f64).abs() < 1e-3, "{share}");
        }
    }

    #[test]
    fn rare_categories_are_told_as_one() {
        let before = Sample::categorical((0..50).map(|i| Some(format!("c{i}"))));
        let after = Sample::categorical([Some("new"), Some("new"), Some("c1"), None]);
        let (before, after) = distributions(&before, &after);
        assert_eq!(shares(&before).len(), CATEGORIES);
        for shown in [before, after] {
            assert!((shares(&shown).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}
