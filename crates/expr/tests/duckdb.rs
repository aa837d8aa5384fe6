//! The semantics shared with DuckDB, against values that DuckDB computed (`golden/make_duckdb.py`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

use perennial_expr::Expr;
use perennial_types::{DataType, Row, Schema, Timestamp, Value};
use serde_json::Value as Json;

fn golden() -> Json {
    serde_json::from_str(include_str!("golden/duckdb.json")).unwrap()
}

fn schema(golden: &Json) -> Schema {
    let columns = golden["schema"].as_array().unwrap().iter();
    let declared: Vec<(&str, &str)> =
        columns.map(|column| (column[0].as_str().unwrap(), column[1].as_str().unwrap())).collect();
    Schema::parse(&declared).unwrap()
}

fn value(json: &Json, data_type: DataType) -> Value {
    match (json, data_type) {
        (Json::Null, _) => Value::Null,
        (json, DataType::Boolean) => Value::Boolean(json.as_bool().unwrap()),
        (json, DataType::Int64) => Value::Int64(json.as_i64().unwrap()),
        (json, DataType::Double) => Value::Double(json.as_f64().unwrap()),
        (json, DataType::String) => Value::String(json.as_str().unwrap().into()),
        (json, DataType::Timestamp) => Value::Timestamp(Timestamp::parse(json.as_str().unwrap()).unwrap()),
        (_, DataType::Duration | DataType::List(_) | DataType::Map(_)) => panic!("none in the golden rows"),
    }
}

fn same(ours: &Value, theirs: &Json, close: bool) -> bool {
    match (ours, theirs) {
        (Value::Null, Json::Null) => true,
        (Value::Boolean(ours), theirs) => theirs.as_bool() == Some(*ours),
        // Some functions keep int64 where DuckDB gives a double.
        (Value::Int64(ours), theirs) if theirs.is_f64() => theirs.as_f64() == Some(*ours as f64),
        (Value::Int64(ours), theirs) => theirs.as_i64() == Some(*ours),
        (Value::Double(ours), theirs) => theirs.as_f64().is_some_and(|theirs| {
            ours.to_bits() == theirs.to_bits()
                || close && (ours - theirs).abs() <= 4.0 * f64::EPSILON * theirs.abs()
        }),
        (Value::String(ours), theirs) => theirs.as_str() == Some(ours),
        (Value::Timestamp(ours), theirs) => {
            theirs.as_str().is_some_and(|theirs| Timestamp::parse(theirs).unwrap() == *ours)
        }
        (Value::Null | Value::Duration(_) | Value::List(_) | Value::Map(_), _) => false,
    }
}

#[test]
fn shared_semantics_give_the_values_of_duckdb() {
    let golden = golden();
    let schema = schema(&golden);
    let rows: Vec<Row> = golden["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let cells = row.as_array().unwrap().iter().zip(schema.columns());
            cells.map(|(json, column)| value(json, column.data_type)).collect()
        })
        .collect();
    let mut differences = Vec::new();
    let mut compared = 0;
    for case in golden["cases"].as_array().unwrap() {
        let sql = case["sql"].as_str().unwrap();
        let expr = Expr::compile(sql, &schema).unwrap_or_else(|error| panic!("{sql}: {error}"));
        for (row, theirs) in rows.iter().zip(case["values"].as_array().unwrap()) {
            let ours = expr.evaluate(row);
            compared += 1;
            if !same(&ours, theirs, case["close"].as_bool().unwrap()) {
                differences.push(format!("{sql} of {row:?}: {ours}, DuckDB {theirs}"));
            }
        }
    }
    assert!(compared > 2_500, "only {compared} values compared");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
