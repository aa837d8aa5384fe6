//! Sessions: runs of a key's events with no long gap between them.

use serde::{Deserialize, Serialize};

use crate::state::{Object, Slot, fold, merge};
use crate::timeline::{Row, RowMut, Shape, heap_bytes};

/// A session that ended longer ago than so many gaps is let go: a late event does not revive it.
pub(crate) const KEPT_GAPS: i64 = 60;

/// The state of one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The times of its first and its last event, in microseconds.
    start: i64,
    end: i64,
    words: Box<[u64]>,
    objects: Box<[Option<Object>]>,
}

impl Session {
    pub(crate) fn row(&self) -> Row<'_> {
        Row { words: &self.words, objects: &self.objects }
    }

    fn row_mut(&mut self) -> RowMut<'_> {
        RowMut { words: &mut self.words, objects: &mut self.objects }
    }
}

/// The sessions of one key by one gap, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sessions(Vec<Session>);

impl Sessions {
    /// The bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        let behind = |session: &Session| {
            size_of_val(&*session.words) + size_of_val(&*session.objects) + heap_bytes(&session.objects)
        };
        size_of::<Self>()
            + size_of::<Session>() * self.0.capacity()
            + self.0.iter().map(behind).sum::<usize>()
    }

    pub(crate) fn fits(&self, shape: Shape) -> bool {
        self.0
            .iter()
            .all(|session| session.words.len() == shape.words && session.objects.len() == shape.objects)
            && self.0.is_sorted_by_key(|session| session.start)
    }

    /// Fold an event into the session it belongs to; two sessions that it joins become one.
    pub(crate) fn add(&mut self, shape: Shape, slots: &[Slot], gap: i64, time: i64, event: Row<'_>) {
        let at = self.0.partition_point(|session| session.end.saturating_add(gap) < time);
        if self.0.get(at).is_none_or(|session| session.start.saturating_sub(gap) > time) {
            let words = vec![0; shape.words].into();
            let objects = vec![None; shape.objects].into();
            self.0.insert(at, Session { start: time, end: time, words, objects });
        }
        let session = &mut self.0[at];
        session.start = session.start.min(time);
        session.end = session.end.max(time);
        fold(slots, &mut session.row_mut(), event, time);
        let end = session.end;
        if self.0.get(at + 1).is_some_and(|next| next.start.saturating_sub(gap) <= end) {
            let next = self.0.remove(at + 1);
            let session = &mut self.0[at];
            session.end = next.end;
            merge(slots, &mut session.row_mut(), next.row());
        }
    }

    /// Let go of what ended long before `now`.
    pub(crate) fn forget(&mut self, gap: i64, now: i64) {
        let until = now.saturating_sub(gap.saturating_mul(KEPT_GAPS));
        let old = self.0.partition_point(|session| session.end < until);
        self.0.drain(..old);
    }

    /// The session that is not over at `at`.
    pub(crate) fn current(&self, gap: i64, at: i64) -> Option<&Session> {
        let before = self.0.partition_point(|session| session.start < at);
        let last = self.0.get(before.checked_sub(1)?)?;
        (last.end >= at.saturating_sub(gap)).then_some(last)
    }
}
