//! Golden values: customers' windowed counts and amounts over half a million retail events.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use perennial_features::{AggregateSpec, EntityKey, Event, NamedExpr, Op, Shard, Tail, View, ViewSpec};
use perennial_types::{AvailableAt, Position, Schema, SourceSpec, StreamSpec, TimeSpan, Timestamp, Value};

const DAYS: [i64; 4] = [1, 7, 30, 90];

type Rows = csv::Reader<GzDecoder<File>>;

#[expect(clippy::disallowed_methods, reason = "golden values are files; the engine reads none")]
fn open(name: &str) -> Option<Rows> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    File::open(path).ok().map(|file| csv::Reader::from_reader(GzDecoder::new(file)))
}

fn source() -> SourceSpec {
    let columns = [
        ("event_time", "timestamp"),
        ("quantity", "int64"),
        ("unit_price", "double"),
        ("customer_id", "int64?"),
    ];
    SourceSpec {
        name: "retail".into(),
        schema: Schema::parse(&columns).unwrap(),
        id: None,
        event_time: "event_time".into(),
        available_at: AvailableAt::Column("event_time".into()),
        stream: StreamSpec::Http {},
        retention: TimeSpan::from_days(400),
    }
}

fn spec() -> ViewSpec {
    let aggregate = |name: &str, op: Op, of: Option<&str>| AggregateSpec {
        name: name.into(),
        ops: vec![op],
        op_in_name: false,
        of: of.map(Into::into),
        with: None,
        by: None,
        edges: vec![],
        filter: None,
        windows: DAYS.map(|days| TimeSpan::from_days(days).into()).to_vec(),
        tail: Tail::Exact,
    };
    ViewSpec {
        name: "customer".into(),
        entity: vec!["customer_id".into()],
        from: "retail".into(),
        columns: vec![NamedExpr { name: "line".into(), expr: "quantity * unit_price".into() }],
        aggregates: vec![aggregate("lines", Op::Count, None), aggregate("amount", Op::Sum, Some("line"))],
        derived: vec![],
    }
}

/// The rows of the events in log order.
fn events(mut rows: Rows) -> Vec<Vec<Value>> {
    let schema = source().schema;
    let header = rows.headers().unwrap().clone();
    let at: Vec<usize> =
        schema.names().map(|name| header.iter().position(|column| column == name).unwrap()).collect();
    let read = |record: csv::StringRecord| {
        schema.columns().iter().zip(&at).map(|(column, i)| column.decode_text(&record[*i]).unwrap()).collect()
    };
    rows.records().map(|record| read(record.unwrap())).collect()
}

#[test]
fn customers_windows_are_the_golden_ones_at_every_invoice() {
    let (Some(retail), Some(mut invoices)) = (open("retail.csv.gz"), open("retail_invoices.csv.gz")) else {
        // Not `eprintln!`: what a passing test prints that way is never shown.
        writeln!(std::io::stderr(), "NOT CHECKED: retail.csv.gz and retail_invoices.csv.gz are not there")
            .unwrap();
        return;
    };
    let events = events(retail);
    let view = View::compile(spec(), &source()).unwrap();
    let mut shard = Shard::new(vec![view.clone()]);
    let header = invoices.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let mut next = 0;
    let mut checked = 0;
    for record in invoices.records() {
        let record = record.unwrap();
        let at = Timestamp::from_micros(record[column("event_time")].parse::<i64>().unwrap() * 1_000_000);
        while let Some(row) = events.get(next)
            && let Value::Timestamp(time) = row[0]
            && time < at
        {
            next += 1;
            let position = Position(next as u64);
            shard.apply(
                &Event { position, source: "retail", row, event_time: time, available_at: time },
                |_| true,
            );
        }
        let customer =
            EntityKey::from_values(&[Value::Int64(record[column("customer_id")].parse().unwrap())]);
        let values = shard.read(view.version(), &customer, at).values;
        for (i, days) in DAYS.into_iter().enumerate() {
            let invoice = &record[column("invoice")];
            let lines: i64 = record[column(&format!("lines_{days}d"))].parse().unwrap();
            assert_eq!(values[i], Value::Int64(lines), "invoice {invoice}, {days} days");
            let amount: f64 = record[column(&format!("amount_{days}d"))].parse().unwrap();
            let found = values[DAYS.len() + i].as_f64().unwrap_or(0.0);
            assert_eq!(
                (found * 100.0).round(),
                (amount * 100.0).round(),
                "invoice {invoice}, {days} days: {found}"
            );
        }
        checked += 1;
    }
    assert_eq!(checked, 17_926);
}
