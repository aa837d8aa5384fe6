//! Rows of flat state, ordered by time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text within a row, where there is one.
pub(crate) type Text = Option<Arc<str>>;

/// How wide the rows of a timeline are. It is the same for all keys of a view, so that a key does not store it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// 64-bit words a row.
    pub(crate) words: usize,
    /// Texts a row.
    pub(crate) texts: usize,
}

/// One row, to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) words: &'a [u64],
    pub(crate) texts: &'a [Text],
}

/// One row, to change.
#[derive(Debug)]
pub(crate) struct RowMut<'a> {
    pub(crate) words: &'a mut [u64],
    pub(crate) texts: &'a mut [Text],
}

/// Rows in ascending order of time, in three flat vectors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    /// Microseconds, ascending.
    times: Vec<i64>,
    words: Vec<u64>,
    texts: Vec<Text>,
}

impl Timeline {
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn times(&self) -> &[i64] {
        &self.times
    }

    /// Whether the vectors fit together, which saved bytes need not.
    pub(crate) fn fits(&self, shape: Shape) -> bool {
        self.words.len() == self.times.len() * shape.words
            && self.texts.len() == self.times.len() * shape.texts
            && self.times.is_sorted()
    }

    /// The index of the first row at or after `time`. Near the end, where reads and writes mostly are, it
    /// is found without a search.
    pub(crate) fn lower_bound(&self, time: i64) -> usize {
        match self.times.last() {
            Some(last) if *last >= time => self.times.partition_point(|other| *other < time),
            _ => self.times.len(),
        }
    }

    /// The index after the last row at or before `time`.
    pub(crate) fn upper_bound(&self, time: i64) -> usize {
        match self.times.last() {
            Some(last) if *last > time => self.times.partition_point(|other| *other <= time),
            _ => self.times.len(),
        }
    }

    pub(crate) fn row(&self, shape: Shape, i: usize) -> Row<'_> {
        Row {
            words: &self.words[i * shape.words..(i + 1) * shape.words],
            texts: &self.texts[i * shape.texts..(i + 1) * shape.texts],
        }
    }

    pub(crate) fn row_mut(&mut self, shape: Shape, i: usize) -> RowMut<'_> {
        RowMut {
            words: &mut self.words[i * shape.words..(i + 1) * shape.words],
            texts: &mut self.texts[i * shape.texts..(i + 1) * shape.texts],
        }
    }

    /// Rows `i` and `j` together, `i < j`: the first to change, the second to read.
    pub(crate) fn pair_mut(&mut self, shape: Shape, i: usize, j: usize) -> (RowMut<'_>, Row<'_>) {
        let (words, later_words) = self.words.split_at_mut(j * shape.words);
        let (texts, later_texts) = self.texts.split_at_mut(j * shape.texts);
        let row = RowMut {
            words: &mut words[i * shape.words..(i + 1) * shape.words],
            texts: &mut texts[i * shape.texts..(i + 1) * shape.texts],
        };
        (row, Row { words: &later_words[..shape.words], texts: &later_texts[..shape.texts] })
    }

    /// Give row `i` another time; the order must stay.
    pub(crate) fn set_time(&mut self, i: usize, time: i64) {
        self.times[i] = time;
    }

    /// Insert a row of zeros, which is the state of no event, before row `i`.
    pub(crate) fn insert_empty(&mut self, shape: Shape, i: usize, time: i64) {
        let (word, text) = (i * shape.words, i * shape.texts);
        self.times.insert(i, time);
        self.words.splice(word..word, std::iter::repeat_n(0, shape.words));
        self.texts.splice(text..text, std::iter::repeat_n(None, shape.texts));
    }

    /// Insert a copy of `row` before row `i`.
    pub(crate) fn insert(&mut self, shape: Shape, i: usize, time: i64, row: Row<'_>) {
        let (word, text) = (i * shape.words, i * shape.texts);
        self.times.insert(i, time);
        self.words.splice(word..word, row.words.iter().copied());
        self.texts.splice(text..text, row.texts.iter().cloned());
    }

    /// Remove the rows from `start` up to `end`.
    pub(crate) fn remove(&mut self, shape: Shape, start: usize, end: usize) {
        if start < end {
            self.times.drain(start..end);
            self.words.drain(start * shape.words..end * shape.words);
            self.texts.drain(start * shape.texts..end * shape.texts);
        }
    }
}
