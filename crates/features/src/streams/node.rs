//! What a derived source is made of.

use perennial_expr::Expr;
use perennial_types::{Row, Timestamp, Value};

use crate::key::EntityKey;
use crate::streams::dedupe::DedupeState;
use crate::streams::enrich::EnrichState;
use crate::streams::join::{JoinState, Side};
use crate::streams::projection::Projection;

/// A source and what it follows from. Operators name their state by its place among those of their kind.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A source whose events stand in the log, by its number.
    Leaf(usize),
    Union(Vec<Part>),
    Join(Box<Join>),
    Enrich(Box<Enrich>),
    Dedupe(Box<Dedupe>),
}

/// A source of a union with what it gives for each column.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) node: Node,
    pub(crate) cells: Vec<Cell>,
}

/// What a source of a union gives for a column.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Nothing,
    EventTime,
    Expr(Expr),
}

/// The key columns are those of the first source, then those of the second.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) left: Node,
    pub(crate) right: Node,
    pub(crate) keys: [Vec<usize>; 2],
    pub(crate) projection: Projection,
    pub(crate) state: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Enrich {
    pub(crate) of: Node,
    pub(crate) by: Node,
    pub(crate) keys: [Vec<usize>; 2],
    pub(crate) projection: Projection,
    pub(crate) state: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Dedupe {
    pub(crate) of: Node,
    pub(crate) key: Vec<usize>,
    pub(crate) state: usize,
}

/// The state of every operator of a derived source, by kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct States {
    pub(crate) joins: Vec<JoinState>,
    pub(crate) enriches: Vec<EnrichState>,
    pub(crate) dedupes: Vec<DedupeState>,
}

/// A row and when it happened, in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) row: Row,
    pub(crate) time: i64,
}

/// An event of the log.
pub(crate) struct Cause<'a> {
    /// The number of its source.
    pub(crate) leaf: usize,
    pub(crate) row: &'a [Value],
    pub(crate) time: i64,
    pub(crate) available_at: i64,
}

impl Node {
    /// The rows that follow from an event, in their order.
    pub(crate) fn follow(&self, cause: &Cause<'_>, states: &mut States) -> Vec<Happened> {
        match self {
            Self::Leaf(leaf) if *leaf == cause.leaf => {
                vec![Happened { row: cause.row.to_vec(), time: cause.time }]
            }
            Self::Leaf(_) => Vec::new(),
            Self::Union(parts) => parts.iter().flat_map(|part| part.follow(cause, states)).collect(),
            Self::Join(join) => join.follow(cause, states),
            Self::Enrich(enrich) => enrich.follow(cause, states),
            Self::Dedupe(dedupe) => dedupe.follow(cause, states),
        }
    }
}

impl Part {
    fn follow(&self, cause: &Cause<'_>, states: &mut States) -> Vec<Happened> {
        let mut happened = self.node.follow(cause, states);
        for one in &mut happened {
            let cell = |cell: &Cell| match cell {
                Cell::Nothing => Value::Null,
                Cell::EventTime => Value::Timestamp(Timestamp::from_micros(one.time)),
                Cell::Expr(expr) => expr.evaluate(&one.row),
            };
            one.row = self.cells.iter().map(cell).collect();
        }
        happened
    }
}

impl Join {
    fn follow(&self, cause: &Cause<'_>, states: &mut States) -> Vec<Happened> {
        let mut pairs = Vec::new();
        for left in self.left.follow(cause, states) {
            let state = &mut states.joins[self.state];
            state.note(Side::Left, left.time, cause.available_at);
            let Some(key) = EntityKey::of_row(&left.row, &self.keys[0]) else { continue };
            for (time, right) in state.partners(Side::Left, &key, left.time) {
                pairs.push(self.pair(&left.row, left.time, right, time));
            }
            state.wait(Side::Left, key, left.time, left.row);
        }
        for right in self.right.follow(cause, states) {
            let state = &mut states.joins[self.state];
            state.note(Side::Right, right.time, cause.available_at);
            let Some(key) = EntityKey::of_row(&right.row, &self.keys[1]) else { continue };
            let picked = self.projection.pick(&right.row);
            for (time, left) in state.partners(Side::Right, &key, right.time) {
                pairs.push(self.pair(left, time, &picked, right.time));
            }
            state.wait(Side::Right, key, right.time, picked);
        }
        pairs
    }

    /// The row of a pair happens when the later one of the two did, and ends with that instant.
    fn pair(&self, left: &[Value], left_time: i64, picked: &[Value], right_time: i64) -> Happened {
        let time = left_time.max(right_time);
        let mut row = self.projection.extend(left.to_vec(), Some(picked));
        row.push(Value::Timestamp(Timestamp::from_micros(time)));
        Happened { row, time }
    }
}

impl Enrich {
    fn follow(&self, cause: &Cause<'_>, states: &mut States) -> Vec<Happened> {
        // A row sees what was known before it: where a source enriches itself, its row before.
        let mut rows = self.of.follow(cause, states);
        for one in &mut rows {
            let key = EntityKey::of_row(&one.row, &self.keys[0]);
            let last = key.and_then(|key| states.enriches[self.state].get(&key));
            one.row = self.projection.extend(std::mem::take(&mut one.row), last);
        }
        for by in self.by.follow(cause, states) {
            if let Some(key) = EntityKey::of_row(&by.row, &self.keys[1]) {
                states.enriches[self.state].take(key, by.time, self.projection.pick(&by.row));
            }
        }
        rows
    }
}

impl Dedupe {
    fn follow(&self, cause: &Cause<'_>, states: &mut States) -> Vec<Happened> {
        let mut rows = self.of.follow(cause, states);
        rows.retain(|one| {
            let state = &mut states.dedupes[self.state];
            state.note(one.time, cause.available_at);
            EntityKey::of_row(&one.row, &self.key).is_none_or(|key| state.first(key, one.time))
        });
        rows
    }
}
