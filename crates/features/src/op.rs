//! The aggregations: their words, parameters and types.

use std::fmt;

use perennial_types::{DataType, Element, TimeSpan};
use serde::{Deserialize, Serialize};

/// An aggregation over the values of a window. Values that are NULL or not finite are left out.
///
/// Every one is a mergeable state (see the crate's documentation for which are exact); without values all
/// but the counts are NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Number of events, or of those whose value is not NULL.
    Count,
    /// Sum of values.
    Sum,
    /// Mean of values; of lists of doubles the list of the means place by place, where a list that is shorter
    /// than others counts as if zeros followed.
    Avg,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Standard deviation of a sample (n − 1), NULL below two values.
    Stddev,
    /// Standard deviation of a population (n).
    StddevPop,
    /// Variance of a sample (n − 1), NULL below two values.
    Variance,
    /// Variance of a population (n).
    VariancePop,
    /// Skewness of a sample, G1 = g1 √(n(n − 1)) / (n − 2), NULL below three values or where all are equal.
    Skew,
    /// Excess kurtosis of a sample, G2 = ((n + 1) g2 + 6) (n − 1) / ((n − 2)(n − 3)), NULL below four values
    /// or where all are equal.
    Kurtosis,
    /// The value with the smallest event time; of equal ones the first to arrive.
    First,
    /// The value with the largest event time; of equal ones the last to arrive.
    Last,
    /// So many first values, in order of event time.
    FirstK(u16),
    /// So many last values, in order of event time.
    LastK(u16),
    /// So many values that were first to come, each once, in order of their first event.
    FirstDistinct(u16),
    /// So many values that were last to come, each once, in order of their last event.
    LastDistinct(u16),
    /// So many largest values, the largest first.
    Top(u16),
    /// So many smallest values, the smallest first.
    Bottom(u16),
    /// So many most frequent values, the most frequent first: exact up to 64 different values, or eight times as
    /// many as are asked for; beyond, one that is more frequent than one in as many is never missed.
    Frequent(u16),
    /// Number of values below the first edge, between each two (the lower one included), and from the last.
    Histogram,
    /// Seconds from the last event to the read.
    SinceLast,
    /// Number of different values, exact: it keeps them all.
    Distinct,
    /// Number of different values by HyperLogLog: exact up to 512, then with a standard error of 1.6 %.
    ApproxDistinct,
    /// A value whose rank is this share of the values, within 1 % of the value of that rank.
    Quantile(Rank),
    /// Covariance of two columns of a sample (n − 1), NULL below two pairs.
    Covariance,
    /// Covariance of two columns of a population (n).
    CovariancePop,
    /// Pearson's correlation of two columns, NULL where one is constant.
    Correlation,
    /// Sum of values, each halved for every such time between its event and the read; without values, the
    /// number of events, so weighted.
    DecayedSum(TimeSpan),
    /// [`Op::DecayedSum`] per second: where events come evenly, their rate, or that of their values.
    DecayedRate(TimeSpan),
}

/// A rank between 0 and 1, in steps of 0.0001.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rank(u16);

impl Rank {
    /// From a share between 0 and 1 with at most four decimals.
    pub fn new(share: f64) -> Option<Self> {
        let steps = (share * 1e4).round();
        let exact = (0.0..=1e4).contains(&steps) && (share * 1e4 - steps).abs() < 1e-6;
        exact.then_some(Self(steps as u16))
    }

    /// The share.
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1e4
    }
}

/// What an op with a parameter is made from.
#[derive(Clone, Copy, Debug)]
pub enum Parameter {
    /// How many values: `{last: 5}`.
    Count(fn(u16) -> Op),
    /// A share between 0 and 1: `{quantile: 0.95}`.
    Rank(fn(Rank) -> Op),
    /// A half-life: `{decayed_sum: 1h}`.
    Span(fn(TimeSpan) -> Op),
}

/// How an op treats the values that `of` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Events, with values or without.
    Events,
    /// Events, or numbers.
    EventsOrNumbers,
    /// Numbers.
    Numbers,
    /// Values of any type but lists and maps.
    Values,
    /// Pairs of numbers.
    Pairs,
}

impl Op {
    /// The most values that an op may ask for.
    pub const MOST_VALUES: u16 = 1000;

    /// The ops without a parameter.
    pub const PLAIN: [Self; 20] = [
        Self::Count,
        Self::Sum,
        Self::Avg,
        Self::Min,
        Self::Max,
        Self::Stddev,
        Self::StddevPop,
        Self::Variance,
        Self::VariancePop,
        Self::Skew,
        Self::Kurtosis,
        Self::First,
        Self::Last,
        Self::SinceLast,
        Self::Histogram,
        Self::Distinct,
        Self::ApproxDistinct,
        Self::Covariance,
        Self::CovariancePop,
        Self::Correlation,
    ];

    /// The ops with a parameter, by their words.
    pub const PARAMETRISED: [(&str, Parameter); 10] = [
        ("first", Parameter::Count(Self::FirstK)),
        ("last", Parameter::Count(Self::LastK)),
        ("first_distinct", Parameter::Count(Self::FirstDistinct)),
        ("last_distinct", Parameter::Count(Self::LastDistinct)),
        ("top", Parameter::Count(Self::Top)),
        ("bottom", Parameter::Count(Self::Bottom)),
        ("frequent", Parameter::Count(Self::Frequent)),
        ("quantile", Parameter::Rank(Self::Quantile)),
        ("decayed_sum", Parameter::Span(Self::DecayedSum)),
        ("decayed_rate", Parameter::Span(Self::DecayedRate)),
    ];

