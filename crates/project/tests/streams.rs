//! Sources: their times, and those that follow from others.

#![expect(clippy::panic, reason = "what fails here fails its test")]

use perennial_project::Project;
use perennial_types::{EventTime, TimeSpan};

fn parse(clock: &str, sources: &str) -> Result<Project, String> {
    let text = format!("kind: Project\nname: shop\nclock: {clock}\n---\n{sources}");
    Project::parse(&[("shop.yaml".to_owned(), text)])
        .map_err(|faults| faults.iter().map(|fault| format!("{fault}\n")).collect())
}

#[test]
fn a_source_says_how_late_how_early_and_how_rarely_its_events_come() {
    let source = |clock: &str, fields: &str| {
        let text = format!(
            "kind: Source\nname: orders\nschema: {{id: string, at: timestamp, known: timestamp}}\n{fields}\n"
        );
        parse(clock, &text).map(|project| project.sources[0].clone())
    };
    let hour = Some(TimeSpan::from_hours(1));
    let orders = source("wall", "event_time: at\nlateness: 26h\nidle_after: 10m\nat_most_ahead: 5m").unwrap();
    assert_eq!(
        (orders.lateness, orders.idle_after),
        (TimeSpan::from_hours(26), Some(TimeSpan::from_secs(600)))
    );
    assert_eq!(orders.at_most_ahead, Some(TimeSpan::from_secs(300)));
    let stored = serde_json::to_string(&orders).unwrap();
    assert_eq!(serde_json::from_str::<perennial_types::SourceSpec>(&stored).unwrap(), orders);
    assert_eq!(source("wall", "event_time: at").unwrap().at_most_ahead, hour);
    for (clock, fields) in [
        ("event", "event_time: at"),
        ("wall", "event_time: at\navailable_at: known"),
        ("wall", "event_time: arrival"),
    ] {
        assert_eq!(source(clock, fields).unwrap().at_most_ahead, None, "{clock}, {fields}");
    }
    assert_eq!(source("wall", "event_time: arrival").unwrap().event_time, EventTime::Arrival);
    assert_eq!(
        source("wall", "event_time: arrival\nat_most_ahead: 5m\nlatenes: 1h").unwrap_err(),
        "shop.yaml:9:16: Source \"orders\": at_most_ahead: rows happen when they arrive, never ahead of it; \
         leave at_most_ahead out, or name the column that says when it happened\n\
         shop.yaml:10:1: Source \"orders\": unknown field \"latenes\"; did you mean \"lateness\"?\n"
    );
}

/// Orders with their deliveries, clicks with their product, and both kinds of payments.
const SHOP: &str = r#"
kind: Source
name: orders
schema: {id: string, at: timestamp, customer: string, amount: double}
event_time: at
dedupe: {by: id, within: 24h}
---
kind: Source
name: deliveries
schema: {order_id: string, at: timestamp, carrier: string}
event_time: at
lateness: 26h
---
kind: Source
name: refunds
schema: {order_id: string, refunded: timestamp, customer: string, cents: int64}
event_time: refunded
---
kind: Source
name: products
schema: {sku: string, price: double, embedding: list<double>}
event_time: arrival
---
kind: Source
name: clicks
schema: {customer: string, item: string, clicked: timestamp}
event_time: clicked
---
kind: Source
name: delivered
stream: {join: {left: orders, right: deliveries, on: {id: order_id}, within: 7d}}
event_time: done
---
kind: Source
name: viewed
stream: {enrich: {of: clicks, by: products, on: {item: sku}, columns: {dear: products.price > 100, embedding: products.embedding}}}
---
kind: Source
name: money
stream:
  union:
    orders: {customer: customer, amount: amount}
    refunds: {customer: customer, amount: -cents / 100}
event_time: at
dedupe: {by: [customer, at], within: 1s}
---
kind: FeatureView
name: customer
entity: [customer]
from: delivered
columns: {took: "(deliveries_at - at) / 1h"}
aggregates: [{name: took, op: avg, of: took, windows: [30d]}]
---
kind: FeatureView
name: taste
entity: [customer]
from: viewed
aggregates: [{name: taste, op: avg, of: embedding, windows: [7d]}, {name: dear, op: count, where: dear, windows: [7d]}]
---
kind: FeatureView
name: paid
entity: [customer]
from: money
aggregates: [{name: amount, op: sum, of: amount, windows: [7d]}]
"#;

