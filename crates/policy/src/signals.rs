//! The members of signals, their values, and why a value is missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_types::{Column, DataType, Schema, TimeSpan, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::{DataFigure, SignalKind, SignalSpec};

/// The metrics that a performance signal may watch, and whether more of it is worse.
pub(crate) const METRICS: [(&str, bool); 5] =
    [("mae", true), ("rmse", true), ("accuracy", false), ("roc_auc", false), ("log_loss", true)];

/// A member of a signal: name, type, and whether it may be NULL.
type Member = (&'static str, DataType, bool);

const PERFORMANCE: &[Member] = &[
    ("value", DataType::Double, true),
    ("baseline", DataType::Double, true),
    ("relative_change", DataType::Double, true),
    ("rows", DataType::Int64, false),
    ("confirmed", DataType::Int64, false),
];
const DRIFT: &[Member] = &[
    ("share", DataType::Double, true),
    ("weighted_share", DataType::Double, true),
    ("worst", DataType::String, true),
    ("max_effect", DataType::Double, true),
    ("alarmed", DataType::Boolean, true),
];
const DETECTOR: &[Member] = &[
    ("open", DataType::Boolean, true),
    ("since", DataType::Timestamp, true),
    ("mean", DataType::Double, true),
    ("alarms", DataType::Int64, false),
];
const DATA: &[Member] =
    &[("value", DataType::Double, true), ("limit", DataType::Double, true), ("ok", DataType::Boolean, true)];
const FRESHNESS: &[Member] = &[
    ("value", DataType::Duration, true),
    ("limit", DataType::Duration, true),
    ("ok", DataType::Boolean, true),
];
const STALENESS: &[Member] = &[("age", DataType::Duration, true)];
const LABELS: &[Member] = &[("rows", DataType::Int64, false), ("rate", DataType::Double, false)];

const ROLLOUT: &[Member] =
    &[("probability_better", DataType::Double, true), ("rows", DataType::Int64, false)];
const EXPERIMENT: &[Member] = &[
    ("probability_best", DataType::Double, true),
    ("p_value", DataType::Double, true),
    ("rows", DataType::Int64, false),
];
const PAIRED: &[Member] = &[("relative_change", DataType::Double, true), ("rows", DataType::Int64, false)];

impl SignalKind {
    pub(crate) fn members(&self) -> &'static [Member] {
        match self {
            Self::Performance { .. } => PERFORMANCE,
            Self::Drift { .. } => DRIFT,
            Self::Detector { .. } => DETECTOR,
            Self::Data { figure: DataFigure::Freshness, .. } => FRESHNESS,
            Self::Data { .. } => DATA,
            Self::Staleness => STALENESS,
            Self::Labels => LABELS,
        }
    }
}

/// The columns that conditions over these signals may name, `<signal>.<member>`:
///
/// | kind | members |
/// |---|---|
/// | performance | `value`, `baseline`, `relative_change` (double); `rows` (int64): labels in the window, those whose label window is still open included; `confirmed` (int64): the matured ones, over which `value` is taken |
/// | drift | `share`, `weighted_share`, `max_effect` (double), `worst` (string), `alarmed` (boolean) of the last measurement |
/// | detector | `open` (boolean), `since` (timestamp), `mean` (double) of the losses, `alarms` (int64) |
/// | freshness | `value`, `limit` (duration), `ok` (boolean) of the last measurement |
/// | skew, loss, quality | `value`, `limit` (double), `ok` (boolean) of the last measurement |
/// | staleness | `age` (duration) since the data end of the current version |
/// | labels | `rows` (int64) since that data end; `rate` (double): per day since then |
///
/// Of two signals of one name the first counts; [`check`](crate::check) names the second as a fault.
pub fn signal_schema(signals: &[SignalSpec]) -> Schema {
    let mut columns: Vec<Column> = Vec::new();
    for (place, signal) in signals.iter().enumerate() {
        if signals[..place].iter().all(|earlier| earlier.name != signal.name) {
            columns.extend(signal.kind.members().iter().map(|member| column(&signal.name, member)));
        }
    }
    // Names of signals contain no dot that could make two members one; `check` refuses such a name.
    Schema::new(columns).unwrap_or_default()
}

/// The columns of a model's `first_version` condition: `labels.rows`, all labels of the endpoint so far, and
/// `labels.rate`, per day since the first request.
pub fn labels_schema() -> Schema {
    signal_schema(&[SignalSpec { name: "labels".into(), kind: SignalKind::Labels }])
}

