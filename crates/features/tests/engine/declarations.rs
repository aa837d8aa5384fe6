//! What a view says about itself, and about its faults.

use perennial_features::{NamedExpr, Op, Tail, View};
use perennial_types::{Kind, TimeSpan};

use crate::setup::{aggregate, source, spec, view};

#[test]
fn outputs_are_named_op_by_op_and_window_by_window() {
    let mut busy = aggregate("busy", &[Op::Count], None, &["30d"], Tail::Exact);
    busy.op_in_name = false;
    let mut spec =
        spec(vec![aggregate("n", &[Op::Avg, Op::Max], Some("n"), &["7d", "30d"], Tail::Hop), busy]);
    spec.derived = vec![NamedExpr { name: "trend".into(), expr: "n_avg_7d / n_avg_30d".into() }];
    let view = View::compile(spec, &source()).unwrap();
    let outputs = view.outputs().columns().iter();
    let outputs: Vec<String> =
        outputs.map(|column| format!("{} {}", column.name, column.data_type)).collect();
    let wanted = [
        "v.n_avg_7d double",
        "v.n_avg_30d double",
        "v.n_max_7d int64",
        "v.n_max_30d int64",
        "v.busy_30d int64",
        "v.trend double",
    ];
    assert_eq!(outputs, wanted);
    assert_eq!(view.horizon(), TimeSpan::from_days(30));
    assert_eq!(&*view.entity()[0].name, "key");
}

#[test]
fn the_version_follows_the_definition_and_the_columns_it_reads() {
    let aggregates = || vec![aggregate("n", &[Op::Sum], Some("n"), &["7d"], Tail::Hop)];
    let version = view(aggregates()).version();
    assert_eq!(view(aggregates()).version(), version);
    let longer = vec![aggregate("n", &[Op::Sum], Some("n"), &["8d"], Tail::Hop)];
    assert_ne!(view(longer).version(), version);
    let other = |name: &str, given: &str| {
        let mut source = source();
        let mut columns = source.schema.columns().to_vec();
        let at = source.schema.index_of(name).unwrap();
        columns[at] = perennial_types::Schema::parse_column(name, given).unwrap();
        source.schema = perennial_types::Schema::new(columns).unwrap();
        View::compile(spec(aggregates()), &source).unwrap().version()
    };
    assert_ne!(other("n", "double?"), version);
    assert_eq!(other("text", "int64?"), version, "a column that is not read");
}

#[test]
fn every_fault_is_named_at_once_and_none_is_blamed_twice() {
    let mut faulty = spec(vec![
        aggregate("a", &[Op::Sum], Some("text"), &["7d"], Tail::Hop),
        aggregate("b", &[Op::Sum], None, &["500d", "1ms"], Tail::Hop),
        aggregate("c d", &[Op::Count], Some("broken"), &["7d"], Tail::Hop),
        aggregate("e", &[Op::Max], Some("x"), &["7d", "7d"], Tail::Hop),
        aggregate("f", &[], None, &[], Tail::Hop),
    ]);
    faulty.aggregates[3].filter = Some("n".into());
    faulty.entity = vec!["kay".into(), "x".into()];
    faulty.columns = vec![
        NamedExpr { name: "broken".into(), expr: "missing".into() },
        NamedExpr { name: "n".into(), expr: "n".into() },
    ];
    faulty.derived = vec![NamedExpr { name: "g".into(), expr: "a_sum_7d".into() }];
    let faults = View::check(&faulty, &source());
    let wanted = [
        ("entity[0]", "did you mean \"key\"?"),
        ("entity[1]", "is a double"),
        ("columns.broken", "missing"),
        ("columns.n", "the source already has a column"),
        ("aggregates[0].of", "no sum of string values"),
        ("aggregates[1].windows", "window 500d is longer than source \"samples\" keeps its events (400d)"),
        ("aggregates[1].windows", "window 1ms is shorter than 1s"),
        ("aggregates[1].of", "sum needs values"),
        ("aggregates[2].name", "\"c d\" is not a name"),
        ("aggregates[3].where", "a condition is boolean, this is int64"),
        ("aggregates[3].name", "there is already a feature \"e_max_7d\""),
        ("aggregates[4].op", "count, sum, avg"),
        ("aggregates[4].windows", "at least one window"),
    ];
    let found: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for (fault, (field, problem)) in found.iter().zip(wanted) {
        assert!(fault.starts_with(&format!("feature view \"v\", {field}: ")), "{fault} for {field}");
        assert!(fault.contains(problem), "{fault} for {problem}");
    }
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    assert!(faults.iter().all(|fault| fault.kind() == Kind::Invalid));
    assert_eq!(View::compile(faulty, &source()).unwrap_err(), faults[0]);
}
