//! Tensors of the Open Inference Protocol into rows: one tensor a column of the request.

use perennial_types::{DataType, Schema, did_you_mean};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::body::{members, take, take_object, whole};
use crate::problem::Problem;
use crate::schemas::MOST_ROWS;

/// The one output.
pub(super) const PREDICTION: &str = "prediction";

/// What is said of a tensor in an endpoint's metadata.
#[derive(Serialize)]
pub(super) struct Column {
    name: String,
    datatype: &'static str,
    shape: [i64; 1],
}

impl Column {
    pub(super) fn prediction() -> Self {
        Self { name: PREDICTION.to_owned(), datatype: "FP64", shape: [-1] }
    }
}

/// The answers as a tensor.
#[derive(Serialize)]
pub(super) struct Outputs {
    name: &'static str,
    datatype: &'static str,
    shape: [usize; 1],
    data: Vec<f64>,
}

impl Outputs {
    pub(super) fn of(data: Vec<f64>) -> Self {
        Self { name: PREDICTION, datatype: "FP64", shape: [data.len()], data }
    }
}

/// The tensors of a request.
pub(super) fn columns(schema: &Schema) -> Vec<Column> {
    let of = |column: &perennial_types::Column| Column {
        name: column.name.to_string(),
        datatype: datatypes(column.data_type)[0],
        shape: [-1],
    };
    schema.columns().iter().map(of).collect()
}

/// The datatypes that a column takes, its own first.
fn datatypes(data_type: DataType) -> &'static [&'static str] {
    match data_type {
        DataType::Boolean => &["BOOL"],
        DataType::Int64 => &["INT64", "INT32"],
        DataType::Double => &["FP64", "FP32", "INT64", "INT32"],
        DataType::String
        | DataType::Timestamp
        | DataType::Duration
        | DataType::List(_)
        | DataType::Map(_) => &["BYTES"],
    }
}

/// A request for each row of the input tensors.
pub(super) fn rows(inputs: Value, schema: &Schema) -> Result<Vec<Value>, Problem> {
    let Value::Array(inputs) = inputs else {
        return Err(Problem::invalid(
            "\"inputs\" is an array of tensors, one for each column of the request",
        ));
    };
    let mut rows: Option<Vec<Map<String, Value>>> = None;
    for (index, input) in inputs.into_iter().enumerate() {
        let (name, data) = tensor(input, index, schema)?;
        let rows = rows.get_or_insert_with(|| vec![Map::new(); data.len()]);
        if rows.len() != data.len() {
            let (first, found) = (rows.len(), data.len());
            return Err(Problem::unprocessable(format!(
                "input {name:?} has {found} rows and the ones before it {first}; all have the same"
            )));
        }
        for (row, value) in rows.iter_mut().zip(data) {
            if row.insert(name.clone(), value).is_some() {
                return Err(Problem::unprocessable(format!("there are two inputs {name:?}")));
            }
        }
    }
    match rows {
        Some(rows) => Ok(rows.into_iter().map(Value::Object).collect()),
        None => Err(Problem::invalid("\"inputs\" is empty; send a tensor for each column of the request")),
    }
}

/// The name and the data of one tensor.
fn tensor(input: Value, index: usize, schema: &Schema) -> Result<(String, Vec<Value>), Problem> {
    let what = format!("inputs[{index}]");
    let mut input = members(input, &what, &["name", "shape", "datatype", "parameters", "data"])?;
    let Value::String(name) = take(&mut input, &what, "name")? else {
        return Err(Problem::invalid(format!("{what}: \"name\" is a text")));
    };
    let Some(column) = schema.column(&name) else {
        let help = did_you_mean(&name, schema.names());
        return Err(Problem::unprocessable(format!("{what}: unknown column {name:?}{help}")));
    };
    let parameters = take_object(&mut input, &what, "parameters")?;
    if parameters.is_some_and(|parameters| parameters.contains_key("binary_data_size")) {
        return Err(Problem::unprocessable(format!(
            "input {name:?}: binary tensors are not supported yet; send JSON"
        )));
    }
    let wanted = datatypes(column.data_type);
    let datatype = take(&mut input, &what, "datatype")?;
    if !datatype.as_str().is_some_and(|given| wanted.contains(&given)) {
        let (column, wanted) = (column.data_type, wanted.join(", "));
        return Err(Problem::unprocessable(format!(
            "input {name:?} is a column of type {column}: its datatype is one of {wanted}, found {datatype}"
        )));
    }
    let count = count(&name, &take(&mut input, &what, "shape")?)?;
    let data = flat(&name, take(&mut input, &what, "data")?)?;
    if data.len() != count {
        let found = data.len();
        return Err(Problem::unprocessable(format!(
            "input {name:?} has {found} values and a shape of {count}"
        )));
    }
    Ok((name, data))
}