/// The columns of the `until` of a rollout's bandit stage: `probability_better`, that the candidate is better
/// than the current version, and `rows`, over how many compared rows.
pub fn rollout_schema() -> Schema {
    bare(ROLLOUT)
}

/// The columns of an experiment's `until`: `probability_best`, the largest over the arms, `p_value`, of the best
/// arm against each other one and valid at every look, and `rows`, matured rewards of all arms.
pub fn experiment_schema() -> Schema {
    bare(EXPERIMENT)
}

/// The columns of the `when` of a rollback: `paired.relative_change`, by how much the current version's mean loss
/// is above that of the version it replaced, and `paired.rows`.
pub fn paired_schema() -> Schema {
    let columns = PAIRED.iter().map(|member| column("paired", member)).collect();
    Schema::new(columns).unwrap_or_default()
}

fn bare(members: &[Member]) -> Schema {
    let columns = members.iter().map(|(name, data_type, nullable)| Column {
        name: Arc::from(*name),
        data_type: *data_type,
        nullable: *nullable,
    });
    Schema::new(columns.collect()).unwrap_or_default()
}

fn column(signal: &str, (name, data_type, nullable): &Member) -> Column {
    Column { name: format!("{signal}.{name}").into(), data_type: *data_type, nullable: *nullable }
}

/// The values of signals at one instant, and for each that is unknown the reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SignalValues {
    values: BTreeMap<Arc<str>, Value>,
    unknown: BTreeMap<Arc<str>, String>,
}

/// What was measured for a performance signal.
#[derive(Clone, Debug, PartialEq)]
pub struct PerformanceReading {
    /// The metric over the matured labels of the window; nothing if it is not defined on them.
    pub value: Option<f64>,
    /// Matured labels in the window.
    pub confirmed: u64,
    /// Labels of requests that have not matured yet.
    pub provisional: u64,
    /// What the metric is compared with, or why there is nothing: "the first full window after the promotion
    /// ends at 2011-03-05T03:00:00Z".
    pub baseline: Result<f64, String>,
}

/// What was measured for a drift signal.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftMembers {
    /// Part of the columns that alarm.
    pub share: f64,
    /// The same with columns weighted by their importance.
    pub weighted_share: f64,
    /// The column with the largest effect; nothing if no column has one.
    pub worst: Option<Arc<str>>,
    /// Its effect.
    pub max_effect: f64,
    /// Whether any column alarms.
    pub alarmed: bool,
}

/// What a detector says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectorMembers {
    /// The start of the open episode; nothing if none is open.
    pub since: Option<Timestamp>,
    /// Mean loss since the last change.
    pub mean: f64,
}

impl SignalValues {
    /// Set the members of the drift signal `name`, or why nothing can be said.
    pub fn drift(&mut self, name: &str, measured: Result<DriftMembers, String>) {
        let of = |member: fn(&DriftMembers) -> Value| measured.as_ref().map(member).map_err(String::clone);
        let worst = measured.as_ref().map_err(String::clone).and_then(|members| {
            let worst = members.worst.as_ref().ok_or_else(|| "no column has an effect".to_owned());
            worst.map(|worst| Value::String(Arc::clone(worst)))
        });
        self.set(name, "share", of(|members| Value::Double(members.share)));
        self.set(name, "weighted_share", of(|members| Value::Double(members.weighted_share)));
        self.set(name, "worst", worst);
        self.set(name, "max_effect", of(|members| Value::Double(members.max_effect)));
        self.set(name, "alarmed", of(|members| Value::Boolean(members.alarmed)));
    }

    /// Set the members of the detector signal `name`: how often it has alarmed, and what it says or why it says
    /// nothing yet.
    pub fn detector(&mut self, name: &str, alarms: u64, said: Result<DetectorMembers, String>) {
        let since = said.as_ref().map_err(String::clone).and_then(|members| {
            members.since.map(Value::Timestamp).ok_or_else(|| "no episode is open".to_owned())
        });
        let open = said.as_ref().map(|members| Value::Boolean(members.since.is_some()));
        self.set(name, "open", open.map_err(String::clone));
        self.set(name, "since", since);
        self.set(name, "mean", said.map(|members| Value::Double(members.mean)));
        self.set(name, "alarms", Ok(count(alarms)));
    }

