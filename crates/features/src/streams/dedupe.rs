//! Rows without those that repeat an earlier one.

use std::collections::{HashMap, VecDeque};

use crate::key::{EntityKey, KeyHash};
use crate::streams::saved::SavedDedupe;

/// What is a repetition; in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repetition {
    /// How far apart the two are at most.
    pub(crate) within: i64,
    /// How far behind the newest row a repetition may come.
    pub(crate) lateness: i64,
}

/// The rows that were let through, by key.
#[derive(Clone, Debug)]
pub(crate) struct DedupeState {
    of: Repetition,
    /// The newest event time, none later than it became known.
    newest: i64,
    /// The event times of each key, ascending.
    seen: HashMap<EntityKey, VecDeque<i64>, KeyHash>,
    kept: usize,
    /// How many there were after what nobody needs was last looked for.
    swept: usize,
}

/// Repetitions are looked for among this many more rows than twice those that are needed.
const SLACK: usize = 1024;

impl DedupeState {
    /// No rows yet.
    pub(crate) fn new(of: Repetition) -> Self {
        Self { of, newest: i64::MIN, seen: HashMap::default(), kept: 0, swept: 0 }
    }

    /// Note the time of a row, also of one without a key.
    pub(crate) fn note(&mut self, time: i64, available_at: i64) {
        self.newest = self.newest.max(time.min(available_at));
    }

    /// Take a row; whether it is let through.
    pub(crate) fn first(&mut self, key: EntityKey, time: i64) -> bool {
        let from = self.from();
        let seen = self.seen.entry(key).or_default();
        let before = seen.len();
        drop(seen.drain(..seen.partition_point(|seen| *seen < from)));
        let start = seen.partition_point(|seen| *seen < time.saturating_sub(self.of.within));
        let repeats = seen.get(start).is_some_and(|seen| *seen <= time.saturating_add(self.of.within));
        if !repeats && time >= from {
            seen.insert(start, time);
        }
        self.kept = self.kept + seen.len() - before;
        if self.kept > 2 * self.swept + SLACK {
            self.sweep(from);
        }
        !repeats
    }

    /// Rows that are kept.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// What happened earlier is not looked for any more.
    fn from(&self) -> i64 {
        self.newest.saturating_sub(self.of.within).saturating_sub(self.of.lateness)
    }

    fn sweep(&mut self, from: i64) {
        self.seen.retain(|_, seen| {
            drop(seen.drain(..seen.partition_point(|seen| *seen < from)));
            !seen.is_empty()
        });
        self.kept = self.seen.values().map(VecDeque::len).sum();
        self.swept = self.kept;
    }

    /// What later rows can depend on, in the order of the keys.
    pub(crate) fn saved(&self) -> SavedDedupe {
        let from = self.from();
        let needed = |seen: &VecDeque<i64>| -> Vec<i64> {
            seen.iter().copied().filter(|seen| *seen >= from).collect()
        };
        let seen = self.seen.iter().map(|(key, seen)| (key.clone(), needed(seen)));
        let mut seen: Vec<(EntityKey, Vec<i64>)> = seen.filter(|(_, seen)| !seen.is_empty()).collect();
        seen.sort_unstable();
        SavedDedupe { newest: self.newest, seen }
    }

    pub(crate) fn restore(&mut self, saved: SavedDedupe) {
        self.newest = saved.newest;
        self.seen = saved.seen.into_iter().map(|(key, seen)| (key, seen.into())).collect();
        self.kept = self.seen.values().map(VecDeque::len).sum();
        self.swept = self.kept;
    }
}