/// The rows of a shape: `[n]` or `[n, 1]`.
fn count(name: &str, shape: &Value) -> Result<usize, Problem> {
    let sizes: Option<Vec<u64>> = shape.as_array().and_then(|sizes| sizes.iter().map(whole).collect());
    let count = match sizes.as_deref() {
        Some([count] | [count, 1]) => Some(*count),
        Some(_) | None => None,
    };
    match count {
        Some(count) if (1..=u64::from(MOST_ROWS)).contains(&count) => Ok(count as usize),
        Some(_) => Err(Problem::invalid(format!(
            "input {name:?} has shape {shape}; a request has 1 to {MOST_ROWS} rows"
        ))),
        None => Err(Problem::invalid(format!("input {name:?} has shape {shape}; it is [n] or [n, 1]"))),
    }
}

/// The data, which a shape of `[n, 1]` may nest.
fn flat(name: &str, data: Value) -> Result<Vec<Value>, Problem> {
    let wrong = || Problem::invalid(format!("input {name:?}: \"data\" is an array of one value a row"));
    let Value::Array(data) = data else { return Err(wrong()) };
    let one = |value: Value| match value {
        Value::Array(mut inner) if inner.len() == 1 => {
            inner.pop().filter(|value| !value.is_array()).ok_or_else(wrong)
        }
        Value::Array(_) => Err(wrong()),
        value => Ok(value),
    };
    data.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        Schema::parse(&[("temp", "double"), ("hr", "int64"), ("holiday", "boolean?"), ("city", "string?")])
            .unwrap()
    }

    fn input(name: &str, datatype: &str, shape: Value, data: Value) -> Value {
        json!({"name": name, "datatype": datatype, "shape": shape, "data": data})
    }

    #[test]
    fn rows_are_the_columns_transposed() {
        let inputs = json!([
            input("temp", "FP64", json!([2]), json!([0.5, 1])),
            input("hr", "INT32", json!([2, 1]), json!([[3], [4]])),
            input("city", "BYTES", json!([2]), json!(["a", null])),
            input("holiday", "BOOL", json!([2]), json!([true, false])),
        ]);
        let expected = [
            json!({"temp": 0.5, "hr": 3, "city": "a", "holiday": true}),
            json!({"temp": 1, "hr": 4, "city": null, "holiday": false}),
        ];
        let rows = rows(inputs, &schema()).unwrap();
        assert_eq!(rows, expected);
        assert!(rows.iter().all(|row| schema().decode_json(row).is_ok()));
    }

    #[test]
    fn metadata_names_a_datatype_that_is_taken() {
        for column in columns(&schema()) {
            let tensor = input(&column.name, column.datatype, json!([1]), json!([null]));
            assert!(rows(json!([tensor]), &schema()).is_ok(), "{}", column.name);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |inputs: Value| rows(inputs, &schema()).unwrap_err().detail().to_owned();
        let temp = |shape, data| json!([input("temp", "FP64", shape, data)]);
        let cases = [
            (json!({}), "\"inputs\" is an array of tensors"),
            (json!([]), "\"inputs\" is empty"),
            (json!([7]), "inputs[0] is a JSON object"),
            (json!([{"name": "temp"}]), "inputs[0] lacks the member \"datatype\""),
            (json!([input("tmp", "FP64", json!([1]), json!([1]))]), "did you mean \"temp\"?"),
            (
                json!([input("hr", "FP64", json!([1]), json!([1]))]),
                "its datatype is one of INT64, INT32, found \"FP64\"",
            ),
            (temp(json!([1, 2]), json!([1, 2])), "has shape [1,2]; it is [n] or [n, 1]"),
            (temp(json!([-1]), json!([1])), "has shape [-1]"),
            (temp(json!([0]), json!([])), "a request has 1 to 4096 rows"),
            (temp(json!([4097]), json!([])), "a request has 1 to 4096 rows"),
            (temp(json!([2]), json!([1])), "has 1 values and a shape of 2"),
            (temp(json!([1]), json!(1)), "an array of one value a row"),
            (temp(json!([1]), json!([[[1]]])), "an array of one value a row"),
        ];
        for (inputs, expected) in cases {
            let found = message(inputs.clone());
            assert!(found.contains(expected), "{inputs}: {found}");
        }
        let uneven = json!([
            input("temp", "FP64", json!([1]), json!([1])),
            input("hr", "INT64", json!([2]), json!([1, 2])),
        ]);
        assert!(message(uneven).contains("has 2 rows and the ones before it 1"));
        let twice = input("temp", "FP64", json!([1]), json!([1]));
        assert!(message(json!([twice, twice])).contains("there are two inputs \"temp\""));
        let binary = json!([{"name": "temp", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}]);
        assert!(message(binary).contains("binary tensors are not supported yet"));
    }
}
