//! Lists and maps: elements, lengths and membership, on rows and on columns.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test")]

use perennial_expr::{Expr, to_arrays, value_at};
use perennial_types::{Column, DataType, Element, Row, Schema, Value};

fn schema() -> Schema {
    let column = |name: &str, data_type| Column { name: name.into(), data_type, nullable: true };
    Schema::new(vec![
        column("x", DataType::List(Element::Double)),
        column("names", DataType::List(Element::String)),
        column("m", DataType::Map(Element::Int64)),
        column("i", DataType::Int64),
    ])
    .unwrap()
}

fn rows() -> Vec<Row> {
    let x = Value::List([0.5, -0.0, 2.0].map(Value::Double).into());
    let names = Value::List(["a", "b"].map(|name| Value::String(name.into())).into());
    let m = Value::Map([("de".into(), Value::Int64(7)), ("uk".into(), Value::Int64(9))].into());
    vec![
        vec![x, names, m, Value::Int64(2)],
        vec![Value::List([].into()), Value::List([].into()), Value::Map([].into()), Value::Int64(-1)],
        vec![Value::Null, Value::Null, Value::Null, Value::Null],
    ]
}

/// The values of an expression over the rows, which are the same over columns.
fn values(sql: &str) -> Vec<String> {
    let (schema, rows) = (schema(), rows());
    let expr = Expr::compile(sql, &schema).unwrap();
    let array = expr.evaluate_columns(&to_arrays(&schema, &rows), rows.len());
    let by_row: Vec<Value> = rows.iter().map(|row| expr.evaluate(row)).collect();
    let by_column: Vec<Value> = (0..rows.len()).map(|i| value_at(&array, i)).collect();
    assert_eq!(by_row, by_column, "{sql}");
    by_row.iter().map(ToString::to_string).collect()
}

#[test]
fn elements_and_entries_are_null_where_there_is_none() {
    assert_eq!(values("x[1]"), ["0.5", "NULL", "NULL"]);
    assert_eq!(values("x[i]"), ["-0", "NULL", "NULL"]);
    assert_eq!(values("x[-1] * 2"), ["4", "NULL", "NULL"]);
    assert_eq!(values("x[0]"), ["NULL", "NULL", "NULL"]);
    assert_eq!(values("x[4]"), ["NULL", "NULL", "NULL"]);
    assert_eq!(values("names[2] || '!'"), ["b!", "NULL", "NULL"]);
    assert_eq!(values("m['uk']"), ["9", "NULL", "NULL"]);
    assert_eq!(values("COALESCE(m['fr'], 0)"), ["0", "0", "0"]);
}

#[test]
fn lengths_and_membership_are_those_of_duckdb() {
    assert_eq!(values("len(x)"), ["3", "0", "NULL"]);
    assert_eq!(values("cardinality(m)"), ["2", "0", "NULL"]);
    assert_eq!(values("list_contains(x, 2)"), ["true", "false", "NULL"]);
    assert_eq!(values("list_contains(x, 0.0)"), ["true", "false", "NULL"]);
    assert_eq!(values("list_contains(names, 'c')"), ["false", "false", "NULL"]);
    assert_eq!(values("map_contains(m, 'de')"), ["true", "false", "NULL"]);
    assert_eq!(values("x IS NULL"), ["false", "false", "true"]);
}

/// As DuckDB 1.3 answers for `[0.5, -0.0, 2.0]`, `['a', 'b']`, the empty list and NULL.
#[test]
fn what_is_computed_of_lists_is_that_of_duckdb() {
    assert_eq!(values("list_sum(x)"), ["2.5", "NULL", "NULL"]);
    assert_eq!(values("list_avg(x) * 3"), ["2.5", "NULL", "NULL"]);
    assert_eq!(values("list_min(x)"), ["-0", "NULL", "NULL"]);
    assert_eq!(values("list_max(x)"), ["2", "NULL", "NULL"]);
    assert_eq!(values("list_unique(x)"), ["3", "0", "NULL"]);
    assert_eq!(values("list_unique(names)"), ["2", "0", "NULL"]);
    assert_eq!(values("list_count_of(names, 'b')"), ["1", "0", "NULL"]);
    assert_eq!(values("list_count_of(x, 0)"), ["1", "0", "NULL"]);
    assert_eq!(values("COALESCE(list_sum(x), 0)"), ["2.5", "0", "0"]);
}

#[test]
fn whole_numbers_stay_whole_and_what_does_not_fit_is_null() {
    let column = |name: &str, element| Column {
        name: name.into(),
        data_type: DataType::List(element),
        nullable: true,
    };
    let schema = Schema::new(vec![column("n", Element::Int64), column("t", Element::Timestamp)]).unwrap();
    let value = |sql: &str, n: &[i64]| {
        let times = n.iter().map(|secs| {
            Value::Timestamp(perennial_types::Timestamp::from_micros(secs.wrapping_mul(1_000_000)))
        });
        let row = [Value::List(n.iter().copied().map(Value::Int64).collect()), Value::List(times.collect())];
        Expr::compile(sql, &schema).unwrap().evaluate(&row)
    };
    assert_eq!(value("list_sum(n)", &[3, -5, 3]), Value::Int64(1));
    assert_eq!(value("list_sum(n)", &[i64::MAX, 1]), Value::Null);
    assert_eq!(value("list_avg(n)", &[1, 2]), Value::Double(1.5));
    assert_eq!(value("list_unique(n)", &[3, -5, 3]), Value::Int64(2));
    assert_eq!(value("list_count_of(n, 3)", &[3, -5, 3]), Value::Int64(2));
    assert_eq!(value("list_max(t) - list_min(t) = 8s", &[3, -5, 3]), Value::Boolean(true));
}

#[test]
fn a_list_by_itself_is_the_same_on_rows_and_columns() {
    assert_eq!(values("names"), [r#"["a","b"]"#, "[]", "NULL"]);
    assert_eq!(values("m"), [r#"{"de":7,"uk":9}"#, "{}", "NULL"]);
}

#[test]
fn what_lists_do_not_do_is_refused_with_what_would_help() {
    let refusal = |sql: &str| Expr::compile(sql, &schema()).unwrap_err().message().to_owned();
    assert!(refusal("x = x").contains("takes no list<double>; take one element, as in x[1]"));
    assert!(refusal("x + 1").contains("list<double>"));
    assert!(refusal("CAST(x AS STRING)").contains("as in x[1]"));
    assert!(refusal("x['a']").contains("wants int64"));
    assert!(refusal("m[1]").contains("wants string"));
    assert!(refusal("i[1]").contains("wants a list or a map"));
    assert!(refusal("x[1:2]").contains("take one element"));
    assert!(refusal("len(m)").contains("wants a list"));
    assert!(refusal("list_sum(names)").contains("wants a list of numbers"));
    assert!(refusal("list_count_of(names, 1)").contains("wants string"));
    assert!(refusal("list_contains(names, 1)").contains("wants string"));
}
