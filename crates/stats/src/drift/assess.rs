//! The verdict over all columns.

use perennial_types::{Kind, Rounded};
use serde::{Deserialize, Serialize};

use super::{ColumnDrift, Effect};
use crate::discovery::benjamini_hochberg;

/// When a column alarms: a test is significant after correction for all tests of all columns, and its effect is
/// large enough to matter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// False discovery rate over all tests (Benjamini-Hochberg): also the probability of any alarm where nothing
    /// has moved.
    pub alpha: f64,
    /// Smallest Wasserstein distance that matters, in standard deviations of the reference.
    pub min_wasserstein_sd: f64,
    /// Smallest Jensen-Shannon distance that matters.
    pub min_js: f64,
    /// Smallest change of the share of missing values that matters.
    pub min_missing_change: f64,
}

impl Default for Rule {
    fn default() -> Self {
        Self { alpha: 0.01, min_wasserstein_sd: 0.1, min_js: 0.05, min_missing_change: 0.05 }
    }
}

/// A rule that decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// The false discovery rate is not between 0 and 1.
    #[error("alpha {0} is not between 0 and 1; 0.01 lets one of a hundred reports of unmoved columns alarm")]
    Alpha(f64),
    /// A smallest effect that is negative or no number.
    #[error("{name} {value} is not a number from 0 up")]
    Smallest {
        /// Which.
        name: &'static str,
        /// Its value.
        value: f64,
    },
}

impl RuleError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Alpha(_) | Self::Smallest { .. } => Kind::Invalid,
        }
    }
}

/// All columns, judged together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// Each column, in the order given.
    pub columns: Vec<Assessed>,
    /// Part of the columns that alarm, from 0 to 1; 0 without columns.
    pub share: f64,
    /// The same with each column counted by its weight; 0 if nothing has a weight.
    pub weighted_share: f64,
    /// The column with the largest effect in multiples of the smallest that matters; alarmed ones go first.
    pub worst: Option<String>,
    /// That column's largest effect in its own unit (standard deviations, Jensen-Shannon distance, or change of the
    /// share of missing values); 0 without columns.
    pub max_effect: f64,
    /// Whether any column alarms.
    pub alarmed: bool,
}

/// One column, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessed {
    /// Its name.
    pub name: String,
    /// How it has moved.
    pub drift: ColumnDrift,
    /// Its weight.
    pub weight: f64,
    /// The smallest adjusted p-value of its tests.
    pub p_adjusted: f64,
    /// Whether it alarms.
    pub alarmed: bool,
    /// Why, or why not: a sentence with its numbers.
    pub reason: String,
}

/// Judges all columns, given as name, difference and weight (its importance; what is not a number above zero
/// counts as zero).
///
/// Every test of every column (values, missing values, new categories) is one hypothesis of the correction.
///
/// # Errors
/// When a figure of the rule is out of range.
pub fn assess(columns: &[(String, ColumnDrift, f64)], rule: Rule) -> Result<Assessment, RuleError> {
    rule.check()?;
    let tests: Vec<Vec<Test>> = columns.iter().map(|(_, drift, _)| tests(drift, rule)).collect();
    let p_values: Vec<f64> = tests.iter().flatten().map(|test| test.p_value).collect();
    let mut adjusted = benjamini_hochberg(&p_values).into_iter();
    let mut assessed = Vec::with_capacity(columns.len());
    let mut worst: Option<(&Test, bool, &str)> = None;
    for ((name, drift, weight), tests) in columns.iter().zip(&tests) {
        let judged: Vec<(&Test, f64)> = tests.iter().zip(adjusted.by_ref()).collect();
        let column = judge(name, drift, *weight, &judged, rule);
        let largest = tests.iter().max_by(|a, b| a.multiple().total_cmp(&b.multiple()));
        let key = |test: &Test, alarmed| (alarmed, test.multiple());
        if let Some(test) = largest
            && worst.is_none_or(|(other, alarmed, _)| key(test, column.alarmed) > key(other, alarmed))
        {
            worst = Some((test, column.alarmed, name));
        }
        assessed.push(column);
    }
    let part = |weight: &dyn Fn(&Assessed) -> f64| {
        let all: f64 = assessed.iter().map(weight).sum();
        let alarmed: f64 = assessed.iter().filter(|column| column.alarmed).map(weight).sum();
        if all > 0.0 { alarmed / all } else { 0.0 }
    };
    Ok(Assessment {
        share: part(&|_| 1.0),
        weighted_share: part(&|column| column.weight),
        worst: worst.map(|(_, _, name)| name.to_owned()),
        max_effect: worst.map_or(0.0, |(test, _, _)| test.effect),
        alarmed: assessed.iter().any(|column| column.alarmed),
        columns: assessed,
    })
}

