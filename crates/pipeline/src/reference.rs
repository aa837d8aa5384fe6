//! What a version was trained on, as a sample of raw columns: drift is measured against it.

use std::sync::Arc;

use perennial_project::CompiledModel;
use perennial_types::{ContentHash, Row, Value};
use serde::{Deserialize, Serialize};

use crate::PipelineError;

/// How many rows a reference has at most: the newest.
pub const REFERENCE_ROWS: usize = 10_000;

/// Columns of requests before any model-dependent transformation: `request.<column>`, `on_demand.<column>`, and
/// features by their full names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RawColumns {
    names: Vec<Arc<str>>,
    /// As long as each other.
    columns: Vec<Vec<Value>>,
}

/// A link of a reference: a version's own rows, and where those stand that its parent was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferencePart {
    /// The part of the parent whose state this version was trained on from.
    pub before: Option<ContentHash>,
    /// The version's own rows, oldest first.
    pub rows: RawColumns,
}

impl RawColumns {
    /// Complete rows of a model, laid out as [`CompiledModel::row`].
    pub fn new(model: &CompiledModel, rows: impl IntoIterator<Item = Row>) -> Self {
        let names = names(model);
        let mut columns: Vec<Vec<Value>> = names.iter().map(|_| Vec::new()).collect();
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        Self { names, columns }
    }

    /// The names, in the order of the model's row.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The values of the column at this place of the model's row.
    pub fn column(&self, index: usize) -> &[Value] {
        &self.columns[index]
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }
}

impl ReferencePart {
    /// As bytes; the same rows give the same bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<Vec<u8>, PipelineError> {
        postcard::to_stdvec(self).map_err(PipelineError::reference)
    }

    /// Follow a chain from its newest part, as far as it has rows to give, and join what was found: the newest
    /// [`REFERENCE_ROWS`] rows, oldest first. `load` gives the bytes of a part.
    ///
    /// # Errors
    /// When a part cannot be loaded or is none, or has other columns than the parts after it.
    pub fn join(
        newest: ContentHash,
        mut load: impl FnMut(&ContentHash) -> Result<Vec<u8>, PipelineError>,
    ) -> Result<RawColumns, PipelineError> {
        let (mut parts, mut rows, mut next) = (Vec::<RawColumns>::new(), 0, Some(newest));
        while let Some(hash) = next
            && rows < REFERENCE_ROWS
        {
            let part: Self = postcard::from_bytes(&load(&hash)?).map_err(PipelineError::reference)?;
            if parts.last().is_some_and(|younger| younger.names != part.rows.names) {
                return Err(PipelineError::reference(format!("part {hash} has other columns")));
            }
            rows += part.rows.rows();
            next = part.before;
            parts.push(part.rows);
        }
        let mut surplus = rows.saturating_sub(REFERENCE_ROWS);
        let mut joined = RawColumns::default();
        for mut part in parts.into_iter().rev() {
            let dropped = surplus.min(part.rows());
            surplus -= dropped;
            part.columns.iter_mut().for_each(|column| drop(column.drain(..dropped)));
            if joined.names.is_empty() {
                joined = part;
                continue;
            }
            for (column, younger) in joined.columns.iter_mut().zip(part.columns) {
                column.extend(younger);
            }
        }
        Ok(joined)
    }
}

/// The names of a row's columns by where they come from.
fn names(model: &CompiledModel) -> Vec<Arc<str>> {
    let request = model.spec.request.columns().len();
    let features = request + model.before.len();
    let after = features + model.lookups.iter().map(|lookup| lookup.outputs.len()).sum::<usize>();
    let columns = model.row.columns().iter().enumerate();
    let named = columns.map(|(index, column)| match index {
        index if index < request => format!("request.{}", column.name).into(),
        index if (features..after).contains(&index) => Arc::clone(&column.name),
        _ => format!("on_demand.{}", column.name).into(),
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn columns(values: std::ops::Range<i64>) -> RawColumns {
        let names = vec!["request.x".into(), "zone.n".into()];
        let numbers: Vec<Value> = values.map(Value::Int64).collect();
        RawColumns { names, columns: vec![numbers.clone(), numbers] }
    }

    #[derive(Default)]
    struct Chain(BTreeMap<ContentHash, Vec<u8>>);

    impl Chain {
        fn add(&mut self, before: Option<ContentHash>, rows: RawColumns) -> ContentHash {
            let bytes = ReferencePart { before, rows }.save().unwrap();
            let hash = ContentHash::of(&bytes);
            self.0.insert(hash, bytes);
            hash
        }

        fn join(&self, newest: ContentHash) -> Result<RawColumns, PipelineError> {
            let gone = || PipelineError::reference("gone");
            ReferencePart::join(newest, |hash| self.0.get(hash).cloned().ok_or_else(gone))
        }
    }

    #[test]
    fn a_chain_joins_to_the_rows_in_their_order() {
        let mut chain = Chain::default();
        let first = chain.add(None, columns(0..5));
        let second = chain.add(Some(first), columns(5..5));
        let third = chain.add(Some(second), columns(5..8));
        assert_eq!(chain.join(third).unwrap(), columns(0..8));
        assert_eq!(chain.join(first).unwrap(), columns(0..5));
    }

    #[test]
    fn only_the_newest_rows_are_joined_and_no_part_beyond_them_is_read() {
        let mut chain = Chain::default();
        let most = REFERENCE_ROWS as i64;
        let first = chain.add(None, columns(0..100));
        let second = chain.add(Some(first), columns(100..most));
        let third = chain.add(Some(second), columns(most..most + 150));
        assert_eq!(chain.join(second).unwrap(), columns(0..most));
        chain.0.remove(&first);
        assert_eq!(chain.join(third).unwrap(), columns(150..most + 150));
        assert!(chain.join(second).is_err());
    }

    #[test]
    fn a_part_with_other_columns_is_refused() {
        let mut chain = Chain::default();
        let other = RawColumns { names: vec!["request.y".into()], columns: vec![vec![Value::Null]] };
        let first = chain.add(None, other);
        let second = chain.add(Some(first), columns(0..1));
        assert!(chain.join(second).unwrap_err().to_string().contains("has other columns"));
    }
}
