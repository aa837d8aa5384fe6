//! The kinds of state: which op needs which, and what room each takes.

use perennial_types::DataType;

use super::frequent;
use crate::Op;
use crate::layout::Lane;

/// What a part of a lane's state holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A double (one word), or an integer of 128 bits (two).
    Sum,
    /// Mean and sum of squared deviations.
    Moments,
    /// Mean and sums of the second to fourth powers of deviations.
    Powers,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// Event time and value of the first event.
    First,
    /// Event time and value of the last event.
    Last,
    /// Event time of the last event.
    LastTime,
    /// Means, squares and products of two columns.
    Pairs,
    /// Event time of the last event, and the decayed sum then.
    Decayed {
        /// Microseconds.
        half_life: i64,
        /// Whether values are added, not events counted.
        weighted: bool,
    },
    /// Different values.
    Distinct,
    /// About how many different values.
    ApproxDistinct,
    /// Counts of values by bin.
    Quantiles,
    /// Times and values of so many first or last events, or values.
    Ends {
        /// How many.
        most: usize,
        /// The last ones, not the first.
        last: bool,
        /// Each value once.
        distinct: bool,
    },
    /// So many extreme values.
    Extremes {
        /// How many.
        most: usize,
        /// The largest, not the smallest.
        largest: bool,
    },
    /// Counts of so many frequent values.
    Frequent(usize),
    /// Counts of values between so many edges.
    Histogram(usize),
    /// Sums of lists, place by place.
    Vectors,
    /// A state for each value of a column.
    Buckets,
    /// Number of values. The others look at it, so it changes after them.
    Count,
}

impl Part {
    /// The part that holds what `op` needs beside the count in a lane, buckets aside.
    pub(crate) fn of(op: Op, lane: &Lane) -> Self {
        let ends = |k: u16, last, distinct| Self::Ends { most: k.into(), last, distinct };
        match op {
            Op::Count => Self::Count,
            Op::Avg if lane.data_type.nested() => Self::Vectors,
            Op::Sum | Op::Avg => Self::Sum,
            Op::Stddev | Op::StddevPop | Op::Variance | Op::VariancePop => Self::Moments,
            Op::Skew | Op::Kurtosis => Self::Powers,
            Op::Min => Self::Min,
            Op::Max => Self::Max,
            Op::First => Self::First,
            Op::Last => Self::Last,
            Op::SinceLast => Self::LastTime,
            Op::FirstK(k) => ends(k, false, false),
            Op::LastK(k) => ends(k, true, false),
            Op::FirstDistinct(k) => ends(k, false, true),
            Op::LastDistinct(k) => ends(k, true, true),
            Op::Top(k) => Self::Extremes { most: k.into(), largest: true },
            Op::Bottom(k) => Self::Extremes { most: k.into(), largest: false },
            Op::Frequent(k) => Self::Frequent(k.into()),
            Op::Histogram => Self::Histogram(lane.edges.as_ref().map_or(0, |edges| edges.len()) + 1),
            Op::Distinct => Self::Distinct,
            Op::ApproxDistinct => Self::ApproxDistinct,
            Op::Quantile(_) => Self::Quantiles,
            Op::Covariance | Op::CovariancePop | Op::Correlation => Self::Pairs,
            Op::DecayedSum(half_life) | Op::DecayedRate(half_life) => {
                Self::Decayed { half_life: half_life.micros(), weighted: lane.of.is_some() }
            }
        }
    }

    /// How many words it takes for values of a type.
    pub(crate) fn words(self, data_type: DataType) -> usize {
        match self {
            Self::Sum if data_type == DataType::Double => 1,
            Self::Sum | Self::Moments | Self::First | Self::Last | Self::Decayed { .. } => 2,
            Self::Min | Self::Max | Self::LastTime | Self::Count => 1,
            Self::Powers => 4,
            Self::Pairs => 5,
            Self::Histogram(counts) => counts,
            Self::Distinct
            | Self::ApproxDistinct
            | Self::Quantiles
            | Self::Ends { .. }
            | Self::Extremes { .. }
            | Self::Frequent(_)
            | Self::Vectors
            | Self::Buckets => 0,
        }
    }

    /// How many objects it takes for values of a type.
    pub(crate) fn objects(self, data_type: DataType) -> usize {
        match self {
            Self::Min | Self::Max | Self::First | Self::Last => usize::from(data_type == DataType::String),
            Self::Distinct
            | Self::ApproxDistinct
            | Self::Quantiles
            | Self::Ends { .. }
            | Self::Extremes { .. }
            | Self::Frequent(_)
            | Self::Vectors
            | Self::Buckets => 1,
            Self::Histogram(_)
            | Self::Sum
            | Self::Moments
            | Self::Powers
            | Self::LastTime
            | Self::Pairs
            | Self::Decayed { .. }
            | Self::Count => 0,
        }
    }

    /// About how many bytes its object takes beside the row: as many values as a busy tile has, a hundred.
    pub(crate) fn heap_bytes(self, data_type: DataType) -> usize {
        const VALUES: usize = 100;
        let text = if data_type == DataType::String { 32 } else { 0 };
        match self {
            Self::Min | Self::Max | Self::First | Self::Last => text,
            Self::Distinct => 48 + VALUES * (24 + text),
            Self::ApproxDistinct => 48 + VALUES * 4,
            Self::Quantiles => 64 + VALUES * 12,
            Self::Ends { most, .. } => 24 + most.min(VALUES) * (24 + text),
            Self::Extremes { most, .. } => 24 + most.min(VALUES) * (16 + text),
            Self::Frequent(most) => 24 + frequent::counters(most).min(VALUES) * (24 + text),
            // As long as an embedding often is.
            Self::Vectors => 24 + 8 * 256,
            // What is in each bucket is added by the slot.
            Self::Buckets => 24,
            Self::Histogram(_)
            | Self::Sum
            | Self::Moments
            | Self::Powers
            | Self::LastTime
            | Self::Pairs
            | Self::Decayed { .. }
            | Self::Count => 0,
        }
    }
}