impl Rule {
    fn check(self) -> Result<(), RuleError> {
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(RuleError::Alpha(self.alpha));
        }
        let smallest = [
            ("min_wasserstein_sd", self.min_wasserstein_sd),
            ("min_js", self.min_js),
            ("min_missing_change", self.min_missing_change),
        ];
        for (name, value) in smallest {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(RuleError::Smallest { name, value });
            }
        }
        Ok(())
    }
}

/// One hypothesis about a column.
struct Test {
    p_value: f64,
    effect: f64,
    smallest: f64,
    /// What moved and by how much.
    finding: String,
}

impl Test {
    /// The effect in multiples of the smallest that matters; where every effect matters, the effect itself.
    fn multiple(&self) -> f64 {
        if self.smallest > 0.0 { self.effect / self.smallest } else { self.effect }
    }

    fn matters(&self) -> bool {
        self.effect >= self.smallest
    }
}

fn tests(drift: &ColumnDrift, rule: Rule) -> Vec<Test> {
    let mut tests = Vec::new();
    let missing = drift.missing;
    // Where nothing or everything is missing there is no hypothesis, and none to correct for.
    if missing.reference != missing.current || (missing.current > 0.0 && missing.current < 1.0) {
        tests.push(Test {
            p_value: missing.p_value,
            effect: (missing.current - missing.reference).abs(),
            smallest: rule.min_missing_change,
            finding: format!(
                "missing values went from {:.1} % to {:.1} %",
                100.0 * missing.reference,
                100.0 * missing.current
            ),
        });
    }
    if let Some(values) = drift.values {
        let (effect, smallest, finding) = match values.effect {
            Effect::WassersteinSd(sd) => {
                (sd, rule.min_wasserstein_sd, format!("values moved by {} standard deviations", Rounded(sd)))
            }
            Effect::Js(js) => {
                (js, rule.min_js, format!("shares moved by a Jensen-Shannon distance of {}", Rounded(js)))
            }
        };
        tests.push(Test { p_value: values.p_value, effect, smallest, finding });
        if let Some(new) = &drift.new {
            let named: Vec<String> = new.names.iter().take(3).map(|name| format!("{name:?}")).collect();
            let more = new.count - named.len() as u64;
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let finding =
                format!("new categories {}{more} in {:.1} % of values", named.join(", "), 100.0 * new.share);
            tests.push(Test { p_value: new.p_value, effect, smallest, finding });
        }
    }
    tests
}

fn judge(name: &str, drift: &ColumnDrift, weight: f64, tests: &[(&Test, f64)], rule: Rule) -> Assessed {
    let p_adjusted = tests.iter().map(|(_, adjusted)| *adjusted).fold(1.0, f64::min);
    let significant: Vec<_> = tests.iter().filter(|(_, adjusted)| *adjusted <= rule.alpha).collect();
    let findings: Vec<String> = significant
        .iter()
        .filter(|(test, _)| test.matters())
        .map(|(test, adjusted)| format!("{} (adjusted p {})", test.finding, Rounded(*adjusted)))
        .collect();
    let alarmed = !findings.is_empty();
    let reason = if alarmed {
        findings.join("; ")
    } else if let Some((test, adjusted)) = significant.first() {
        let small = test.smallest;
        format!(
            "{} (adjusted p {}), which is below the {small} that matters",
            test.finding,
            Rounded(*adjusted)
        )
    } else {
        format!(
            "no difference is proven: smallest adjusted p {}, alarm at {}",
            Rounded(p_adjusted),
            rule.alpha
        )
    };
    let weight = if weight > 0.0 && weight.is_finite() { weight } else { 0.0 };
    Assessed { name: name.to_owned(), drift: drift.clone(), weight, p_adjusted, alarmed, reason }
}