    /// The word in declarations.
    pub fn word(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Stddev => "stddev",
            Self::StddevPop => "stddev_pop",
            Self::Variance => "variance",
            Self::VariancePop => "variance_pop",
            Self::Skew => "skew",
            Self::Kurtosis => "kurtosis",
            Self::First | Self::FirstK(_) => "first",
            Self::Last | Self::LastK(_) => "last",
            Self::FirstDistinct(_) => "first_distinct",
            Self::LastDistinct(_) => "last_distinct",
            Self::Top(_) => "top",
            Self::Bottom(_) => "bottom",
            Self::Frequent(_) => "frequent",
            Self::Histogram => "histogram",
            Self::SinceLast => "since_last",
            Self::Distinct => "distinct",
            Self::ApproxDistinct => "approx_distinct",
            Self::Quantile(_) => "quantile",
            Self::Covariance => "covariance",
            Self::CovariancePop => "covariance_pop",
            Self::Correlation => "correlation",
            Self::DecayedSum(_) => "decayed_sum",
            Self::DecayedRate(_) => "decayed_rate",
        }
    }

    pub(crate) fn takes(self) -> Takes {
        match self {
            Self::Count | Self::SinceLast => Takes::Events,
            Self::DecayedSum(_) | Self::DecayedRate(_) => Takes::EventsOrNumbers,
            Self::Sum
            | Self::Avg
            | Self::Stddev
            | Self::StddevPop
            | Self::Variance
            | Self::VariancePop
            | Self::Skew
            | Self::Kurtosis
            | Self::Histogram
            | Self::Quantile(_) => Takes::Numbers,
            Self::Min
            | Self::Max
            | Self::First
            | Self::Last
            | Self::FirstK(_)
            | Self::LastK(_)
            | Self::FirstDistinct(_)
            | Self::LastDistinct(_)
            | Self::Top(_)
            | Self::Bottom(_)
            | Self::Frequent(_)
            | Self::Distinct
            | Self::ApproxDistinct => Takes::Values,
            Self::Covariance | Self::CovariancePop | Self::Correlation => Takes::Pairs,
        }
    }

    /// The type over values of a type, if there is one.
    pub(crate) fn output_type(self, of: DataType) -> Option<DataType> {
        let takes = match self.takes() {
            _ if self == Self::Avg && of == DataType::List(Element::Double) => return Some(of),
            Takes::Events => true,
            // Without values a lane is one of integers.
            Takes::EventsOrNumbers | Takes::Numbers | Takes::Pairs => of.numeric(),
            Takes::Values => Element::new(of).is_some(),
        };
        takes.then_some(match self {
            Self::Count | Self::Distinct | Self::ApproxDistinct => DataType::Int64,
            Self::Sum | Self::Min | Self::Max | Self::First | Self::Last => of,
            Self::FirstK(_)
            | Self::LastK(_)
            | Self::FirstDistinct(_)
            | Self::LastDistinct(_)
            | Self::Top(_)
            | Self::Bottom(_)
            | Self::Frequent(_) => DataType::List(Element::new(of)?),
            Self::Histogram => DataType::List(Element::Int64),
            Self::Avg
            | Self::Stddev
            | Self::StddevPop
            | Self::Variance
            | Self::VariancePop
            | Self::Skew
            | Self::Kurtosis
            | Self::SinceLast
            | Self::Quantile(_)
            | Self::Covariance
            | Self::CovariancePop
            | Self::Correlation
            | Self::DecayedSum(_)
            | Self::DecayedRate(_) => DataType::Double,
        })
    }

    /// Whether it is 0 where others are NULL: without values.
    pub(crate) fn counts(self) -> bool {
        matches!(self, Self::Count | Self::Distinct | Self::ApproxDistinct)
    }
}

impl fmt::Display for Op {
    /// The name in features: `avg`, `p95`, `p99_9`, `decayed_sum_1h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantile(rank) => match (rank.0 / 100, rank.0 % 100) {
                (percent, 0) => write!(f, "p{percent}"),
                (percent, rest) if rest % 10 == 0 => write!(f, "p{percent}_{}", rest / 10),
                (percent, rest) => write!(f, "p{percent}_{rest:02}"),
            },
            Self::FirstK(k)
            | Self::LastK(k)
            | Self::FirstDistinct(k)
            | Self::LastDistinct(k)
            | Self::Top(k)
            | Self::Bottom(k)
            | Self::Frequent(k) => write!(f, "{}_{k}", self.word()),
            Self::DecayedSum(span) | Self::DecayedRate(span) => write!(f, "{}_{span}", self.word()),
            plain => f.write_str(plain.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_have_four_decimals_and_short_names() {
        let name = |share: f64| Rank::new(share).map(|rank| Op::Quantile(rank).to_string());
        assert_eq!(name(0.5).as_deref(), Some("p50"));
        assert_eq!(name(0.95).as_deref(), Some("p95"));
        assert_eq!(name(0.999).as_deref(), Some("p99_9"));
        assert_eq!(name(0.9905).as_deref(), Some("p99_05"));
        assert_eq!(name(1.0).as_deref(), Some("p100"));
        assert_eq!((name(1.01), name(-0.1), name(0.123_45), name(f64::NAN)), (None, None, None, None));
    }

    #[test]
    fn every_word_is_one_ops_and_only_first_and_last_have_a_parameter_or_not() {
        let plain = Op::PLAIN.map(Op::word);
        let with = Op::PARAMETRISED.map(|(word, _)| word);
        let both: Vec<&str> = plain.into_iter().filter(|word| with.contains(word)).collect();
        assert_eq!(both, ["first", "last"]);
        let mut words = [&plain[..], &with[..]].concat();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), plain.len() + with.len() - both.len());
        assert_eq!(Op::LastDistinct(5).to_string(), "last_distinct_5");
    }
}
