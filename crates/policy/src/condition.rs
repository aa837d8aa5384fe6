//! A condition over signals, in three-valued logic.

use perennial_expr::Expr;
use perennial_types::{DataType, Rounded, Schema, Value, did_you_mean};
use serde::{Deserialize, Serialize};

use crate::SignalValues;

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is NULL: a signal that decides it is missing.
    Unknown,
}

/// A compiled condition over the members of signals.
#[derive(Clone, Debug)]
pub struct Condition {
    sql: String,
    expr: Expr,
    schema: Schema,
}

impl Condition {
    /// Compile `sql` over the members of `schema` (see [`signal_schema`](crate::signal_schema)).
    ///
    /// # Errors
    /// A sentence that names the unknown member and the nearest known one, the fault in the SQL, or the type
    /// that is not boolean; also when it names no member at all, and so never changes.
    pub fn compile(sql: &str, schema: &Schema) -> Result<Self, String> {
        let names = Expr::names(sql).map_err(|error| error.to_string())?;
        if let Some(unknown) = names.iter().find(|name| schema.index_of(name).is_none()) {
            return Err(unknown_member(unknown, schema));
        }
        let expr = Expr::compile(sql, schema).map_err(|error| error.to_string())?;
        match expr.data_type() {
            Some(DataType::Boolean) => {}
            Some(other) => {
                return Err(format!("a condition is true or false, but {sql:?} is of type {other}"));
            }
            None => return Err(format!("a condition is true or false, but {sql:?} is always NULL")),
        }
        if expr.columns().is_empty() {
            return Err(format!("{sql:?} names no signal and so never changes; leave it out or name one"));
        }
        Ok(Self { sql: sql.to_owned(), expr, schema: schema.clone() })
    }

    /// As it was written.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// What it says of these values, and a sentence part that explains it: the values it read, and for each
    /// that is missing the reason.
    pub fn evaluate(&self, signals: &SignalValues) -> (Truth, String) {
        let truth = match self.expr.evaluate(&signals.row(&self.schema)) {
            Value::Boolean(true) => Truth::True,
            Value::Boolean(false) => Truth::False,
            // The type was checked: what is not a boolean is NULL.
            Value::Null
            | Value::Int64(_)
            | Value::Double(_)
            | Value::String(_)
            | Value::Timestamp(_)
            | Value::Duration(_)
            | Value::List(_)
            | Value::Map(_) => Truth::Unknown,
        };
        (truth, self.explain(signals))
    }

    fn explain(&self, signals: &SignalValues) -> String {
        let columns = self.expr.columns().iter().filter_map(|column| self.schema.columns().get(*column));
        let parts: Vec<String> = columns
            .map(|column| match signals.unknown(&column.name) {
                Some(reason) => format!("{} is unknown: {reason}", column.name),
                None => format!("{} is {}", column.name, written(signals.get(&column.name))),
            })
            .collect();
        parts.join(", ")
    }
}

