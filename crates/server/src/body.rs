//! Request bodies: bytes, JSON with positions in its errors, one object or many.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_types::{Kind, did_you_mean};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use crate::problem::Problem;
use crate::text::{self, TextForm};

/// The largest body that is read, in bytes.
pub(crate) const LARGEST: usize = 32 << 20;

/// The whole body, whatever its Content-Type says.
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await;
        bytes.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is larger than {} MiB; send it in parts", LARGEST >> 20),
            ),
            _ => Problem::invalid(rejection.body_text()),
        })
    }
}

/// Read JSON; the message has line and column.
pub(crate) fn json(bytes: &[u8]) -> Result<Json, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Err(Problem::invalid("the body is empty; JSON is wanted"));
    }
    serde_json::from_slice(bytes).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> Problem {
    Problem::invalid(format!("the body is not JSON: {error}"))
}

/// Answer with JSON. Unlike axum's own, the value may be borrowed.
pub(crate) fn reply<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => Problem::of(Kind::Internal, &error).into_response(),
    }
}

/// The members of an object with no others than `known`; `what` names it in messages.
pub(crate) fn members(json: Json, what: &str, known: &[&str]) -> Result<Map<String, Json>, Problem> {
    let Json::Object(members) = json else {
        return Err(Problem::invalid(format!("{what} is a JSON object with {}", known.join(", "))));
    };
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            let help = did_you_mean(name, known.iter().copied());
            Err(Problem::invalid(format!("{what} has no member {name:?}{help}")))
        }
        None => Ok(members),
    }
}

/// Take a member that must be there.
pub(crate) fn take(members: &mut Map<String, Json>, what: &str, name: &str) -> Result<Json, Problem> {
    match members.remove(name) {
        None | Some(Json::Null) => Err(Problem::invalid(format!("{what} lacks the member {name:?}"))),
        Some(json) => Ok(json),
    }
}

/// Take a text of a form that may be missing.
pub(crate) fn take_text(
    members: &mut Map<String, Json>,
    what: &str,
    name: &str,
    form: &TextForm,
) -> Result<Option<String>, Problem> {
    match members.remove(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if form.fits(&text) => Ok(Some(text)),
        Some(_) => Err(Problem::invalid(format!("{what}: {name:?} is {}", form.wants()))),
    }
}

/// Take an id that may be missing.
pub(crate) fn take_id(
    members: &mut Map<String, Json>,
    what: &str,
    name: &str,
) -> Result<Option<String>, Problem> {
    take_text(members, what, name, &text::ID)
}

/// Take an object that may be missing.
pub(crate) fn take_object(
    members: &mut Map<String, Json>,
    what: &str,
    name: &str,
) -> Result<Option<Map<String, Json>>, Problem> {
    match members.remove(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Problem::invalid(format!("{what}: {name:?} is an object"))),
    }
}

/// A whole number, however it is written: JSON Schema calls 3.0 an integer too.
pub(crate) fn whole(json: &Json) -> Option<u64> {
    /// The integers that every JSON reader has exactly.
    const MOST: f64 = 9_007_199_254_740_991.0;
    let number = json.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=MOST).contains(number))?;
    Some(json.as_u64().unwrap_or(number as u64))
}

/// The items of a body: one object, an array, or an object a line.
pub(crate) fn items(bytes: &[u8]) -> Result<Vec<Json>, Problem> {
    match bytes.trim_ascii_start().first() {
        None => Err(Problem::invalid("the body is empty; send a JSON object, an array or an object a line")),
        Some(b'[') => serde_json::from_slice(bytes).map_err(not_json),
        // An object may be written over several lines.
        Some(_) if serde_json::from_slice::<&RawValue>(bytes).is_ok() => Ok(vec![json(bytes)?]),
        Some(_) => lines(bytes),
    }
}

fn lines(bytes: &[u8]) -> Result<Vec<Json>, Problem> {
    let mut items = Vec::new();
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let item = serde_json::from_slice(text).map_err(|error| {
            Problem::invalid(format!(
                "line {line} of the body is not JSON: {}, column {}",
                reason(&error),
                error.column()
            ))
        })?;
        items.push(item);
    }
    Ok(items)
}

/// What is wrong, without the place: the line is that of the body.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn detail<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
        result.unwrap_err().detail().to_owned()
    }

    #[test]
    fn a_body_that_is_not_json_is_refused_with_its_place() {
        assert_eq!(
            detail(json(b"{\"a\":1,\n \"b\" 2}")),
            "the body is not JSON: expected `:` at line 2 column 6"
        );
        assert!(detail(json(b"\"\xff\"")).contains("line 1 column 2"));
        assert!(detail(json(b" \n")).contains("empty"));
        assert!(detail(json("[".repeat(500).as_bytes())).contains("recursion limit"));
        assert!(detail(json(b"1e999")).contains("out of range"));
    }

    #[test]
    fn an_object_a_list_and_lines_are_read_alike() {
        let expected = vec![json!({"a": 1}), json!({"a": 2})];
        assert_eq!(items(b"[{\"a\":1},{\"a\":2}]").unwrap(), expected);
        assert_eq!(items(b"{\"a\":1}\r\n\n{\"a\":2}\n").unwrap(), expected);
        assert_eq!(items(b"{\n\"a\":\n1}").unwrap(), expected[..1]);
        assert_eq!(
            detail(items(b"{\"a\":1}\n{\"a\":}\n")),
            "line 2 of the body is not JSON: expected value, column 6"
        );
    }

    #[test]
    fn members_are_known_by_name_and_ids_are_bounded() {
        let known = ["id", "request"];
        let wrong = members(json!({"reqest": {}}), "a prediction request", &known);
        assert_eq!(detail(wrong), "a prediction request has no member \"reqest\"; did you mean \"request\"?");
        let not_an_object = members(json!([]), "a prediction request", &known);
        assert_eq!(detail(not_an_object), "a prediction request is a JSON object with id, request");
        for id in [json!(""), json!("a\nb"), json!(7)] {
            let mut members = members(json!({"id": id}), "it", &known).unwrap();
            assert!(detail(take_id(&mut members, "it", "id")).starts_with("it: \"id\" is a text"), "{id}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_as_a_float() {
        for (number, expected) in [(json!(3), Some(3)), (json!(3.0), Some(3)), (json!(0), Some(0))] {
            assert_eq!(whole(&number), expected);
        }
        for wrong in [json!(-1), json!(1.5), json!("3"), json!(u64::MAX), json!(1e300), json!(null)] {
            assert_eq!(whole(&wrong), None, "{wrong}");
        }
    }
}
