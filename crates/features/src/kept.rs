//! Events that are kept as they are, for windows with an exact tail.

use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::state::Object;
use crate::timeline::{Row, heap_bytes};

/// Events in order of event time, then of coming to count. The oldest leave in front; their room is given
/// back once it is half of all, so that leaving costs nothing that grows with the events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    times: Vec<i64>,
    words: Vec<u64>,
    objects: Vec<Option<Object>>,
    /// How many rows in front have left.
    left: usize,
}

impl Kept {
    /// Whether saved vectors fit the layout, and are in order.
    pub(crate) fn fits(&self, layout: &Layout) -> bool {
        self.words.len() == self.times.len() * layout.event.words
            && self.objects.len() == self.times.len() * layout.event.objects
            && self.left <= self.times.len()
            && self.times.is_sorted()
    }

    /// The bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        let objects = size_of::<Option<Object>>() * self.objects.capacity() + heap_bytes(&self.objects);
        size_of::<Self>() + 8 * (self.times.capacity() + self.words.capacity()) + objects
    }

    /// The indexes of the events in `[from, to)`.
    pub(crate) fn range(&self, from: i64, to: i64) -> std::ops::Range<usize> {
        self.lower_bound(from)..self.lower_bound(to)
    }

    /// Time and row of an event.
    pub(crate) fn event(&self, layout: &Layout, i: usize) -> (i64, Row<'_>) {
        let shape = layout.event;
        let row = Row {
            words: &self.words[i * shape.words..(i + 1) * shape.words],
            objects: &self.objects[i * shape.objects..(i + 1) * shape.objects],
        };
        (self.times[i], row)
    }

    /// Take in an event, after those of its time.
    pub(crate) fn insert(&mut self, layout: &Layout, time: i64, event: Row<'_>) {
        let i = match self.times.last() {
            Some(last) if *last > time => self.times.partition_point(|other| *other <= time),
            _ => self.times.len(),
        };
        let (word, object) = (i * layout.event.words, i * layout.event.objects);
        if i == self.times.len() {
            self.times.push(time);
            self.words.extend_from_slice(event.words);
            self.objects.extend_from_slice(event.objects);
        } else {
            self.times.insert(i, time);
            self.words.splice(word..word, event.words.iter().copied());
            self.objects.splice(object..object, event.objects.iter().cloned());
        }
    }

    /// Let go of the events before `time`.
    pub(crate) fn forget_before(&mut self, layout: &Layout, time: i64) {
        // They are few since the last time, of which a search among all would know nothing.
        while self.times.get(self.left).is_some_and(|other| *other < time) {
            self.left += 1;
        }
        if self.left > self.times.len() / 2 {
            self.times.drain(..self.left);
            self.words.drain(..self.left * layout.event.words);
            self.objects.drain(..self.left * layout.event.objects);
            self.left = 0;
        }
    }

    fn lower_bound(&self, time: i64) -> usize {
        match self.times.last() {
            Some(last) if *last >= time => {
                self.left + self.times[self.left..].partition_point(|other| *other < time)
            }
            _ => self.times.len(),
        }
    }
}