fn shop() -> Project {
    parse("wall", SHOP.trim_start()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn changed(from: &str, to: &str) -> Result<Project, String> {
    assert!(SHOP.contains(from), "{from}");
    parse("wall", SHOP.replacen(from, to, 1).trim_start())
}

#[test]
fn the_schema_of_a_derived_source_follows_from_its_sources() {
    let project = shop();
    let columns = |name: &str| -> Vec<String> {
        let source = project.sources.iter().find(|source| &*source.name == name).unwrap();
        let columns = source.schema.columns().iter();
        columns.map(|column| format!("{} {}", column.name, column.data_type)).collect()
    };
    assert_eq!(
        columns("delivered"),
        [
            "id string",
            "at timestamp",
            "customer string",
            "amount double",
            "deliveries_at timestamp",
            "carrier string",
            "done timestamp"
        ]
    );
    assert_eq!(
        columns("viewed"),
        ["customer string", "item string", "clicked timestamp", "dear boolean", "embedding list<double>"]
    );
    assert_eq!(columns("money"), ["customer string", "amount double", "at timestamp"]);
    let delivered = project.sources.iter().find(|source| &*source.name == "delivered").unwrap();
    assert_eq!(
        (delivered.lateness, delivered.event_time.column().map(|name| &**name)),
        (TimeSpan::from_hours(26), Some("done"))
    );
    // What is stored is whole.
    let stored = serde_json::to_string(&project).unwrap();
    let read: Project = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, project);
    let versions = |project: &Project| -> Vec<_> {
        project.compile().unwrap().views.iter().map(|view| view.version()).collect()
    };
    assert_eq!(versions(&read), versions(&project));
}

#[test]
fn a_plan_says_which_views_a_changed_operator_backfills() {
    let later = changed("within: 7d", "within: 8d").unwrap();
    let plan = later.diff(Some(&shop())).unwrap().to_string();
    assert!(plan.contains("~ Source \"delivered\": stream\n"), "{plan}");
    assert!(plan.contains("of view \"customer\" is backfilled from the log"), "{plan}");
    assert!(!plan.contains("\"taste\" is backfilled") && !plan.contains("refused"), "{plan}");
    let taken = changed(
        "schema: {customer: string, item: string, clicked: timestamp}\nevent_time: clicked",
        "stream: {union: [orders]}",
    );
    assert!(taken.is_err(), "it has no column item");
    let taken = changed(
        "schema: {sku: string, price: double, embedding: list<double>}\nevent_time: arrival",
        "stream: {union: {orders: {sku: id, price: amount, embedding: \"CASE WHEN FALSE THEN NULL END\"}}}",
    );
    assert!(taken.is_err(), "an expression that is always NULL has no type");
}

#[test]
fn one_mistake_of_a_derived_source_is_one_message() {
    let mistakes = [
        ("left: orders", "left: order"),
        ("right: deliveries, on", "rihgt: deliveries, on"),
        ("join: {left", "jion: {left"),
        ("{id: order_id}", "{idd: order_id}"),
        ("{id: order_id}", "{at: order_id}"),
        ("within: 7d", "within: 7"),
        ("event_time: done", "event_time: amount"),
        ("event_time: done\n", ""),
        ("event_time: done", "event_time: done\nlateness: 1h"),
        ("products.price > 100", "products.pric > 100"),
        ("products.price > 100", "products.price > item"),
        ("by: products", "by: viewed"),
        ("amount: -cents / 100", "amount: -cents"),
        ("amount: -cents / 100", "at: refunded"),
        ("by: [customer, at]", "by: [customer, amount]"),
        ("dedupe: {by: id,", "dedupe: {by: ids,"),
        ("dedupe: {by: id,", "dedupe: {b: id,"),
        ("price: double, embedding", "price: doubl, embedding"),
    ];
    let said: String = mistakes
        .iter()
        .map(|(from, to)| {
            let faults = changed(from, to).err().unwrap_or_else(|| "nothing\n".to_owned());
            format!("{to}\n{}", faults.lines().map(|line| format!("    {line}\n")).collect::<String>())
        })
        .collect();
    assert_eq!(said, include_str!("fixtures/streams.txt"));
}