/// A value as people read it; records keep it to the last bit beside the sentence.
fn written(value: &Value) -> String {
    match value {
        Value::Double(number) => Rounded(*number).to_string(),
        Value::Null
        | Value::Boolean(_)
        | Value::Int64(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::Duration(_)
        | Value::List(_)
        | Value::Map(_) => value.to_string(),
    }
}

fn unknown_member(name: &str, schema: &Schema) -> String {
    let known = || schema.columns().iter().filter_map(|column| column.name.split_once('.'));
    if known().next().is_none() {
        let members = schema.columns().iter().map(|column| &*column.name);
        return format!("unknown name {name:?}{}", did_you_mean(name, members));
    }
    match name.split_once('.') {
        Some((signal, member)) if known().any(|(known, _)| known == signal) => {
            let members = known().filter(|(known, _)| *known == signal).map(|(_, member)| member);
            format!("signal {signal:?} has no member {member:?}{}", did_you_mean(member, members))
        }
        Some((signal, _)) => {
            let mut signals: Vec<&str> = known().map(|(signal, _)| signal).collect();
            signals.dedup();
            format!("unknown signal {signal:?}{}", did_you_mean(signal, signals))
        }
        None => {
            let members = schema.columns().iter().map(|column| &*column.name);
            format!("{name:?} is no member of a signal, as <signal>.<member>{}", did_you_mean(name, members))
        }
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::TimeSpan;

    use super::*;
    use crate::{PerformanceReading, SignalKind, SignalSpec, labels_schema, rollout_schema, signal_schema};

    fn schema() -> Schema {
        let performance =
            SignalKind::Performance { metric: "mae".into(), window: TimeSpan::from_days(7), min_rows: 100 };
        signal_schema(&[
            SignalSpec { name: "quality".into(), kind: performance },
            SignalSpec { name: "fresh".into(), kind: SignalKind::Staleness },
            SignalSpec { name: "volume".into(), kind: SignalKind::Labels },
        ])
    }

    fn few_labels() -> SignalValues {
        let mut signals = SignalValues::default();
        let reading =
            PerformanceReading { value: Some(44.0), confirmed: 37, provisional: 0, baseline: Ok(40.0) };
        signals.performance("quality", "mae", 100, &reading);
        signals.staleness("fresh", Ok(TimeSpan::from_days(61)));
        signals.labels("volume", 72, 24.0);
        signals
    }

    fn truth(sql: &str) -> Truth {
        Condition::compile(sql, &schema()).unwrap().evaluate(&few_labels()).0
    }

    #[test]
    fn a_missing_signal_is_neither_true_nor_false() {
        let condition = Condition::compile("quality.relative_change > 0.05", &schema()).unwrap();
        let (truth, explanation) = condition.evaluate(&few_labels());
        assert_eq!(truth, Truth::Unknown);
        assert_eq!(explanation, "quality.relative_change is unknown: fewer than 100 matured labels (37)");
    }

    #[test]
    fn doubles_are_rounded_for_the_reader() {
        let condition =
            Condition::compile("probability_better > 0.95 AND rows > 100", &rollout_schema()).unwrap();
        let mut signals = SignalValues::default();
        signals.rollout(Ok(1.248_534_788_569_362_2e-7), 1_234_567);
        assert_eq!(condition.evaluate(&signals).1, "probability_better is < 0.0001, rows is 1234567");
    }

    #[test]
    fn what_is_known_decides_where_it_can() {
        assert_eq!(truth("fresh.age > 60d"), Truth::True);
        assert_eq!(truth("volume.rows >= 73"), Truth::False);
        assert_eq!(truth("quality.relative_change > 0.05 OR fresh.age > 60d"), Truth::True);
        assert_eq!(truth("quality.relative_change > 0.05 AND volume.rows < 72"), Truth::False);
        assert_eq!(truth("quality.relative_change > 0.05 AND volume.rows >= 72"), Truth::Unknown);
    }

    #[test]
    fn a_first_version_waits_for_labels() {
        let condition = Condition::compile("labels.rows >= 1737", &labels_schema()).unwrap();
        let mut signals = SignalValues::default();
        signals.labels("labels", 1_736, 24.0);
        assert_eq!(condition.evaluate(&signals), (Truth::False, "labels.rows is 1736".to_owned()));
        signals.labels("labels", 1_737, 24.0);
        assert_eq!(condition.evaluate(&signals).0, Truth::True);
    }

    #[test]
    fn faults_name_what_was_meant() {
        let fault = |sql: &str| Condition::compile(sql, &schema()).unwrap_err();
        assert_eq!(fault("qualty.value > 1"), "unknown signal \"qualty\"; did you mean \"quality\"?");
        assert_eq!(
            fault("quality.relative_chang > 1"),
            "signal \"quality\" has no member \"relative_chang\"; did you mean \"relative_change\"?"
        );
        assert_eq!(fault("fresh.years > 1"), "signal \"fresh\" has no member \"years\"; known are age");
        assert!(fault("volume > 1").starts_with("\"volume\" is no member of a signal"));
        assert_eq!(
            fault("volume.rows + 1"),
            "a condition is true or false, but \"volume.rows + 1\" is of type int64"
        );
        assert!(fault("1 < 2").contains("names no signal"));
        assert!(!fault("volume.rows >").is_empty());
    }
}
