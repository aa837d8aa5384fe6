//! The aggregates of a view: what they are of, and over which windows.

use std::sync::Arc;

use perennial_types::{Column, DataType, Element, TimeSpan};

use super::{Draft, Texts};
use crate::layout::{Lane, Wanted};
use crate::op::Takes;
use crate::{AggregateSpec, Op, WindowSpec};

/// The most edges of a histogram.
const MOST_EDGES: usize = 200;

impl Draft<'_> {
    pub(super) fn aggregate(&mut self, i: usize, spec: &AggregateSpec) {
        let field = |name: &str| format!("aggregates[{i}].{name}");
        let faults = self.faults.len();
        self.name(field("name"), &spec.name);
        if spec.ops.is_empty() {
            self.fault(field("op"), format!("name at least one of {}", Op::PLAIN.map(Op::word).join(", ")));
        }
        for op in &spec.ops {
            self.parameter(&field("op"), *op);
        }
        self.windows(&field("windows"), spec);
        let lane = self.lane(&field, spec);
        for op in &spec.ops {
            for window in &spec.windows {
                let name = output_name(spec, *op, *window);
                if self.outputs.iter().any(|other| *other.name == *name) {
                    self.fault(
                        field("name"),
                        format!("there is already a feature {name:?}; name this one differently"),
                    );
                }
                let data_type = lane.and_then(|lane| {
                    self.wanted.push(Wanted { lane, op: *op, window: *window, tail: spec.tail });
                    let data_type = op.output_type(self.lanes[lane].data_type)?;
                    match spec.by {
                        None => Some(data_type),
                        Some(_) => Element::new(data_type).map(DataType::Map),
                    }
                });
                if self.faults.len() > faults || data_type.is_none() {
                    self.broken.insert(name.as_str().into());
                }
                // The type of a broken one does not matter: nothing that names it is compiled.
                let data_type = data_type.unwrap_or(DataType::Double);
                self.outputs.push(Column { name: name.into(), data_type, nullable: !op.counts() });
            }
        }
    }

    /// The lane of an aggregate; nothing when its expressions are at fault.
    fn lane(&mut self, field: &impl Fn(&str) -> String, spec: &AggregateSpec) -> Option<usize> {
        let of = spec.of.as_ref().map(|sql| self.shared(&field("of"), sql));
        let with = spec.with.as_ref().map(|sql| self.shared(&field("with"), sql));
        let by = spec.by.as_ref().map(|sql| self.shared(&field("by"), sql));
        let filter = spec.filter.as_ref().map(|sql| self.shared(&field("where"), sql));
        if let Some(Some((_, data_type))) = filter
            && data_type != DataType::Boolean
        {
            self.fault(field("where"), format!("a condition is boolean, this is {data_type}"));
            return None;
        }
        for op in &spec.ops {
            self.takes(field, *op, of.map(|of| of.map(|(_, data_type)| data_type)));
        }
        self.pairs(field, spec, with.map(|with| with.map(|(_, data_type)| data_type)));
        let edges = self.edges(field, spec);
        self.by(field, spec, by.flatten().map(|(_, data_type)| data_type));
        let (of, data_type) = match of {
            None => (None, DataType::Int64),
            Some(of) => of.map(|(i, data_type)| (Some(i), data_type))?,
        };
        let (with, with_type) = match with {
            None => (None, DataType::Int64),
            Some(with) => with.map(|(i, data_type)| (Some(i), data_type))?,
        };
        let by = match by {
            None => None,
            Some(by) => Some(by?.0),
        };
        let filter = match filter {
            None => None,
            Some(filter) => Some(filter?.0),
        };
        let texts = [&spec.of, &spec.with, &spec.by, &spec.filter].map(Clone::clone);
        let same = |other: &(Texts, Option<Arc<[f64]>>)| other.0 == texts && other.1 == edges;
        Some(self.lane_texts.iter().position(same).unwrap_or_else(|| {
            self.lane_texts.push((texts, edges.clone()));
            let lane = Lane { of, with, by, edges, filter, data_type, with_type, ..Lane::default() };
            self.lanes.push(lane);
            self.lanes.len() - 1
        }))
    }

    /// Whether an op fits what it is of: `None` where nothing is given, `Some(None)` where that is at fault.
    fn takes(&mut self, field: &impl Fn(&str) -> String, op: Op, of: Option<Option<DataType>>) {
        match (op.takes(), of) {
            (_, Some(None)) | (Takes::Events | Takes::EventsOrNumbers, None) => {}
            (Takes::Numbers | Takes::Values | Takes::Pairs, None) => {
                self.fault(field("of"), format!("{} needs values: say of what", op.word()));
            }
            (_, Some(Some(data_type))) if op.output_type(data_type).is_none() => {
                let problem =
                    format!("there is no {} of {data_type} values{}", op.word(), cast_help(data_type));
                self.fault(field("of"), problem);
            }
            (_, Some(Some(_))) => {}
        }
    }

    /// The edges of a histogram, where the op is one, and only there.
    fn edges(&mut self, field: &impl Fn(&str) -> String, spec: &AggregateSpec) -> Option<Arc<[f64]>> {
        let other = spec.ops.iter().find(|op| **op != Op::Histogram);
        let histogram = spec.ops.contains(&Op::Histogram);
        match (spec.edges.is_empty(), other) {
            (true, _) if histogram => {
                let problem = "a histogram needs the edges between its bins, such as [0, 10, 100]";
                self.fault(field("edges"), problem);
            }
            (false, Some(op)) => {
                let problem = format!("{} has no edges; declare the histogram as one of its own", op.word());
                self.fault(field("edges"), problem);
            }
            (true | false, _) => {}
        }
        let ascending =
            spec.edges.is_sorted_by(|a, b| a < b) && spec.edges.iter().all(|edge| edge.is_finite());
        if !ascending {
            self.fault(field("edges"), "edges are numbers in ascending order, each once");
        }
        if spec.edges.len() > MOST_EDGES {
            self.fault(field("edges"), format!("at most {MOST_EDGES} edges, found {}", spec.edges.len()));
        }
        histogram.then(|| spec.edges.as_slice().into())
    }

    /// Whether events can be told apart by the column, and each op gives one value for each of its values.
    fn by(&mut self, field: &impl Fn(&str) -> String, spec: &AggregateSpec, by: Option<DataType>) {
        if let Some(data_type) = by
            && Element::new(data_type).is_none_or(|element| element == Element::Double)
        {
            let problem =
                format!("{data_type} values make no buckets; use text, int64, boolean or timestamp");
            self.fault(field("by"), problem);
        }
        if spec.by.is_some() {
            let lists =
                spec.ops.iter().find(|op| op.output_type(DataType::Int64).is_some_and(DataType::nested));
            if let Some(op) = lists {
                let problem = format!("{} gives a list, and a map holds single values", op.word());
                self.fault(field("by"), problem);
            }
        }
    }

    /// Whether the parameter of an op is in its range.
    fn parameter(&mut self, field: &str, op: Op) {
        match op {
            Op::DecayedSum(half_life) | Op::DecayedRate(half_life) if half_life <= TimeSpan::ZERO => {
                self.fault(field, format!("the half-life of {} must be above zero", op.word()));
            }
            Op::FirstK(k)
            | Op::LastK(k)
            | Op::FirstDistinct(k)
            | Op::LastDistinct(k)
            | Op::Top(k)
            | Op::Bottom(k)
            | Op::Frequent(k)
                if !(1..=Op::MOST_VALUES).contains(&k) =>
            {
                let most = Op::MOST_VALUES;
                self.fault(field, format!("{} gives 1 to {most} values, not {k}", op.word()));
            }
            _ => {}
        }
    }

    /// Whether the second column is there, and numeric, where the ops are of pairs, and only there.
    fn pairs(
        &mut self,
        field: &impl Fn(&str) -> String,
        spec: &AggregateSpec,
        with: Option<Option<DataType>>,
    ) {
        let single = spec.ops.iter().find(|op| op.takes() != Takes::Pairs);
        let pair = spec.ops.iter().find(|op| op.takes() == Takes::Pairs);
        match (with, single, pair) {
            (None, _, Some(op)) => {
                self.fault(field("with"), format!("{} is of two columns: say with which", op.word()));
            }
            (Some(_), Some(op), _) => {
                let problem = format!(
                    "{} is of one column; declare covariance and correlation as an aggregate of their own",
                    op.word()
                );
                self.fault(field("with"), problem);
            }
            (Some(Some(data_type)), None, Some(op)) if !data_type.numeric() => {
                let problem =
                    format!("there is no {} with {data_type} values{}", op.word(), cast_help(data_type));
                self.fault(field("with"), problem);
            }
            (None | Some(_), None, None) | (None, Some(_), None) | (Some(_), None, Some(_)) => {}
        }
    }
}

/// `rides_avg_7d`, or `busy_30d` where the op is not part of the name.
fn output_name(spec: &AggregateSpec, op: Op, window: WindowSpec) -> String {
    match spec.op_in_name {
        true => format!("{}_{op}_{window}", spec.name),
        false => format!("{}_{window}", spec.name),
    }
}

fn cast_help(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Boolean | DataType::String => "; CAST them to double or int64",
        DataType::Timestamp
        | DataType::Duration
        | DataType::Int64
        | DataType::Double
        | DataType::List(_)
        | DataType::Map(_) => "",
    }
}
