//! Training sets that were made of files: lineage keeps what they were made of.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_control::{DatasetMade, Scope};
use perennial_store::Dataset;
use perennial_types::{ContentHash, Position, Timestamp};
use serde_json::{Map, Value};

use crate::App;
use crate::body::{self, Body, members, take, take_text};
use crate::parameters::{AT, Params};
use crate::problem::Problem;
use crate::route::Route;
use crate::schemas::reference;
use crate::text;

const WHAT: &str = "a dataset";
const MEMBERS: [&str; 8] =
    ["model", "content_hash", "rows", "from_position", "to_position", "from_time", "to_time", "streams"];

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post(
            Scope::Write,
            "/v1/datasets",
            record,
            "Let lineage keep a training set that was made of a file",
        )
        .query(&[AT])
        .body(reference("DatasetRequest"))
        .reply(reference("Dataset"))
        .may_be_missing()
        .may_conflict(),
    ]
}

async fn record(
    State(app): State<Arc<App>>,
    params: Params,
    Body(bytes): Body,
) -> Result<Json<Dataset>, Problem> {
    let (model, dataset) = read(&bytes)?;
    app.check_model(&model)?;
    let clock =
        app.orchestrator.clock_kind().ok_or_else(|| Problem::not_found("no project is applied yet"))?;
    let endpoint = app.endpoint_of(&model)?;
    let dataset = perennial_control::Dataset { endpoint, ..dataset };
    let id = dataset.content_hash;
    let admitted = app.sequencer.admit_change(params.at()?, clock).await?;
    let made = DatasetMade { at: admitted.at(), model: model.into(), dataset };
    app.orchestrator.record_dataset(made).await?;
    drop(admitted);
    Ok(Json(app.lineage().await?.dataset(&id).await?))
}

/// The model, and the dataset without its endpoint.
fn read(bytes: &[u8]) -> Result<(String, perennial_control::Dataset), Problem> {
    let mut body = members(body::json(bytes)?, WHAT, &MEMBERS)?;
    let model = required(&mut body, "model", &text::NAME)?;
    let hash = required(&mut body, "content_hash", &text::HASH)?;
    let hash: ContentHash =
        hash.to_ascii_lowercase().parse().map_err(|error: String| Problem::invalid(error))?;
    let Value::Array(streams) = take(&mut body, WHAT, "streams")? else {
        return Err(Problem::invalid(format!("{WHAT}: \"streams\" is an array of names")));
    };
    let stream = |stream: &Value| match stream.as_str() {
        Some(name) if text::PLAIN.fits(name) => Ok(Arc::from(name)),
        Some(_) | None => Err(Problem::invalid(format!("{WHAT}: \"streams\" is an array of names"))),
    };
    let streams = streams.iter().map(stream).collect::<Result<_, _>>()?;
    let dataset = perennial_control::Dataset {
        content_hash: hash,
        endpoint: "".into(),
        streams,
        from_position: Position(number(&mut body, "from_position")?),
        to_position: Position(number(&mut body, "to_position")?),
        from_time: instant(&mut body, "from_time")?,
        to_time: instant(&mut body, "to_time")?,
        rows: number(&mut body, "rows")?,
        holdout_rows: 0,
    };
    Ok((model, dataset))
}

fn required(body: &mut Map<String, Value>, name: &str, form: &text::TextForm) -> Result<String, Problem> {
    let found = take_text(body, WHAT, name, form)?;
    found.ok_or_else(|| Problem::invalid(format!("{WHAT} lacks the member {name:?}")))
}

fn number(body: &mut Map<String, Value>, name: &str) -> Result<u64, Problem> {
    let json = take(body, WHAT, name)?;
    body::whole(&json)
        .ok_or_else(|| Problem::invalid(format!("{WHAT}: {name:?} is a whole number, found {json}")))
}

fn instant(body: &mut Map<String, Value>, name: &str) -> Result<Timestamp, Problem> {
    let text = required(body, name, &text::PLAIN)?;
    Timestamp::parse(&text).map_err(|error| Problem::invalid(format!("{WHAT}: {name:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body() -> Value {
        json!({
            "model": "usual", "content_hash": ContentHash::of(b"x").to_string(), "rows": 2, "from_position": 1,
            "to_position": 9, "from_time": "2024-05-01", "to_time": "2024-05-02T00:00:00Z",
            "streams": ["event.demand"],
        })
    }

    #[test]
    fn a_dataset_is_read_and_what_is_wrong_is_named() {
        let (model, dataset) = read(body().to_string().as_bytes()).unwrap();
        assert_eq!((&*model, dataset.rows, dataset.to_position), ("usual", 2, Position(9)));
        let cases = [
            ("rows", json!(-1), "a dataset: \"rows\" is a whole number, found -1"),
            ("streams", json!([1]), "a dataset: \"streams\" is an array of names"),
            ("model", json!(null), "a dataset lacks the member \"model\""),
            ("row", json!(1), "a dataset has no member \"row\"; did you mean \"rows\"?"),
        ];
        for (name, value, message) in cases {
            let mut body = body();
            body[name] = value;
            assert_eq!(read(body.to_string().as_bytes()).unwrap_err().detail(), message);
        }
    }
}
