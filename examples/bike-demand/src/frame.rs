//! The hours as rows of a training set: request, on-demand and demand features, and the truth.

use std::sync::Arc;

use anyhow::Result;
use perennial_features::point_in_time::{Mode, Query, replay};
use perennial_features::{AggregateSpec, EntityKey, Event, NamedExpr, Op, Tail, View, ViewSpec};
use perennial_learn::{
    FitSpec, InFineTune, LearnerSpec, Missing, OutputSpec, SgdSpec, Task, TransformFn, TransformSpec,
    UnknownCategory,
};
use perennial_types::{AvailableAt, Position, Row, Schema, SourceSpec, StreamSpec, TimeSpan, Value};

use crate::data::Hour;

/// Passes of a fit from scratch.
const EPOCHS: u32 = 5;

/// Which inputs a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// The request alone.
    Raw,
    /// The request and view `slot_demand`.
    Windowed,
}

/// Every hour with its inputs as they were known when it was asked for, in order of time.
#[derive(Clone, Debug)]
pub struct Frame {
    /// How a model of these rows is fitted: as the project declares `bike-windowed`.
    pub spec: FitSpec,
    /// The hours.
    pub hours: Vec<Hour>,
    /// Their inputs, in the order of `spec.inputs`.
    pub rows: Vec<Row>,
    /// Their truths.
    pub labels: Vec<f64>,
}

impl Frame {
    /// The rows that a client sees who tells the truth of an hour a day later, before he asks for that
    /// day's hour.
    ///
    /// # Errors
    /// When the view does not compile.
    pub fn as_known(hours: Vec<Hour>, inputs: Inputs) -> Result<Self> {
        let mut names = ["temp", "atemp", "hum", "windspeed", "feels_gap"].map(Arc::from).to_vec();
        let mut rows: Vec<Row> = hours.iter().map(numbers).collect();
        match inputs {
            Inputs::Raw => {}
            Inputs::Windowed => {
                let view = View::compile(slot_demand(), &demand()?)?;
                names.extend(view.outputs().names().map(Arc::from));
                for (row, features) in rows.iter_mut().zip(features(&view, &hours)) {
                    row.extend(features);
                }
            }
        }
        for (row, hour) in rows.iter_mut().zip(&hours) {
            row.extend([Value::Int64(hour.slot()), Value::Int64(hour.weathersit)]);
        }
        let labels = hours.iter().map(|hour| hour.cnt as f64).collect();
        Ok(Self { spec: fit_spec(names), hours, rows, labels })
    }

    /// Passes of a fit from scratch.
    pub fn epochs(&self) -> u32 {
        EPOCHS
    }
}

/// The request's numbers, and the on-demand one.
fn numbers(hour: &Hour) -> Row {
    [hour.temp, hour.atemp, hour.hum, hour.windspeed, hour.atemp - hour.temp].map(Value::Double).to_vec()
}

/// The values of the view at each hour, after the truths that were due by then.
fn features(view: &Arc<View>, hours: &[Hour]) -> Vec<Row> {
    let told: Vec<Row> = hours
        .iter()
        .map(|hour| {
            let id = Value::String(format!("demand-{}", hour.at).into());
            vec![id, Value::Timestamp(hour.at), Value::Int64(hour.slot()), Value::Int64(hour.cnt)]
        })
        .collect();
    let event = |(index, hour): (usize, &Hour)| Event {
        position: Position(index as u64 + 1),
        source: "demand",
        row: &told[index],
        event_time: hour.at,
        available_at: hour.due(),
    };
    let events: Vec<Event<'_>> = hours.iter().enumerate().map(event).collect();
    let query = |hour: &Hour| Query {
        key: EntityKey::from_values(&[Value::Int64(hour.slot())]),
        at: hour.at,
        seen: Position(hours.partition_point(|earlier| earlier.due() <= hour.at) as u64),
    };
    let queries: Vec<Query> = hours.iter().map(query).collect();
    replay(view, &events, &queries, Mode::AsServed)
}

/// Source `demand` of the project.
fn demand() -> Result<SourceSpec> {
    let columns = [("event_id", "string"), ("hour", "timestamp"), ("slot", "int64"), ("cnt", "int64")];
    Ok(SourceSpec {
        name: "demand".into(),
        schema: Schema::parse(&columns)?,
        id: Some("event_id".into()),
        event_time: "hour".into(),
        available_at: AvailableAt::Arrival,
        stream: StreamSpec::Http {},
        retention: TimeSpan::from_days(400),
    })
}

/// View `slot_demand` of the project.
fn slot_demand() -> ViewSpec {
    let named = |name: &str, expr: &str| NamedExpr { name: name.into(), expr: expr.into() };
    ViewSpec {
        name: "slot_demand".into(),
        entity: vec!["slot".into()],
        from: "demand".into(),
        columns: vec![named("rides", "CAST(cnt AS DOUBLE)")],
        aggregates: vec![
            AggregateSpec {
                name: "rides".into(),
                ops: vec![Op::Avg, Op::Max],
                op_in_name: true,
                of: Some("rides".into()),
                filter: None,
                windows: vec![TimeSpan::from_days(7), TimeSpan::from_days(30)],
                tail: Tail::Hop,
            },
            AggregateSpec {
                name: "busy".into(),
                ops: vec![Op::Count],
                op_in_name: false,
                of: None,
                filter: Some("rides > 300".into()),
                windows: vec![TimeSpan::from_days(30)],
                tail: Tail::Exact,
            },
        ],
        derived: vec![named("trend", "rides_avg_7d / NULLIF(rides_avg_30d, 0)")],
    }
}

/// The learner of the project over these numbers and the two categories, which come last.
fn fit_spec(numbers: Vec<Arc<str>>) -> FitSpec {
    let categories = ["slot", "weathersit"].map(Arc::from).to_vec();
    let standardize =
        TransformFn::Standardize { clip: 5.0, missing: Missing::Mean, in_fine_tune: InFineTune::Moving };
    let one_hot = TransformFn::OneHot { unknown: UnknownCategory::Other };
    FitSpec {
        task: Task::Regression,
        inputs: numbers.iter().chain(&categories).cloned().collect(),
        transforms: vec![
            TransformSpec { of: numbers, function: standardize },
            TransformSpec { of: categories, function: one_hot },
        ],
        learner: LearnerSpec::Linear(SgdSpec { learning_rate: 0.01, l2: 1e-5, epochs: EPOCHS }),
        output: OutputSpec { min: Some(0.0), max: None },
    }
}
