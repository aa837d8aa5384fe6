//! Whether an answer is of the form that the OpenAPI document promises.

use serde_json::Value;

/// The form of a route's answer of this status.
pub(crate) fn form<'a>(document: &'a Value, method: &str, path: &str, status: u16) -> &'a Value {
    let pattern = |known: &str| {
        let (known, path) = (known.split('/'), path.split('/'));
        known.clone().count() == path.clone().count()
            && known.zip(path).all(|(a, b)| a == b || a.starts_with('{'))
    };
    let paths = document["paths"].as_object().unwrap();
    let exact = paths.get(path);
    let item = exact.unwrap_or_else(|| paths.iter().find(|(known, _)| pattern(known)).unwrap().1);
    let response = &item[method.to_lowercase()]["responses"][status.to_string()];
    assert!(!response.is_null(), "{method} {path} may not answer {status}");
    let response = resolve(document, response);
    &response["content"].as_object().unwrap().values().next().unwrap()["schema"]
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    }
}

/// Panics where `json` is not of the form `schema`, or has members that it does not list.
pub(crate) fn check(document: &Value, schema: &Value, json: &Value, place: &str) {
    let schema = resolve(document, schema);
    if let Some(forms) = schema["oneOf"].as_array() {
        let form = forms.iter().find(|form| (form["type"] == "null") == json.is_null());
        return check(document, form.unwrap(), json, place);
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        Value::Null => return,
        one => vec![one.clone()],
    };
    let found = match json {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = types.iter().any(|kind| kind == found || (kind == "number" && found == "integer"));
    assert!(fits, "{place} is {json}, promised is {}", schema["type"]);
    if let (Some(words), Value::String(_)) = (schema["enum"].as_array(), json) {
        assert!(words.contains(json), "{place} is {json}");
    }
    match json {
        Value::Array(items) => items.iter().for_each(|item| check(document, &schema["items"], item, place)),
        Value::Object(members) => {
            let Some(properties) = schema["properties"].as_object() else { return };
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(members.contains_key(name.as_str().unwrap()), "{place} lacks {name}");
            }
            for (name, member) in members {
                let property = properties.get(name).unwrap_or_else(|| panic!("{place} has {name}"));
                check(document, property, member, &format!("{place}.{name}"));
            }
        }
        _ => {}
    }
}
