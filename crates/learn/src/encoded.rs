//! Rows as a learner sees them.

/// Stands in `active` where a categorical has no column for its value.
pub(crate) const ABSENT: u32 = u32::MAX;

/// A training set, encoded once and visited in every epoch. Numbers are dense; of the one-hot columns a row
/// names only the one of each categorical that is 1.
#[derive(Debug)]
pub(crate) struct EncodedRows {
    rows: usize,
    numbers: Vec<f64>,
    numbers_per_row: usize,
    active: Vec<u32>,
    active_per_row: usize,
}

impl EncodedRows {
    /// No rows yet, with space for some.
    pub(crate) fn with_capacity(rows: usize, numbers_per_row: usize, active_per_row: usize) -> Self {
        Self {
            rows: 0,
            numbers: Vec::with_capacity(rows * numbers_per_row),
            numbers_per_row,
            active: Vec::with_capacity(rows * active_per_row),
            active_per_row,
        }
    }

    /// Add a row; both parts have the widths that were announced.
    pub(crate) fn push(&mut self, numbers: &[f64], active: &[u32]) {
        assert!(
            numbers.len() == self.numbers_per_row && active.len() == self.active_per_row,
            "rows are encoded by the transformations that announced the widths"
        );
        self.numbers.extend_from_slice(numbers);
        self.active.extend_from_slice(active);
        self.rows += 1;
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// The numbers and the active one-hot columns of a row.
    pub(crate) fn row(&self, row: usize) -> (&[f64], &[u32]) {
        let numbers = row * self.numbers_per_row..(row + 1) * self.numbers_per_row;
        let active = row * self.active_per_row..(row + 1) * self.active_per_row;
        (&self.numbers[numbers], &self.active[active])
    }
}
