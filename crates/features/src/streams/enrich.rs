//! The last row of a source by a key.

use std::collections::HashMap;

use perennial_types::{Row, Value};

use crate::key::{EntityKey, KeyHash};
use crate::streams::saved::SavedEnrich;

/// Of each key the row with the latest event time, of equal ones the one that came last.
#[derive(Clone, Debug, Default)]
pub(crate) struct EnrichState {
    last: HashMap<EntityKey, (i64, Row), KeyHash>,
}

impl EnrichState {
    /// Take a row of the source whose last rows are kept.
    pub(crate) fn take(&mut self, key: EntityKey, time: i64, row: Row) {
        match self.last.get_mut(&key) {
            Some(last) if last.0 <= time => *last = (time, row),
            Some(_) => {}
            None => {
                self.last.insert(key, (time, row));
            }
        }
    }

    /// The last row of a key.
    pub(crate) fn get(&self, key: &EntityKey) -> Option<&[Value]> {
        self.last.get(key).map(|(_, row)| row.as_slice())
    }

    /// Rows that are kept.
    pub(crate) fn kept(&self) -> usize {
        self.last.len()
    }

    /// All of it, in the order of the keys.
    pub(crate) fn saved(&self) -> SavedEnrich {
        let last = self.last.iter().map(|(key, (time, row))| (key.clone(), *time, row.clone()));
        let mut last: Vec<(EntityKey, i64, Row)> = last.collect();
        last.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        SavedEnrich { last }
    }

    pub(crate) fn restore(&mut self, saved: SavedEnrich) {
        self.last = saved.last.into_iter().map(|(key, time, row)| (key, (time, row))).collect();
    }
}
