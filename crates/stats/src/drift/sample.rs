//! The values of one column, ready to be compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A column's values over some rows. Made once, compared as often as one likes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// Of numbers.
    Numeric {
        /// The numbers.
        values: Sorted,
        /// Rows without a number.
        missing: u64,
    },
    /// Of texts that stand for categories.
    Categorical {
        /// Rows of each category.
        counts: BTreeMap<String, u64>,
        /// Rows without a category.
        missing: u64,
    },
}

/// Finite numbers in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<f64>")]
pub struct Sorted(Vec<f64>);

impl From<Vec<f64>> for Sorted {
    /// Sorts the numbers and leaves out those that are not finite.
    fn from(mut values: Vec<f64>) -> Self {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        Self(values)
    }
}

impl Sorted {
    /// The numbers, ascending.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }
}

impl Sample {
    /// Of a numeric column, one item a row. What is not a finite number counts as missing.
    pub fn numeric(rows: impl IntoIterator<Item = Option<f64>>) -> Self {
        let mut all = 0_u64;
        let values: Vec<f64> = rows.into_iter().inspect(|_| all += 1).flatten().collect();
        let values = Sorted::from(values);
        let missing = all - values.0.len() as u64;
        Self::Numeric { values, missing }
    }

    /// Of a categorical column, one item a row.
    pub fn categorical<T: AsRef<str>>(rows: impl IntoIterator<Item = Option<T>>) -> Self {
        let (mut counts, mut missing) = (BTreeMap::<String, u64>::new(), 0);
        for row in rows {
            let Some(category) = row else {
                missing += 1;
                continue;
            };
            match counts.get_mut(category.as_ref()) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(category.as_ref().to_owned(), 1);
                }
            }
        }
        Self::Categorical { counts, missing }
    }

    /// Rows that have a value.
    pub fn present(&self) -> u64 {
        match self {
            Self::Numeric { values, .. } => values.0.len() as u64,
            Self::Categorical { counts, .. } => counts.values().sum(),
        }
    }

    /// Rows that have none.
    pub fn missing(&self) -> u64 {
        match self {
            Self::Numeric { missing, .. } | Self::Categorical { missing, .. } => *missing,
        }
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.present() + self.missing()
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Numeric { .. } => "numeric",
            Self::Categorical { .. } => "categorical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_finite_number_is_missing() {
        let sample = Sample::numeric([Some(3.0), None, Some(f64::NAN), Some(-1.0), Some(f64::INFINITY)]);
        assert_eq!(sample, Sample::Numeric { values: Sorted(vec![-1.0, 3.0]), missing: 3 });
        assert_eq!((sample.rows(), sample.present(), sample.missing()), (5, 2, 3));
    }

    #[test]
    fn categories_are_counted() {
        let sample = Sample::categorical([Some("b"), None, Some("a"), Some("b")]);
        let counts = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!(sample, Sample::Categorical { counts, missing: 1 });
        assert_eq!((sample.rows(), sample.present()), (4, 3));
    }

    #[test]
    fn a_written_sample_is_read_in_order() {
        let read: Sample = serde_json::from_str(r#"{"numeric":{"values":[2.0,1.0],"missing":1}}"#).unwrap();
        assert_eq!(read, Sample::numeric([Some(1.0), Some(2.0), None]));
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(written, r#"{"numeric":{"values":[1.0,2.0],"missing":1}}"#);
    }
}
