//! The slow oracle: a plain list of events, filtered and folded anew for each read.

use perennial_features::{Op, Tail, View};
use perennial_types::{TimeSpan, Value};

use crate::setup::Sample;

/// The state of some events by the definitions alone.
#[derive(Clone, Default)]
struct State {
    count: u64,
    sum: f64,
    whole: i128,
    mean: f64,
    squares: f64,
    min: Option<Value>,
    max: Option<Value>,
    last: Option<(i64, Value)>,
}

fn below(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.total_cmp(b).is_lt(),
        (Value::Int64(a), Value::Int64(b)) => a < b,
        (Value::String(a), Value::String(b)) => a < b,
        _ => panic!("{a} and {b} are of different types"),
    }
}

impl State {
    fn fold(mut self, time: i64, value: &Value) -> Self {
        self.count += 1;
        if let Some(x) = value.as_f64() {
            self.sum += x;
            let mean = self.mean;
            self.mean += (x - mean) / self.count as f64;
            self.squares += (x - mean) * (x - self.mean);
        }
        if let Value::Int64(n) = value {
            self.whole += i128::from(*n);
        }
        if self.min.as_ref().is_none_or(|min| below(value, min)) {
            self.min = Some(value.clone());
        }
        if self.max.as_ref().is_none_or(|max| below(max, value)) {
            self.max = Some(value.clone());
        }
        if self.last.as_ref().is_none_or(|(last, _)| time >= *last) {
            self.last = Some((time, value.clone()));
        }
        self
    }

    fn merge(self, later: Self) -> Self {
        if self.count == 0 || later.count == 0 {
            return if later.count == 0 { self } else { later };
        }
        let (n, m) = (self.count as f64, later.count as f64);
        let apart = later.mean - self.mean;
        let pick = |a: Option<Value>, b: Option<Value>, later_wins: fn(&Value, &Value) -> bool| match (a, b) {
            (Some(a), Some(b)) => Some(if later_wins(&b, &a) { b } else { a }),
            (a, b) => a.or(b),
        };
        Self {
            count: self.count + later.count,
            sum: self.sum + later.sum,
            whole: self.whole + later.whole,
            mean: self.mean + apart * (m / (n + m)),
            squares: (self.squares + later.squares) + apart * apart * (n * (m / (n + m))),
            min: pick(self.min, later.min, below),
            max: pick(self.max, later.max, |b, a| below(a, b)),
            // The later tile holds later times only.
            last: later.last.or(self.last),
        }
    }

    fn value(&self, op: Op, whole: bool) -> Value {
        let option = |value: &Option<Value>| value.clone().unwrap_or(Value::Null);
        match op {
            Op::Count => Value::Int64(self.count as i64),
            _ if self.count == 0 => Value::Null,
            Op::Sum if whole => i64::try_from(self.whole).map_or(Value::Null, Value::Int64),
            Op::Sum => Value::Double(self.sum),
            Op::Avg if whole => Value::Double(self.whole as f64 / self.count as f64),
            Op::Avg => Value::Double(self.sum / self.count as f64),
            Op::Min => option(&self.min),
            Op::Max => option(&self.max),
            Op::Stddev if self.count < 2 => Value::Null,
            Op::Stddev => Value::Double((self.squares / (self.count - 1) as f64).sqrt()),
            Op::Last => option(&self.last.as_ref().map(|(_, value)| value.clone())),
            other => panic!("{other} has no oracle for its bits; see `definition`"),
        }
    }
}

/// What is asked: an op over column `column` of the rows of one key.
pub(crate) struct Question<'a> {
    pub(crate) samples: &'a [Sample],
    pub(crate) key: i64,
    pub(crate) column: usize,
    pub(crate) window: TimeSpan,
    pub(crate) tail: Tail,
    /// The windows of the whole view, ascending: they give the sizes of the tiles.
    pub(crate) windows: &'a [TimeSpan],
    pub(crate) at: i64,
}

