//! The kinds of state: which op needs which, and what room each takes.

use perennial_types::DataType;

use crate::Op;

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
    /// Number of values. The others look at it, so it changes after them.
    Count,
}

impl Part {
    /// The part that holds what `op` needs beside the count, in a lane with values or one that only counts.
    pub(crate) fn of(op: Op, valued: bool) -> Self {
        match op {
            Op::Count => Self::Count,
            Op::Sum | Op::Avg => Self::Sum,
            Op::Stddev | Op::StddevPop | Op::Variance | Op::VariancePop => Self::Moments,
            Op::Skew | Op::Kurtosis => Self::Powers,
            Op::Min => Self::Min,
            Op::Max => Self::Max,
            Op::First => Self::First,
            Op::Last => Self::Last,
            Op::SinceLast => Self::LastTime,
            Op::Distinct => Self::Distinct,
            Op::ApproxDistinct => Self::ApproxDistinct,
            Op::Quantile(_) => Self::Quantiles,
            Op::Covariance | Op::CovariancePop | Op::Correlation => Self::Pairs,
            Op::DecayedSum(half_life) | Op::DecayedRate(half_life) => {
                Self::Decayed { half_life: half_life.micros(), weighted: valued }
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
            Self::Distinct | Self::ApproxDistinct | Self::Quantiles => 0,
        }
    }

    /// How many objects it takes for values of a type.
    pub(crate) fn objects(self, data_type: DataType) -> usize {
        match self {
            Self::Min | Self::Max | Self::First | Self::Last => usize::from(data_type == DataType::String),
            Self::Distinct | Self::ApproxDistinct | Self::Quantiles => 1,
            Self::Sum
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
            Self::Sum
            | Self::Moments
            | Self::Powers
            | Self::LastTime
            | Self::Pairs
            | Self::Decayed { .. }
            | Self::Count => 0,
        }
    }
}
