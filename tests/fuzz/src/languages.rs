//! Texts that users write.

use std::sync::LazyLock;

use perennial_expr::Expr;
use perennial_project::Project;
use perennial_types::{Schema, Timestamp, Value};

/// A file of declarations: faults, or a project that compiles.
pub(crate) fn declarations(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(project) = Project::parse(&[("fuzz.yaml".to_owned(), text.to_owned())]) {
        assert!(project.compile().is_ok(), "a project without faults compiles");
    }
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let columns = [
        ("a", "double?"),
        ("n", "int64?"),
        ("s", "string?"),
        ("b", "boolean?"),
        ("t", "timestamp?"),
        ("l", "list<double>?"),
        ("m", "map<int64>?"),
    ];
    Schema::parse(&columns).expect("a schema")
});

/// An SQL expression, on a row and on one of NULLs.
pub(crate) fn expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(expression) = Expr::compile(text, &SCHEMA) else { return };
    let row = [
        Value::Double(-1.5),
        Value::Int64(i64::MIN),
        Value::String("Straße".into()),
        Value::Boolean(true),
        Value::Timestamp(Timestamp::from_micros(1)),
        Value::List([Value::Double(0.0), Value::Double(2.0)].into()),
        Value::Map([("k".into(), Value::Int64(3))].into()),
    ];
    let nulls = vec![Value::Null; row.len()];
    for row in [&row[..], &nulls] {
        let value = expression.evaluate(row);
        if let (Some(found), Some(declared)) = (value.data_type(), expression.data_type()) {
            assert!(found == declared || declared.nested(), "{text:?} is {value}, declared as {declared}");
        }
    }
}
