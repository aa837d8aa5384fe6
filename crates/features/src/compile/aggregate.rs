//! The aggregates of a view: what they are of, and over which windows.

use perennial_types::{Column, DataType, TimeSpan};

use super::Draft;
use crate::ladder::SHORTEST_WINDOW;
use crate::layout::{Lane, Wanted};
use crate::op::Takes;
use crate::{AggregateSpec, Op};

impl Draft<'_> {
    pub(super) fn aggregate(&mut self, i: usize, spec: &AggregateSpec) {
        let field = |name: &str| format!("aggregates[{i}].{name}");
        let faults = self.faults.len();
        self.name(field("name"), &spec.name);
        if spec.ops.is_empty() {
            self.fault(field("op"), format!("name at least one of {}", Op::PLAIN.map(Op::word).join(", ")));
        }
        for op in &spec.ops {
            if let Op::DecayedSum(half_life) | Op::DecayedRate(half_life) = op
                && *half_life <= TimeSpan::ZERO
            {
                self.fault(field("op"), format!("the half-life of {} must be above zero", op.word()));
            }
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
                    self.wanted.push(Wanted { lane, op: *op, span: *window, tail: spec.tail });
                    op.output_type(self.lanes[lane].data_type)
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

    fn windows(&mut self, field: &str, spec: &AggregateSpec) {
        if spec.windows.is_empty() {
            self.fault(field, "give at least one window, such as 7d");
        }
        for window in &spec.windows {
            if *window < SHORTEST_WINDOW {
                self.fault(
                    field,
                    format!("window {window} is shorter than {SHORTEST_WINDOW}, the shortest there is"),
                );
            }
            if *window > self.source.retention {
                let (source, retention) = (&self.source.name, self.source.retention);
                let problem = format!(
                    "window {window} is longer than source {source:?} keeps its events ({retention})"
                );
                self.fault(field, problem);
            }
        }
    }

    /// The lane of an aggregate; nothing when its expressions are at fault.
    fn lane(&mut self, field: &impl Fn(&str) -> String, spec: &AggregateSpec) -> Option<usize> {
        let of = spec.of.as_ref().map(|sql| self.shared(&field("of"), sql));
        let with = spec.with.as_ref().map(|sql| self.shared(&field("with"), sql));
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
        let (of, data_type) = match of {
            None => (None, DataType::Int64),
            Some(of) => of.map(|(i, data_type)| (Some(i), data_type))?,
        };
        let (with, with_type) = match with {
            None => (None, DataType::Int64),
            Some(with) => with.map(|(i, data_type)| (Some(i), data_type))?,
        };
        let filter = match filter {
            None => None,
            Some(filter) => Some(filter?.0),
        };
        let texts = [spec.of.clone(), spec.with.clone(), spec.filter.clone()];
        Some(self.lane_texts.iter().position(|other| *other == texts).unwrap_or_else(|| {
            self.lane_texts.push(texts);
            let lane = Lane { of, with, filter, data_type, with_type, ..Lane::default() };
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
fn output_name(spec: &AggregateSpec, op: Op, window: TimeSpan) -> String {
    match spec.op_in_name {
        true => format!("{}_{op}_{window}", spec.name),
        false => format!("{}_{window}", spec.name),
    }
}

fn cast_help(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Boolean | DataType::String => "; CAST them to double or int64",
        DataType::Timestamp | DataType::Duration | DataType::Int64 | DataType::Double => "",
    }
}