impl Question<'_> {
    /// The values of `ops`, folded and merged in the order that the engine promises.
    pub(crate) fn answer(&self, ops: &[Op]) -> Vec<Value> {
        let mut events: Vec<&Sample> =
            self.samples.iter().filter(|s| s.row[0] == Value::Int64(self.key)).collect();
        // The order of coming to count.
        events.sort_by_key(|s| (s.time.max(s.available_at), s.time >= s.available_at, s.position));
        events.retain(|s| !s.row[self.column].null());
        let now = events.iter().map(|s| s.available_at).max().unwrap_or(0);
        events.retain(|s| s.time < self.at);
        let start = self.at - self.window.micros();
        let far = View::hop(self.window).micros();
        let first_tile = match self.tail {
            Tail::Hop => start.div_euclid(far) * far,
            Tail::Exact => (start + far - 1).div_euclid(far) * far,
        };
        let mut cut: Vec<&Sample> =
            events.iter().copied().filter(|s| s.time >= start && s.time < first_tile).collect();
        cut.sort_by_key(|s| s.time);
        events.retain(|s| s.time >= first_tile);
        let cut = cut.iter().map(|event| self.left_fold(&[event])).collect();
        let state = merge_right(cut).merge(self.layers(&events, now));
        let whole = self.column == 2;
        ops.iter().map(|op| state.value(*op, whole)).collect()
    }

    /// The open tile and what comes after it, with each layer in front of what is newer.
    fn layers(&self, events: &[&Sample], now: i64) -> State {
        let mut layers: Vec<(i64, i64)> = Vec::new();
        for window in self.windows {
            let (size, reach) = (View::hop(*window).micros(), window.micros());
            match layers.last_mut() {
                Some(last) if last.0 == size => last.1 = reach,
                _ => layers.push((size, reach)),
            }
        }
        let sizes: Vec<i64> = layers.iter().map(|(size, _)| *size).collect();
        let within = |from: i64, to: i64, sizes: &[i64]| {
            let events: Vec<&Sample> =
                events.iter().copied().filter(|s| s.time >= from && s.time < to).collect();
            self.tiles(&events, sizes)
        };
        let open = now.div_euclid(sizes[0]) * sizes[0];
        let mut total = merge_left(within(open, i64::MAX, &sizes[..1]));
        let mut head = open;
        for (i, (size, reach)) in layers.iter().enumerate() {
            let above = sizes.get(i + 1).unwrap_or(size);
            let border = (open - reach).div_euclid(*above) * above;
            let flip = head.div_euclid(16 * size) * 16 * size;
            let newer = merge_left(within(flip.max(border), head, &sizes[..=i]));
            let older = merge_right(within(border, flip.min(head), &sizes[..=i]));
            total = older.merge(newer.merge(total));
            head = border;
        }
        total
    }

    fn left_fold(&self, events: &[&Sample]) -> State {
        events.iter().fold(State::default(), |state, s| state.fold(s.time, &s.row[self.column]))
    }

    /// The tiles of the largest of `sizes`; each is the merge in order of those of the next smaller size, the
    /// smallest the fold of its events.
    fn tiles(&self, events: &[&Sample], sizes: &[i64]) -> Vec<State> {
        let Some((size, smaller)) = sizes.split_last() else { return vec![self.left_fold(events)] };
        let mut starts: Vec<i64> = events.iter().map(|s| s.time.div_euclid(*size)).collect();
        starts.sort_unstable();
        starts.dedup();
        let tile = |start: &i64| {
            let inside: Vec<&Sample> =
                events.iter().copied().filter(|s| s.time.div_euclid(*size) == *start).collect();
            merge_left(self.tiles(&inside, smaller))
        };
        starts.iter().map(tile).collect()
    }
}

/// The merge of states from the first to the last.
fn merge_left(states: Vec<State>) -> State {
    states.into_iter().fold(State::default(), State::merge)
}

/// The merge of states from the last to the first.
fn merge_right(states: Vec<State>) -> State {
    states.into_iter().rev().fold(State::default(), |later, state| state.merge(later))
}
