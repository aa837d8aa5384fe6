//! Rows of two sources that belong together.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;

use perennial_types::{Row, Value};

use crate::key::{EntityKey, KeyHash};
use crate::streams::saved::{SavedJoin, SavedSide};

/// How many rows of one key wait for partners, of each of the two sources.
pub const MOST_WAITING: usize = 1_000;

/// How far apart rows may be and how long they wait, seen from one of the two sources; in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// How long before its row a partner may happen.
    pub(crate) back: i64,
    /// How long after it.
    pub(crate) forward: i64,
    /// How far behind the newest row of the other source a partner may come.
    pub(crate) patience: i64,
    /// How long rows wait at most, by the newest row of their own source.
    pub(crate) retention: i64,
}

/// Which of the two sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// The rows of both sources that wait.
#[derive(Clone, Debug)]
pub(crate) struct JoinState {
    /// Seen from the left source and from the right one.
    reaches: [Reach; 2],
    left: Waiting,
    right: Waiting,
}

#[derive(Clone, Debug)]
struct Waiting {
    /// The newest event time of the source, none later than it became known.
    newest: i64,
    /// By key, in the order of event times, of equal ones of arrival.
    rows: HashMap<EntityKey, VecDeque<(i64, Row)>, KeyHash>,
    kept: usize,
    /// How many there were after what nobody needs was last looked for.
    swept: usize,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { newest: i64::MIN, rows: HashMap::default(), kept: 0, swept: 0 }
    }
}

/// Rows that nobody needs are looked for when there are this many more than twice those that are needed.
const SLACK: usize = 1024;

impl JoinState {
    /// No rows yet.
    pub(crate) fn new(left: Reach, right: Reach) -> Self {
        Self { reaches: [left, right], left: Waiting::default(), right: Waiting::default() }
    }

    /// Note the time of a row, also of one without a key.
    pub(crate) fn note(&mut self, side: Side, time: i64, available_at: i64) {
        let own = self.side_mut(side);
        own.newest = own.newest.max(time.min(available_at));
    }

    /// The partners of a row that are there, in the order of event times, of equal ones of arrival.
    pub(crate) fn partners(
        &self,
        side: Side,
        key: &EntityKey,
        time: i64,
    ) -> impl Iterator<Item = (i64, &[Value])> {
        let reach = self.reach(side);
        let from = time.saturating_sub(reach.back).max(self.needed_from(side.other()));
        let to = time.saturating_add(reach.forward);
        let rows = self.side(side.other()).rows.get(key);
        rows.into_iter().flat_map(move |rows| within(rows, from..=to))
    }

    /// Have a row wait for partners that come later.
    pub(crate) fn wait(&mut self, side: Side, key: EntityKey, time: i64, row: Row) {
        let from = self.needed_from(side);
        if time < from {
            return;
        }
        let own = self.side_mut(side);
        let rows = own.rows.entry(key).or_default();
        let before = rows.len();
        drop(rows.drain(..rows.partition_point(|(time, _)| *time < from)));
        rows.insert(rows.partition_point(|(waiting, _)| *waiting <= time), (time, row));
        if rows.len() > MOST_WAITING {
            rows.pop_front();
        }
        own.kept = own.kept + rows.len() - before;
        if own.kept > 2 * own.swept + SLACK {
            own.sweep(from);
        }
    }

    /// Rows that are kept.
    pub(crate) fn kept(&self) -> usize {
        self.left.kept + self.right.kept
    }

    /// No row of a source from before this time can have a partner yet to come, or it has waited long enough.
    fn needed_from(&self, side: Side) -> i64 {
        let reach = self.reach(side);
        let expected = self.side(side.other()).newest.saturating_sub(reach.patience);
        let kept = self.side(side).newest.saturating_sub(reach.retention);
        expected.saturating_sub(reach.forward).max(kept)
    }

    fn side(&self, side: Side) -> &Waiting {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut Waiting {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }

    /// What later rows can depend on, in the order of the keys.
    pub(crate) fn saved(&self) -> SavedJoin {
        let saved = |side: Side| self.side(side).saved(self.needed_from(side));
        SavedJoin { left: saved(Side::Left), right: saved(Side::Right) }
    }

    pub(crate) fn restore(&mut self, saved: SavedJoin) {
        (self.left, self.right) = (Waiting::of_saved(saved.left), Waiting::of_saved(saved.right));
    }

    fn reach(&self, side: Side) -> &Reach {
        match side {
            Side::Left => &self.reaches[0],
            Side::Right => &self.reaches[1],
        }
    }
}

impl Waiting {
    fn sweep(&mut self, from: i64) {
        self.rows.retain(|_, rows| {
            drop(rows.drain(..rows.partition_point(|(time, _)| *time < from)));
            !rows.is_empty()
        });
        self.kept = self.rows.values().map(VecDeque::len).sum();
        self.swept = self.kept;
    }

    fn saved(&self, from: i64) -> SavedSide {
        let needed = |rows: &VecDeque<(i64, Row)>| -> Vec<(i64, Row)> {
            rows.iter().filter(|(time, _)| *time >= from).cloned().collect()
        };
        let rows = self.rows.iter().map(|(key, rows)| (key.clone(), needed(rows)));
        let mut rows: Vec<(EntityKey, Vec<(i64, Row)>)> = rows.filter(|(_, rows)| !rows.is_empty()).collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        SavedSide { newest: self.newest, rows }
    }

    fn of_saved(saved: SavedSide) -> Self {
        let rows: HashMap<EntityKey, VecDeque<(i64, Row)>, KeyHash> =
            saved.rows.into_iter().map(|(key, rows)| (key, rows.into())).collect();
        let kept = rows.values().map(VecDeque::len).sum();
        Self { newest: saved.newest, rows, kept, swept: kept }
    }
}

/// The rows within some event times.
fn within(rows: &VecDeque<(i64, Row)>, times: RangeInclusive<i64>) -> impl Iterator<Item = (i64, &[Value])> {
    let start = rows.partition_point(|(time, _)| time < times.start());
    let found = rows.range(start..).take_while(move |(time, _)| time <= times.end());
    found.map(|(time, row)| (*time, row.as_slice()))
}
