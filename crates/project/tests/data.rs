//! Declarations about data: service levels, signals of data, recent actions, ready sources.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails its test")]

use perennial_features::{Op, Tail};
use perennial_policy::{DataFigure, SignalKind};
use perennial_project::{Fault, Project, ServiceLevel};
use perennial_types::TimeSpan;

const SMALLEST: &str = include_str!("fixtures/smallest.yaml");

/// The smallest project with something more in its view and its policy.
fn text(view: &str, signals: &str) -> String {
    SMALLEST
        .replace("windows: [7d]}]\n", &format!("windows: [7d]}}]\n{view}"))
        .replace("models: [fare]\ntriggers", &format!("models: [fare]\nsignals: {{{signals}}}\ntriggers"))
}

fn parse(text: &str) -> Result<Project, Vec<Fault>> {
    Project::parse(&[("taxi.yaml".to_owned(), text.to_owned())])
}

fn project(text: &str) -> Project {
    parse(text).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// What is said of one fault: path, message and help.
fn fault(text: &str) -> String {
    let faults = parse(text).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    format!("{}: {} {}", faults[0].path, faults[0].message, faults[0].help.as_deref().unwrap_or_default())
}

#[test]
fn a_service_level_is_promised_and_is_no_part_of_the_views_version() {
    let with = project(&text("service_level: {freshness_p99: 90s, null_rate: 0.02}\n", ""));
    let level = ServiceLevel { freshness_p99: Some(TimeSpan::from_secs(90)), null_rate: Some(0.02) };
    assert_eq!(with.service_levels.get("zone"), Some(&level));
    let without = project(SMALLEST);
    let version = |project: &Project| project.compile().unwrap().views[0].version();
    assert_eq!(version(&with), version(&without));
    let plan = with.diff(Some(&without)).unwrap().to_string();
    assert!(plan.contains("~ FeatureView \"zone\": service_level"), "{plan}");
    assert!(!plan.contains("backfill"), "{plan}");
    let wrong = |level: &str| fault(&text(&format!("service_level: {{{level}}}\n"), ""));
    assert!(wrong("freshnes_p99: 1s").contains("did you mean \"freshness_p99\"?"));
    assert!(wrong("null_rate: 2").contains("service_level.null_rate"));
    assert!(wrong("freshness_p99: 0.2").contains("service_level.freshness_p99"));
}

#[test]
fn signals_of_data_are_held_against_their_limit_or_the_service_level() {
    let signals = "fresh: {freshness: [zone.*], window: 1h}, same: {skew: [zone.*]}, came: {loss: [rides]}, \
                   nulls: {quality: [zone.*], limit: 0.1}, new: {quality: [rides.zone], of: new_categories}, \
                   some: {quality: [rides], of: volume, limit: 100}";
    let with = project(&text("service_level: {freshness_p99: 90s}\n", signals));
    let kinds: Vec<(DataFigure, Option<f64>)> = with.policies[0]
        .signals
        .iter()
        .map(|signal| match &signal.kind {
            SignalKind::Data { figure, limit, .. } => (*figure, *limit),
            other => panic!("{other:?}"),
        })
        .collect();
    let wanted = [
        (DataFigure::Freshness, None),
        (DataFigure::Skew, None),
        (DataFigure::Loss, None),
        (DataFigure::NullRate, Some(0.1)),
        (DataFigure::NewCategories, None),
        (DataFigure::Volume, Some(100.0)),
    ];
    assert_eq!(kinds, wanted);
    let when = |sql: &str| {
        text("service_level: {freshness_p99: 90s}\n", signals)
            .replace("schedule: \"0 3 * * *\"", &format!("when: \"{sql}\""))
    };
    for sql in ["fresh.value > 2 * fresh.limit", "NOT same.ok", "nulls.value > 0.3", "some.ok IS NULL"] {
        project(&when(sql));
    }
    assert!(fault(&when("fresh.value > 3")).contains("when"), "a duration is no number");
    assert!(fault(&when("same.okay")).contains("okay"));
}

#[test]
fn what_a_signal_of_data_names_is_there_and_has_a_limit() {
    let wrong = |signal: &str| fault(&text("", &format!("it: {{{signal}}}")));
    assert!(wrong("skew: [zon.*]").contains("there is no feature \"zon.*\" did you mean \"zone.*\"?"));
    assert!(wrong("loss: [ride]").contains("there is no source \"ride\" did you mean \"rides\"?"));
    assert!(wrong("quality: [rides.fair], limit: 0.1").contains("did you mean \"rides.fare\"?"));
    assert!(
        wrong("freshness: [zone.*]")
            .contains("nothing says what freshness of \"zone.fare_7d\" is held against")
    );
    assert!(wrong("quality: [zone.*]").contains("service_level: {null_rate: 0.02}"));
    assert!(wrong("quality: [rides], of: volume").contains("give `limit`"));
    assert!(
        wrong("quality: [rides.fare], of: null_rates, limit: 0.1").contains("did you mean \"null_rate\"?")
    );
    assert!(wrong("skew: [zone.*], window: 60d").contains("are kept for 30d"));
    assert!(wrong("skew: [zone.*], every: 90s").contains("no multiple of the project's tick"));
    assert!(wrong("skew: [zone.*], limit: 2").contains("signals.it.limit"));
}

#[test]
fn recent_actions_are_lists_that_stand_together() {
    let declared = text("recent: {rides: {columns: [fare, at], last: 50, within: 96h}}\n", "");
    let project = project(&declared.replace("[km, zone.*]", "[km, zone.fare_7d]"));
    let aggregates = &project.views[0].aggregates[1..];
    let names: Vec<&str> = aggregates.iter().map(|aggregate| &*aggregate.name).collect();
    assert_eq!(names, ["rides_fare", "rides_at"]);
    for aggregate in aggregates {
        assert_eq!((aggregate.ops.as_slice(), aggregate.tail), ([Op::LastK(50)].as_slice(), Tail::Exact));
        assert_eq!(aggregate.filter.as_deref(), Some("\"fare\" IS NOT NULL AND \"at\" IS NOT NULL"));
    }
    let compiled = project.compile().unwrap();
    let fares = compiled.views[0].outputs().column("zone.rides_fare_4d").unwrap();
    assert_eq!(fares.data_type.name(), "list<double>");
}

#[test]
fn a_view_may_have_recent_actions_alone() {
    let alone = SMALLEST.replace(
        "aggregates: [{name: fare, op: avg, of: fare, windows: [7d]}]",
        "recent: {rides: {columns: [fare], last: 3, within: 7d}}",
    );
    let alone = alone
        .replace(
            "features: [zone.*]",
            "on_demand: {spent: \"list_sum(zone.rides_fare_7d)\"}\nfeatures: [zone.*]",
        )
        .replace("[km, zone.*]", "[km, spent]");
    project(&alone);
}

#[test]
fn a_fault_of_recent_actions_names_where_they_are_declared() {
    let wrong = |recent: &str| {
        let declared = text(&format!("recent: {{rides: {{{recent}}}}}\n"), "");
        fault(&declared.replace("[km, zone.*]", "[km, zone.fare_7d]"))
    };
    let said = wrong("columns: [fair], last: 3, within: 7d");
    assert!(
        said.starts_with("FeatureView \"zone\": recent.rides.columns[0]: ")
            && said.contains("known are at, zone, fare"),
        "{said}"
    );
    assert!(wrong("columns: [fare], within: 7d").contains("\"last\" is missing"));
    assert!(wrong("columns: [fare], last: 99999, within: 7d").contains("are too many"));
    assert!(wrong("columns: [fare], lst: 9, last: 3, within: 7d").contains("did you mean \"last\"?"));
}

#[test]
fn the_ready_source_of_actions_is_taken_and_grows() {
    let own = |more: &str| {
        format!(
            "kind: Project\nname: shop\n---\nkind: Source\nname: clicks\nuse: actions\n{more}---\n\
             kind: FeatureView\nname: shopper\nentity: [actor]\nfrom: clicks\n\
             aggregates: [{{name: bought, op: sum, of: value, where: \"action = 'buy'\", windows: [7d]}}]\n"
        )
    };
    let source = |more: &str| project(&own(more)).sources[0].clone();
    let ready = source("");
    let names: Vec<&str> = ready.schema.names().map(AsRef::as_ref).collect();
    assert_eq!(names, ["id", "at", "actor", "action", "object", "value", "session", "surface"]);
    assert_eq!((&*ready.name, ready.id.as_deref()), ("clicks", Some("id")));
    assert_eq!(ready.event_time, "at".into());
    let grown = source("schema: {price: double?}\nretention: 30d\n");
    assert_eq!(grown.schema.names().count(), 9);
    assert_eq!(grown.retention, TimeSpan::from_days(30));
    let said = fault(&own("").replace("use: actions", "use: action"));
    assert!(said.contains("there is no ready source \"action\" did you mean \"actions\"?"), "{said}");
}