    /// Set the members of the data signal `name`: the value and its limit, or why there is none.
    pub fn data(&mut self, name: &str, figure: DataFigure, measured: Result<(f64, f64), String>) {
        let number = |number: f64| match figure {
            DataFigure::Freshness => Value::Duration(TimeSpan::from_micros((number * 1e6).round() as i64)),
            DataFigure::Skew
            | DataFigure::Loss
            | DataFigure::NullRate
            | DataFigure::NewCategories
            | DataFigure::Violations
            | DataFigure::Volume => Value::Double(number),
        };
        let of = |member: &dyn Fn((f64, f64)) -> Value| measured.clone().map(member);
        self.set(name, "value", of(&|(value, _)| number(value)));
        self.set(name, "limit", of(&|(_, limit)| number(limit)));
        self.set(name, "ok", of(&|(value, limit)| Value::Boolean(figure.within(value, limit))));
    }

    /// Set the members of [`rollout_schema`].
    pub fn rollout(&mut self, probability_better: Result<f64, String>, rows: u64) {
        self.set("", "probability_better", probability_better.map(Value::Double));
        self.set("", "rows", Ok(count(rows)));
    }

    /// Set the members of [`experiment_schema`].
    pub fn experiment(
        &mut self,
        probability_best: Result<f64, String>,
        p_value: Result<f64, String>,
        rows: u64,
    ) {
        self.set("", "probability_best", probability_best.map(Value::Double));
        self.set("", "p_value", p_value.map(Value::Double));
        self.set("", "rows", Ok(count(rows)));
    }

    /// Set the members of [`paired_schema`].
    pub fn paired(&mut self, relative_change: Result<f64, String>, rows: u64) {
        self.set("paired", "relative_change", relative_change.map(Value::Double));
        self.set("paired", "rows", Ok(count(rows)));
    }

    /// Set the members of the performance signal `name`. `relative_change` is `value / baseline − 1`, with
    /// the sign turned for metrics of which less is worse, so that more is always worse; it and `value` are
    /// unknown below `min_rows` matured labels.
    pub fn performance(&mut self, name: &str, metric: &str, min_rows: u64, reading: &PerformanceReading) {
        let confirmed = reading.confirmed;
        let value = match reading.value {
            _ if confirmed < min_rows => Err(format!("fewer than {min_rows} matured labels ({confirmed})")),
            Some(value) => Ok(value),
            None => Err(format!("{metric} is not defined on its {confirmed} matured labels")),
        };
        let change = match (&value, &reading.baseline) {
            (Ok(_), Ok(0.0)) => Err("the baseline is zero".to_owned()),
            (Ok(value), Ok(baseline)) => {
                let change = value / baseline - 1.0;
                let more_is_worse =
                    METRICS.iter().find(|(known, _)| *known == metric).is_none_or(|(_, worse)| *worse);
                Ok(if more_is_worse { change } else { -change })
            }
            (Err(reason), _) | (Ok(_), Err(reason)) => Err(reason.clone()),
        };
        self.set(name, "value", value.map(Value::Double));
        self.set(name, "baseline", reading.baseline.clone().map(Value::Double));
        self.set(name, "relative_change", change.map(Value::Double));
        self.set(name, "rows", Ok(count(confirmed.saturating_add(reading.provisional))));
        self.set(name, "confirmed", Ok(count(confirmed)));
    }

    /// Set the age of the staleness signal `name`, or why there is none: "no version yet".
    pub fn staleness(&mut self, name: &str, age: Result<TimeSpan, String>) {
        self.set(name, "age", age.map(Value::Duration));
    }

    /// Set the members of the labels signal `name`: rows, and rows per day.
    pub fn labels(&mut self, name: &str, rows: u64, rate: f64) {
        self.set(name, "rows", Ok(count(rows)));
        self.set(name, "rate", Ok(Value::Double(rate)));
    }

    /// The value of `<signal>.<member>`; NULL if it is unknown.
    pub fn get(&self, member: &str) -> &Value {
        self.values.get(member).unwrap_or(&Value::Null)
    }

    /// Why a member is NULL; nothing if it has a value.
    pub fn unknown(&self, member: &str) -> Option<&str> {
        match self.unknown.get(member) {
            Some(reason) => Some(reason),
            None if self.values.contains_key(member) => None,
            None => Some("it was not measured"),
        }
    }

    /// Every member with its value, in the order of names.
    pub fn values(&self) -> &BTreeMap<Arc<str>, Value> {
        &self.values
    }

    /// Every unknown member with the reason, in the order of names.
    pub fn reasons(&self) -> &BTreeMap<Arc<str>, String> {
        &self.unknown
    }

    /// For people and records: `{"values": {member: value or null}, "unknown": {member: reason}}`.
    pub fn to_json(&self) -> serde_json::Value {
        let values: serde_json::Map<_, _> =
            self.values.iter().map(|(member, value)| (member.to_string(), value.to_json())).collect();
        serde_json::json!({"values": values, "unknown": self.unknown})
    }

