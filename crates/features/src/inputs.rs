//! From a row of a source to the row of an event: each expression is evaluated once.

use std::sync::Arc;

use perennial_expr::Expr;
use perennial_types::Value;

use crate::layout::{Lane, Layout};
use crate::state::{Object, encode};
use crate::timeline::Row;

/// What is evaluated for each event of a view.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    /// Columns of the source.
    pub(crate) source_columns: usize,
    /// The columns of the source that `exprs` read beside the view's own.
    pub(crate) carried: Vec<usize>,
    /// The view's columns, over the source's.
    pub(crate) columns: Vec<Expr>,
    /// Each `of` and `where` of different text, over the source's columns and the view's.
    pub(crate) exprs: Vec<Expr>,
    pub(crate) lanes: Vec<Lane>,
}

/// Events that were evaluated, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evaluated {
    row: Vec<Value>,
    values: Vec<Value>,
    words: Vec<u64>,
    objects: Vec<Option<Object>>,
}

impl Evaluated {
    /// Forget the events; their room is used again.
    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.objects.clear();
    }

    /// Event `i`.
    pub(crate) fn event(&self, layout: &Layout, i: usize) -> Row<'_> {
        let shape = layout.event;
        Row {
            words: &self.words[i * shape.words..(i + 1) * shape.words],
            objects: &self.objects[i * shape.objects..(i + 1) * shape.objects],
        }
    }
}

impl Inputs {
    /// Evaluate a row of the source; whether any lane counts it, and only then it is the next event of
    /// `evaluated`.
    pub(crate) fn evaluate(&self, layout: &Layout, row: &[Value], evaluated: &mut Evaluated) -> bool {
        let Evaluated { row: extended, values, words: all_words, objects: all_objects } = evaluated;
        let row = if self.columns.is_empty() {
            row
        } else {
            self.extend(row, extended);
            extended
        };
        values.clear();
        values.extend(self.exprs.iter().map(|expr| expr.evaluate(row)));
        let (word, object) = (all_words.len(), all_objects.len());
        all_words.resize(word + layout.event.words, 0);
        all_objects.resize(object + layout.event.objects, None);
        let (words, objects) = (&mut all_words[word..], &mut all_objects[object..]);
        // An event that no lane counts is one of its session all the same.
        let mut counted = !layout.sessions.is_empty();
        for lane in &self.lanes {
            if lane.filter.is_some_and(|filter| values[filter] != Value::Boolean(true)) {
                continue;
            }
            if let Some(of) = lane.of {
                let Some(word) = encode(&values[of]) else { continue };
                match &values[of] {
                    Value::String(text) => objects[lane.event_object] = Some(Object::Text(Arc::clone(text))),
                    Value::List(values) => {
                        let doubles = values.iter().filter_map(Value::as_f64).collect();
                        objects[lane.event_object] = Some(Object::Vector(doubles));
                    }
                    Value::Null
                    | Value::Map(_)
                    | Value::Boolean(_)
                    | Value::Int64(_)
                    | Value::Double(_)
                    | Value::Timestamp(_)
                    | Value::Duration(_) => words[lane.event_word] = word,
                }
            }
            if let Some(with) = lane.with {
                let Some(word) = encode(&values[with]) else { continue };
                words[lane.event_with] = word;
            }
            if let (Some(edges), Some(of)) = (&lane.edges, lane.of) {
                let value = values[of].as_f64().unwrap_or_default();
                words[lane.event_with] = edges.partition_point(|edge| *edge <= value) as u64;
            }
            if let Some(by) = lane.by {
                objects[lane.event_by] = match &values[by] {
                    Value::Null => continue,
                    Value::String(text) => Some(Object::Text(Arc::clone(text))),
                    value => Some(Object::Text(value.to_string().into())),
                };
            }
            if let Some(bit) = lane.mask {
                words[bit / 64] |= 1 << (bit % 64);
            }
            counted = true;
        }
        if !counted {
            all_words.truncate(word);
            all_objects.truncate(object);
        }
        counted
    }

    /// The row with the view's columns after those of the source that are read together with them.
    fn extend(&self, row: &[Value], extended: &mut Vec<Value>) {
        extended.clear();
        extended.resize(self.source_columns, Value::Null);
        for column in &self.carried {
            extended[*column] = row[*column].clone();
        }
        extended.extend(self.columns.iter().map(|expr| expr.evaluate(row)));
    }
}
