//! Rows of flat state, ordered by time.

use serde::{Deserialize, Serialize};

use crate::state::Object;

/// How wide the rows of a timeline are. It is the same for all keys of a view, so that a key does not store it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// 64-bit words a row.
    pub(crate) words: usize,
    /// Objects a row.
    pub(crate) objects: usize,
}

/// One row, to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) words: &'a [u64],
    pub(crate) objects: &'a [Option<Object>],
}

impl<'a> Row<'a> {
    /// Whether a lane counts this event.
    pub(crate) fn counts(&self, lane: usize) -> bool {
        self.words[lane / 64] >> (lane % 64) & 1 == 1
    }

    /// The object at `i`, if there is one.
    pub(crate) fn object(&self, i: usize) -> Option<&'a Object> {
        self.objects.get(i)?.as_ref()
    }
}

/// One row, to change.
#[derive(Debug)]
pub(crate) struct RowMut<'a> {
    pub(crate) words: &'a mut [u64],
    pub(crate) objects: &'a mut [Option<Object>],
}

/// Rows in ascending order of time, in three flat vectors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    /// Microseconds, ascending.
    times: Vec<i64>,
    words: Vec<u64>,
    objects: Vec<Option<Object>>,
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
            && self.objects.len() == self.times.len() * shape.objects
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
            objects: &self.objects[i * shape.objects..(i + 1) * shape.objects],
        }
    }

    pub(crate) fn row_mut(&mut self, shape: Shape, i: usize) -> RowMut<'_> {
        RowMut {
            words: &mut self.words[i * shape.words..(i + 1) * shape.words],
            objects: &mut self.objects[i * shape.objects..(i + 1) * shape.objects],
        }
    }

    /// Rows `i` and `j` together, `i < j`: the first to change, the second to read.
    pub(crate) fn pair_mut(&mut self, shape: Shape, i: usize, j: usize) -> (RowMut<'_>, Row<'_>) {
        let (words, later_words) = self.words.split_at_mut(j * shape.words);
        let (objects, later_objects) = self.objects.split_at_mut(j * shape.objects);
        let row = RowMut {
            words: &mut words[i * shape.words..(i + 1) * shape.words],
            objects: &mut objects[i * shape.objects..(i + 1) * shape.objects],
        };
        (row, Row { words: &later_words[..shape.words], objects: &later_objects[..shape.objects] })
    }

    /// Give row `i` another time; the order must stay.
    pub(crate) fn set_time(&mut self, i: usize, time: i64) {
        self.times[i] = time;
    }

    /// Insert a row of zeros, which is the state of no event, before row `i`.
    pub(crate) fn insert_empty(&mut self, shape: Shape, i: usize, time: i64) {
        let (word, object) = (i * shape.words, i * shape.objects);
        self.times.insert(i, time);
        self.words.splice(word..word, std::iter::repeat_n(0, shape.words));
        self.objects.splice(object..object, std::iter::repeat_n(None, shape.objects));
    }

    /// Insert a copy of `row` before row `i`.
    pub(crate) fn insert(&mut self, shape: Shape, i: usize, time: i64, row: Row<'_>) {
        let (word, object) = (i * shape.words, i * shape.objects);
        self.times.insert(i, time);
        self.words.splice(word..word, row.words.iter().copied());
        self.objects.splice(object..object, row.objects.iter().cloned());
    }

    /// Remove the rows from `start` up to `end`.
    pub(crate) fn remove(&mut self, shape: Shape, start: usize, end: usize) {
        if start < end {
            self.times.drain(start..end);
            self.words.drain(start * shape.words..end * shape.words);
            self.objects.drain(start * shape.objects..end * shape.objects);
        }
    }
}