    /// The values in the order of a schema's columns.
    pub(crate) fn row(&self, schema: &Schema) -> Vec<Value> {
        schema.columns().iter().map(|column| self.get(&column.name).clone()).collect()
    }

    fn set(&mut self, signal: &str, member: &str, value: Result<Value, String>) {
        let name: Arc<str> = match signal {
            "" => Arc::from(member),
            _ => format!("{signal}.{member}").into(),
        };
        // A number that is none is unknown too: a comparison with it would be false for no reason.
        let value = match value {
            Ok(Value::Double(number)) if !number.is_finite() => Err(format!("its value is {number}")),
            other => other,
        };
        match value {
            Ok(value) => {
                self.unknown.remove(&name);
                self.values.insert(name, value);
            }
            Err(reason) => {
                self.unknown.insert(Arc::clone(&name), reason);
                self.values.insert(name, Value::Null);
            }
        }
    }
}

fn count(rows: u64) -> Value {
    Value::Int64(i64::try_from(rows).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(value: f64, confirmed: u64, baseline: f64) -> PerformanceReading {
        PerformanceReading { value: Some(value), confirmed, provisional: 24, baseline: Ok(baseline) }
    }

    #[test]
    fn members_are_those_of_the_declared_kinds() {
        let performance =
            SignalKind::Performance { metric: "mae".into(), window: TimeSpan::from_days(7), min_rows: 100 };
        let schema = signal_schema(&[
            SignalSpec { name: "quality".into(), kind: performance },
            SignalSpec { name: "fresh".into(), kind: SignalKind::Staleness },
        ]);
        let names: Vec<&str> = schema.columns().iter().map(|column| &*column.name).collect();
        let expected = [
            "quality.value",
            "quality.baseline",
            "quality.relative_change",
            "quality.rows",
            "quality.confirmed",
            "fresh.age",
        ];
        assert_eq!(names, expected);
        assert_eq!(schema.column("fresh.age").unwrap().data_type, DataType::Duration);
        let names: Vec<String> =
            labels_schema().columns().iter().map(|column| column.name.to_string()).collect();
        assert_eq!(names, ["labels.rows", "labels.rate"]);
    }

    #[test]
    fn more_is_worse_whatever_the_metric() {
        let mut signals = SignalValues::default();
        signals.performance("error", "mae", 100, &reading(44.0, 168, 40.0));
        signals.performance("right", "accuracy", 100, &reading(0.72, 168, 0.8));
        for (member, expected) in [("error.relative_change", 0.1), ("right.relative_change", 0.1)] {
            let Value::Double(change) = signals.get(member) else { panic!("{member} is known") };
            assert!((change - expected).abs() < 1e-12, "{member} is {change}");
        }
        assert_eq!(
            (signals.get("error.rows"), signals.get("error.confirmed")),
            (&Value::Int64(192), &Value::Int64(168))
        );
    }

    #[test]
    fn an_unknown_member_has_its_reason() {
        let mut signals = SignalValues::default();
        signals.performance("quality", "mae", 100, &reading(44.0, 37, 40.0));
        signals.performance("zero", "mae", 100, &reading(44.0, 137, 0.0));
        signals.staleness("fresh", Err("no version yet".into()));
        assert_eq!(signals.unknown("quality.relative_change"), Some("fewer than 100 matured labels (37)"));
        assert_eq!(signals.unknown("quality.baseline"), None);
        assert_eq!(signals.unknown("zero.relative_change"), Some("the baseline is zero"));
        assert_eq!(signals.unknown("fresh.age"), Some("no version yet"));
        assert_eq!(signals.unknown("other.age"), Some("it was not measured"));
        assert_eq!(signals.get("quality.value"), &Value::Null);
        signals.staleness("fresh", Ok(TimeSpan::from_days(3)));
        assert_eq!(
            (signals.unknown("fresh.age"), signals.get("fresh.age")),
            (None, &Value::Duration(TimeSpan::from_days(3)))
        );
    }

    #[test]
    fn signals_are_written_for_people() {
        let mut signals = SignalValues::default();
        signals.labels("volume", 96, 24.0);
        signals.staleness("fresh", Err("no version yet".into()));
        assert_eq!(
            signals.to_json(),
            serde_json::json!({
                "values": {"fresh.age": null, "volume.rate": 24.0, "volume.rows": 96},
                "unknown": {"fresh.age": "no version yet"},
            })
        );
    }
}
