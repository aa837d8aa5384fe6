//! A row and columns give the same bits, for random typed expressions over random rows.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use perennial_expr::{Expr, to_arrays, value_at};
use perennial_types::{Row, Schema, Timestamp, Value};
use proptest::prelude::*;

fn schema() -> Schema {
    let declared = [
        ("i", "int64?"),
        ("j", "int64?"),
        ("x", "double?"),
        ("q.y", "double?"),
        ("s", "string?"),
        ("b", "boolean?"),
        ("ts", "timestamp?"),
    ];
    Schema::parse(&declared).unwrap()
}

fn number() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["i", "j", "x", "q.y", "LENGTH(s)", "EXTRACT(hour FROM ts)"])
            .prop_map(str::to_owned),
        (-9_i64..9).prop_map(|n| n.to_string()),
        (-9.0..9.0).prop_map(|n: f64| format!("{n:?}")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!["+", "-", "*", "/", "%"]), inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (prop::sample::select(vec!["ABS", "EXP", "SQRT", "FLOOR", "SIN", "ROUND", "LN"]), inner.clone())
                .prop_map(|(f, a)| format!("{f}({a})")),
            (
                prop::sample::select(vec!["COALESCE", "NULLIF", "GREATEST", "LEAST"]),
                inner.clone(),
                inner.clone()
            )
                .prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("CASE {a} WHEN {b} THEN {c} ELSE {a} END")),
            inner.prop_map(|a| format!("CAST({a} AS BIGINT)")),
        ]
    })
    .boxed()
}

fn condition() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        (number(), prop::sample::select(vec!["<", "=", ">=", "IS DISTINCT FROM"]), number())
            .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        Just("b".to_owned()),
        Just("s LIKE 'a%'".to_owned()),
        Just("ts + 36h > TIMESTAMP '2001-01-01'".to_owned()),
        (number(), number(), number()).prop_map(|(a, b, c)| format!("{a} BETWEEN {b} AND {c}")),
        (number(), number()).prop_map(|(a, b)| format!("{a} IN (1, NULL, {b})")),
    ];
    leaf.prop_recursive(2, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!["AND", "OR"]), inner.clone())
                .prop_map(|(a, op, b)| format!("(({a}) {op} ({b}))")),
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            inner.prop_map(|a| format!("({a}) IS TRUE")),
        ]
    })
    .boxed()
}

fn any_expression() -> impl Strategy<Value = String> {
    prop_oneof![
        number(),
        condition(),
        (condition(), number())
            .prop_map(|(a, b)| format!("CASE WHEN {a} THEN UPPER(s) ELSE s || CAST({b} AS STRING) END")),
        number().prop_map(|a| format!("ts - 1h * ({a})")),
        number().prop_map(|a| format!("DATE_TRUNC('day', ts) - ts + 90s / ({a})")),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    fn nullable(values: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
        prop_oneof![1 => Just(Value::Null), 4 => values].boxed()
    }
    let int = || nullable(prop_oneof![-9..9_i64, any::<i64>()].prop_map(Value::Int64));
    let double = || nullable(prop_oneof![-9.0..9.0, any::<f64>()].prop_map(Value::Double));
    let text = nullable("[a-c\u{e9} ]{0,4}".prop_map(|text| Value::String(text.into())));
    let boolean = nullable(any::<bool>().prop_map(Value::Boolean));
    let time = nullable(any::<i64>().prop_map(|micros| Value::Timestamp(Timestamp::from_micros(micros))));
    (int(), int(), double(), double(), text, boolean, time)
        .prop_map(|(i, j, x, y, s, b, ts)| vec![i, j, x, y, s, b, ts])
}

proptest! {
    #[test]
    fn rows_and_columns_give_the_same_bits(sql in any_expression(), rows in prop::collection::vec(row(), 0..12)) {
        let schema = schema();
        let expr = Expr::compile(&sql, &schema).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let result = expr.evaluate_columns(&to_arrays(&schema, &rows), rows.len());
        prop_assert_eq!(result.len(), rows.len());
        for (i, row) in rows.iter().enumerate() {
            let value = expr.evaluate(row);
            if let Value::Double(value) = value {
                prop_assert!(value.is_finite());
            }
            prop_assert!(value.null() || value.data_type() == expr.data_type());
            prop_assert_eq!(&value, &value_at(&result, i), "{} of {:?}", sql, row);
        }
    }

    #[test]
    fn no_text_makes_the_compiler_panic(sql in "[a-z0-9().,'\" *+/<=>%:?$-]{0,40}") {
        let _either = Expr::compile(&sql, &schema());
        let _either = Expr::names(&sql);
    }
}

#[test]
fn a_row_of_other_types_or_too_short_is_null() {
    let expr = Expr::compile("x + 1", &schema()).unwrap();
    assert_eq!(expr.columns(), [2]);
    assert_eq!(expr.evaluate(&[]), Value::Null);
    assert_eq!(expr.evaluate(&[Value::Null, Value::Null, Value::Boolean(true)]), Value::Null);
    assert_eq!(expr.evaluate_columns(&[], 3).null_count(), 3);
}
