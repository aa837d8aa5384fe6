//! The last events of a key, as they were.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::state::Object;
use crate::timeline::{Row, Shape, heap_bytes};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    time: i64,
    words: Box<[u64]>,
    objects: Box<[Option<Object>]>,
}

/// The last events that one lane counts, in order of event time, of equal times in that of coming to count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recent(VecDeque<Kept>);

impl Recent {
    /// The bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        let behind =
            |kept: &Kept| size_of_val(&*kept.words) + size_of_val(&*kept.objects) + heap_bytes(&kept.objects);
        size_of::<Self>() + size_of::<Kept>() * self.0.capacity() + self.0.iter().map(behind).sum::<usize>()
    }

    pub(crate) fn fits(&self, shape: Shape) -> bool {
        let fits = |kept: &Kept| kept.words.len() == shape.words && kept.objects.len() == shape.objects;
        self.0.iter().all(fits) && self.0.iter().is_sorted_by_key(|kept| kept.time)
    }

    /// Take in an event, and let go of the first beyond `most`.
    pub(crate) fn add(&mut self, most: usize, time: i64, event: Row<'_>) {
        let at = self.0.partition_point(|kept| kept.time <= time);
        if at == 0 && self.0.len() >= most {
            return;
        }
        self.0.insert(at, Kept { time, words: event.words.into(), objects: event.objects.into() });
        if self.0.len() > most {
            self.0.pop_front();
        }
    }

    /// The events with their times, in order.
    pub(crate) fn events(&self) -> impl DoubleEndedIterator<Item = (i64, Row<'_>)> {
        self.0.iter().map(|kept| (kept.time, Row { words: &kept.words, objects: &kept.objects }))
    }
}