#[cfg(test)]
mod tests {
    use super::super::{Method, MissingDrift, NewCategories, ValuesDrift};
    use super::*;

    fn column(name: &str, p_value: f64, effect: Effect, weight: f64) -> (String, ColumnDrift, f64) {
        let method = match effect {
            Effect::WassersteinSd(_) => Method::Ks,
            Effect::Js(_) => Method::ChiSquare,
        };
        let values = Some(ValuesDrift { method, statistic: 0.3, p_value, effect });
        let missing = MissingDrift { reference: 0.0, current: 0.0, p_value: 1.0 };
        (name.to_owned(), ColumnDrift { values, missing, new: None }, weight)
    }

    #[test]
    fn significance_and_size_are_both_needed() {
        let columns = [
            column("moved", 1e-9, Effect::WassersteinSd(0.5), 3.0),
            column("tiny", 1e-9, Effect::WassersteinSd(0.04), 0.0),
            column("noisy", 0.2, Effect::Js(0.4), 1.0),
            column("still", 0.9, Effect::Js(0.01), f64::NAN),
        ];
        let told = assess(&columns, Rule::default()).unwrap();
        let alarmed: Vec<bool> = told.columns.iter().map(|column| column.alarmed).collect();
        assert_eq!(alarmed, [true, false, false, false]);
        assert_eq!((told.share, told.weighted_share, told.alarmed), (0.25, 0.75, true));
        // The noisy column has a larger effect, but nothing is proven of it.
        assert_eq!((told.worst.as_deref(), told.max_effect), (Some("moved"), 0.5));
        let reasons: Vec<&str> = told.columns.iter().map(|column| column.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "values moved by 0.5 standard deviations (adjusted p < 0.0001)",
                "values moved by 0.04 standard deviations (adjusted p < 0.0001), which is below the 0.1 that matters",
                "no difference is proven: smallest adjusted p 0.2667, alarm at 0.01",
                "no difference is proven: smallest adjusted p 0.9, alarm at 0.01",
            ]
        );
    }

    #[test]
    fn missing_values_and_new_categories_alarm_on_their_own() {
        let (name, mut drift, weight) = column("city", 0.4, Effect::Js(0.16), 1.0);
        drift.missing = MissingDrift { reference: 0.0, current: 0.6, p_value: 0.0 };
        let names = ["x", "y", "z", "w"].map(str::to_owned).to_vec();
        drift.new = Some(NewCategories { names, count: 12, share: 0.05, p_value: 2e-6 });
        let told = assess(&[(name, drift, weight)], Rule::default()).unwrap();
        assert_eq!(
            told.columns[0].reason,
            "missing values went from 0.0 % to 60.0 % (adjusted p 0); \
             new categories \"x\", \"y\", \"z\" and 9 more in 5.0 % of values (adjusted p < 0.0001)"
        );
        assert_eq!((told.columns[0].p_adjusted, told.max_effect), (0.0, 0.6));
    }

    #[test]
    fn no_columns_are_no_alarm() {
        let told = assess(&[], Rule::default()).unwrap();
        assert_eq!((told.share, told.weighted_share, told.worst, told.max_effect), (0.0, 0.0, None, 0.0));
        assert!(!told.alarmed && told.columns.is_empty());
    }

    #[test]
    fn rules_that_decide_nothing_are_refused() {
        assert_eq!(assess(&[], Rule { alpha: 0.0, ..Rule::default() }), Err(RuleError::Alpha(0.0)));
        let error = assess(&[], Rule { min_js: -0.1, ..Rule::default() }).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.kind()),
            ("min_js -0.1 is not a number from 0 up", Kind::Invalid)
        );
    }

    #[test]
    fn an_assessment_is_read_as_it_was_written() {
        let columns =
            [column("a", 1e-9, Effect::WassersteinSd(0.5), 3.0), column("b", 0.5, Effect::Js(0.4), 1.0)];
        let told = assess(&columns, Rule::default()).unwrap();
        let written = serde_json::to_string(&told).unwrap();
        assert_eq!(serde_json::from_str::<Assessment>(&written).unwrap(), told);
    }
}
