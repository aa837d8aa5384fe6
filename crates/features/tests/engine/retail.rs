//! Golden values: every windowed feature of a shop's customers, from the raw log of half a million events.

use std::collections::HashSet;
use std::sync::Arc;

use perennial_features::{
    AggregateSpec, EntityKey, Event, NamedExpr, Op, Shard, Tail, View, ViewSpec, WindowSpec,
};
use perennial_types::{AvailableAt, DataType, Position, Schema, SourceSpec, TimeSpan, Timestamp, Value};

use crate::shared;

const DAYS: [i64; 4] = [1, 7, 30, 90];

fn source() -> SourceSpec {
    let columns = [
        ("event_time", "timestamp"),
        ("quantity", "int64"),
        ("unit_price", "double"),
        ("customer_id", "int64?"),
        ("first_line", "boolean"),
    ];
    SourceSpec {
        available_at: AvailableAt::Column("event_time".into()),
        ..SourceSpec::new("retail", Schema::parse(&columns).unwrap(), "event_time")
    }
}

fn spec() -> ViewSpec {
    let aggregate = |name: &str, op: Op, of: Option<&str>, filter: Option<&str>| AggregateSpec {
        name: name.into(),
        ops: vec![op],
        op_in_name: false,
        of: of.map(Into::into),
        with: None,
        filter: filter.map(Into::into),
        by: None,
        edges: vec![],
        windows: DAYS.map(|days| TimeSpan::from_days(days).into()).to_vec(),
        tail: Tail::Exact,
    };
    let mut since = aggregate("since", Op::SinceLast, None, None);
    since.windows = vec![WindowSpec::Lifetime];
    ViewSpec {
        name: "customer".into(),
        entity: vec!["customer_id".into()],
        from: "retail".into(),
        columns: vec![NamedExpr { name: "line".into(), expr: "quantity * unit_price".into() }],
        aggregates: vec![
            aggregate("lines", Op::Count, None, None),
            aggregate("amount", Op::Sum, Some("line"), None),
            aggregate("invoices", Op::Count, None, Some("first_line")),
            since,
        ],
        derived: vec![],
    }
}

/// The rows of the events in log order, each with whether it is the first line of its invoice.
fn events(mut rows: csv::Reader<Box<dyn std::io::Read>>) -> Vec<Vec<Value>> {
    let schema = source().schema;
    let header = rows.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name);
    let invoice = at("invoice").unwrap();
    let mut seen: HashSet<String> = HashSet::new();
    let mut read = |record: csv::StringRecord| {
        let first = seen.insert(record[invoice].to_owned());
        let value = |column: &perennial_types::Column| match (at(&column.name), column.data_type) {
            (Some(i), _) => column.decode_text(&record[i]).unwrap(),
            (None, DataType::Boolean) => Value::Boolean(first),
            (None, other) => panic!("no {other} column {}", column.name),
        };
        schema.columns().iter().map(value).collect()
    };
    rows.records().map(|record| read(record.unwrap())).collect()
}

/// One row of golden values.
struct Invoice<'a> {
    header: &'a csv::StringRecord,
    record: csv::StringRecord,
}

impl Invoice<'_> {
    fn get<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, name: &str) -> T {
        let column = self.header.iter().position(|column| column == name).unwrap();
        self.record[column].parse().unwrap()
    }

    /// Hold the values that the engine gives against it.
    fn check(&self, values: &[Value]) {
        let invoice: String = self.get("invoice");
        let [lines, rest @ ..] = values else { panic!("no values") };
        let lines = std::iter::once(lines).chain(&rest[..3]);
        let (amounts, invoices) = (&values[4..8], &values[8..12]);
        for (((days, lines), amount), invoices) in DAYS.iter().zip(lines).zip(amounts).zip(invoices) {
            let place = format!("invoice {invoice}, {days} days");
            assert_eq!(*lines, Value::Int64(self.get(&format!("lines_{days}d"))), "{place}");
            assert_eq!(*invoices, Value::Int64(self.get(&format!("invoices_{days}d"))), "{place}");
            let wanted: f64 = self.get(&format!("amount_{days}d"));
            let found = amount.as_f64().unwrap_or(0.0);
            assert_eq!((found * 100.0).round(), (wanted * 100.0).round(), "{place}: {found}");
        }
        let since = match self.get::<f64>("secs_since_last") {
            -1.0 => Value::Null,
            seconds => Value::Double(seconds),
        };
        assert_eq!(values[12], since, "invoice {invoice}");
    }
}

#[test]
fn customers_windows_are_the_golden_ones_at_every_invoice() {
    let open = |name: &str| shared::open(&shared::path(&format!("data/{name}")));
    let (Some(retail), Some(mut invoices)) = (open("retail.csv.gz"), open("retail_invoices.csv.gz")) else {
        return shared::not_checked("retail.csv.gz and retail_invoices.csv.gz are not there");
    };
    let events = events(retail);
    assert_eq!(events.len(), 541_909);
    let view: Arc<View> = View::compile(spec(), &source()).unwrap();
    let mut shard = Shard::new(vec![view.clone()]);
    let header = invoices.headers().unwrap().clone();
    let mut next = 0;
    let mut checked = 0;
    for record in invoices.records() {
        let invoice = Invoice { header: &header, record: record.unwrap() };
        let at = Timestamp::from_micros(invoice.get::<i64>("event_time") * 1_000_000);
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
        let customer = EntityKey::from_values(&[Value::Int64(invoice.get("customer_id"))]);
        invoice.check(&shard.read(view.version(), &customer, at).values);
        checked += 1;
    }
    assert_eq!(checked, 17_926);
}
