//! Golden values: windowed features of a payments stream that is out of order and has duplicates, a hot key and
//! a spike, made by `tools/gen_events.py` of the shared data.
//!
//! `PERENNIAL_EVENTS` says how many events (20,000), `PERENNIAL_PYTHON` which Python with numpy makes them.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use perennial_features::point_in_time::{Mode, Query, replay};
use perennial_features::{AggregateSpec, EntityKey, Event, Op, Tail, View, ViewSpec, WindowSpec};
use perennial_types::{AvailableAt, Position, Schema, SourceSpec, TimeSpan, Timestamp, Value};

use crate::shared;

/// What `golden.csv` has of an entity: column, op, window.
type Golden = (&'static str, Op, &'static str);

const OF_USERS: [Golden; 5] = [
    ("user_count_10m", Op::Count, "10m"),
    ("user_count_1h", Op::Count, "1h"),
    ("user_sum_1h", Op::Sum, "1h"),
    ("user_count_1d", Op::Count, "1d"),
    ("user_sum_7d", Op::Sum, "7d"),
];
const OF_MERCHANTS: [Golden; 2] =
    [("merchant_count_1h", Op::Count, "1h"), ("merchant_sum_1d", Op::Sum, "1d")];

fn source() -> SourceSpec {
    let columns = [("user_id", "string"), ("merchant_id", "string"), ("amount", "double")];
    SourceSpec {
        available_at: AvailableAt::Column("arrival_ms".into()),
        ..SourceSpec::new("payments", Schema::parse(&columns).unwrap(), "event_ms")
    }
}

fn view(entity: &str, golden: &[Golden]) -> std::sync::Arc<View> {
    let aggregate = |(name, op, window): &Golden| AggregateSpec {
        name: (*name).into(),
        ops: vec![*op],
        op_in_name: false,
        of: (*op == Op::Sum).then(|| "amount".into()),
        with: None,
        filter: None,
        by: None,
        edges: vec![],
        windows: vec![WindowSpec::Sliding(TimeSpan::parse(window).unwrap())],
        tail: Tail::Exact,
    };
    let spec = ViewSpec {
        name: entity.into(),
        entity: vec![entity.into()],
        from: "payments".into(),
        columns: vec![],
        aggregates: golden.iter().map(aggregate).collect(),
        derived: vec![],
    };
    View::compile(spec, &source()).unwrap()
}

/// Rows of a CSV file by the names of some of its columns.
fn columns<const N: usize>(path: &Path, names: [&str; N]) -> Vec<[String; N]> {
    let mut rows = shared::open(path).unwrap();
    let header = rows.headers().unwrap().clone();
    let at = names.map(|name| header.iter().position(|column| column == name).unwrap());
    rows.records().map(|record| record.unwrap()).map(|record| at.map(|i| record[i].to_owned())).collect()
}

/// An event as it was received, once.
struct Payment {
    row: [Value; 3],
    event_time: Timestamp,
    available_at: Timestamp,
}

fn millis(text: &str) -> Timestamp {
    Timestamp::from_micros(text.parse::<i64>().unwrap() * 1_000)
}

fn payments(directory: &Path) -> Vec<Payment> {
    let names = ["event_id", "event_ms", "arrival_ms", "user_id", "merchant_id", "amount"];
    let mut seen = HashSet::new();
    let rows = columns(&directory.join("events.csv"), names).into_iter();
    // What is delivered again has the id of what was.
    rows.filter(|[id, ..]| seen.insert(id.clone()))
        .map(|[_, event, arrival, user, merchant, amount]| Payment {
            row: [
                Value::String(user.into()),
                Value::String(merchant.into()),
                Value::Double(amount.parse().unwrap()),
            ],
            event_time: millis(&event),
            available_at: millis(&arrival),
        })
        .collect()
}

/// Make the stream; nothing, and why, where that cannot be.
#[expect(clippy::disallowed_methods, reason = "the generator of golden values is a program")]
fn generated() -> Option<tempfile::TempDir> {
    let script = shared::path("tools/gen_events.py");
    let python = shared::setting("PERENNIAL_PYTHON").unwrap_or_else(|| "python3".into());
    let events = shared::setting("PERENNIAL_EVENTS").unwrap_or_else(|| "20000".into());
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(&python);
    command.arg(&script).arg("--out").arg(directory.path());
    command.args(["--events", &events, "--users", "500", "--merchants", "50", "--format", "csv"]);
    match command.output() {
        Ok(output) if output.status.success() => Some(directory),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let last = said.lines().last().unwrap_or("it said nothing").to_owned();
            shared::not_checked(&format!("{python} {}: {last}", script.display()));
            None
        }
        Err(error) => {
            shared::not_checked(&format!("{python} {}: {error}", script.display()));
            None
        }
    }
}

#[test]
fn windows_of_users_and_merchants_are_the_golden_ones_as_occurred() {
    let Some(directory) = generated() else { return };
    let payments = payments(directory.path());
    let events: Vec<Event<'_>> = (1..)
        .zip(&payments)
        .map(|(position, payment)| Event {
            position: Position(position),
            source: "payments",
            row: &payment.row,
            event_time: payment.event_time,
            available_at: payment.available_at,
        })
        .collect();
    let golden = directory.path().join("golden.csv");
    let mut compared = 0;
    for (entity, wanted) in [("user_id", &OF_USERS[..]), ("merchant_id", &OF_MERCHANTS[..])] {
        let view = view(entity, wanted);
        let rows = columns(&golden, ["event_ms", entity]);
        let query = |[at, key]: &[String; 2]| Query {
            key: EntityKey::from_values(&[Value::String(key.as_str().into())]),
            at: millis(at),
            seen: Position::START,
        };
        let queries: Vec<Query> = rows.iter().map(query).collect();
        let values = replay(&view, &events, &queries, Mode::AsOccurred);
        for (i, (name, op, _)) in wanted.iter().enumerate() {
            for (j, [exact]) in columns(&golden, [name]).iter().enumerate() {
                let exact: f64 = exact.parse().unwrap();
                let found = values[j][i].as_f64().unwrap_or(0.0);
                // Golden sums are rounded to two decimals, as amounts are.
                let error = if *op == Op::Sum { 0.005_001 } else { 0.0 };
                assert!((found - exact).abs() <= error, "{name} in row {}: {found} for {exact}", j + 2);
                compared += 1;
            }
        }
    }
    assert!(compared >= 7 * (payments.len() / 100), "{compared} values compared");
}
