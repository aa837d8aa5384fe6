//! Labels and rewards that come back.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_evaluate::{Feedback, LabelStatus};
use perennial_log::{Appended, Durability, Order};
use perennial_pipeline::FeedbackRecord;
use perennial_types::{Entry, Position, Stream, Timestamp, did_you_mean};
use serde::Serialize;
use serde_json::{Value, json};

use crate::App;
use crate::body::{Body, items, members, take, take_id, take_text};
use crate::parameters::{AT, Params};
use crate::problem::Problem;
use crate::route::{Route, Scope};
use crate::schemas::{one_or_many, reference};
use crate::text;

pub(super) fn routes() -> Vec<Route> {
    let take = Route::post(
        Scope::Write,
        "/v1/feedback",
        take_all,
        "Send labels: an object, an array, or an object a line",
    )
    .query(&[AT])
    .body(one_or_many("Feedback"))
    .or_lines(reference("Feedback"))
    .reply(reference("FeedbackResults"))
    .example(json!({"prediction_id": "p1", "value": 118}))
    .may_be_missing()
    .may_conflict()
    .may_be_unprocessable()
    .may_be_full();
    vec![take]
}

/// A label as it was sent.
#[derive(Debug, PartialEq)]
struct Item {
    prediction_id: Arc<str>,
    value: f64,
    endpoint: Option<String>,
}

/// A label of a known endpoint.
struct Label {
    endpoint: Arc<str>,
    feedback: Feedback,
}

/// What became of the labels, in their order.
#[derive(Serialize)]
struct Results {
    results: Vec<Outcome>,
}

#[derive(Serialize)]
struct Outcome {
    prediction_id: Arc<str>,
    status: LabelStatus,
}

async fn take_all(
    State(app): State<Arc<App>>,
    params: Params,
    Body(body): Body,
) -> Result<Json<Results>, Problem> {
    let items = read(&body)?;
    for (item, number) in items.iter().zip(1..) {
        if let Some(endpoint) = &item.endpoint {
            app.check_endpoint(endpoint).map_err(|problem| refused(number, problem))?;
        }
    }
    let (labels, mut statuses, queued) = {
        let admitted = app.sequencer.admit(params.at()?).await?;
        let _turn = app.labelling.lock().await;
        // An answer is given a little before its record is applied, and a label may come at once.
        app.pipeline().settled().await?;
        let labels = addressed(&app, items, admitted.at())?;
        let statuses = statuses(&app, &labels);
        let entries = labels.iter().map(entry).collect::<Result<_, _>>()?;
        let queued = app.pipeline().append(entries, Durability::Synced, Order::Clamp)?;
        (labels, statuses, queued)
    };
    for (status, appended) in statuses.iter_mut().zip(queued.await?) {
        // The log remembers ids longer than the join remembers labels whose time is over.
        if matches!(appended, Appended::Duplicate(_)) && *status != LabelStatus::Conflict {
            *status = LabelStatus::Duplicate;
        }
        app.metrics.labelled(name(*status));
    }
    let results = labels.into_iter().zip(statuses);
    let results =
        results.map(|(label, status)| Outcome { prediction_id: label.feedback.prediction_id, status });
    Ok(Json(Results { results: results.collect() }))
}

fn read(bytes: &[u8]) -> Result<Vec<Item>, Problem> {
    let read = items(bytes)?.into_iter().zip(1..);
    read.map(|(json, number)| item(json).map_err(|problem| refused(number, problem))).collect()
}

fn item(json: Value) -> Result<Item, Problem> {
    let what = "a label";
    let mut members = members(json, what, &["prediction_id", "value", "endpoint"])?;
    let Some(prediction_id) = take_id(&mut members, what, "prediction_id")? else {
        return Err(Problem::invalid("a label lacks the member \"prediction_id\""));
    };
    let value = take(&mut members, what, "value")?;
    let Some(number) = value.as_f64().filter(|number| number.is_finite()) else {
        return Err(Problem::invalid(format!("{what}: \"value\" is a finite number, found {value}")));
    };
    let endpoint = take_text(&mut members, what, "endpoint", &text::NAME)?;
    // Minus zero is zero: the two are one label.
    Ok(Item { prediction_id: prediction_id.into(), value: number + 0.0, endpoint })
}

/// The problem of one item, which is that of the request.
fn refused(number: usize, problem: Problem) -> Problem {
    problem.said(|reason| format!("item {number}: {reason}; nothing of this request was taken"))
}

/// The endpoint of each label: the given one, else the one that knows its prediction, else the only one.
fn addressed(app: &App, items: Vec<Item>, at: Timestamp) -> Result<Vec<Label>, Problem> {
    let endpoints = app.gateway.endpoints();
    let declared = app.pipeline().declared();
    let models = declared.goal().map(|goal| goal.compiled.models.as_slice()).unwrap_or_default();
    let state = app.orchestrator.state().lock();
    let mut labels = Vec::with_capacity(items.len());
    for (item, number) in items.into_iter().zip(1..) {
        let known = match &item.endpoint {
            Some(given) => endpoints.iter().find(|name| ***name == *given.as_str()),
            None => state.endpoint_of(&item.prediction_id).or(match endpoints.as_slice() {
                [only] => Some(only),
                _ => None,
            }),
        };
        let Some(endpoint) = known.map(Arc::clone) else {
            let help = did_you_mean("", endpoints.iter().map(AsRef::as_ref));
            let id = &item.prediction_id;
            let reason = format!("no endpoint knows prediction {id:?}; name one as \"endpoint\"{help}");
            return Err(refused(number, Problem::unprocessable(reason)));
        };
        let Item { prediction_id, value, .. } = item;
        if let Some(fault) =
            models.iter().find(|model| model.endpoint == endpoint).and_then(|model| model.label_fault(value))
        {
            return Err(refused(number, Problem::unprocessable(fault)));
        }
        labels.push(Label {
            endpoint,
            feedback: Feedback { prediction_id, value, at, position: Position::START },
        });
    }
    Ok(labels)
}

/// What each label becomes, earlier ones of the same request included.
fn statuses(app: &App, labels: &[Label]) -> Vec<LabelStatus> {
    let state = app.orchestrator.state().lock();
    let standing = |label: &Label| {
        let endpoint = state.endpoint(&label.endpoint);
        endpoint.map_or(LabelStatus::UnknownPending, |endpoint| endpoint.status_of(&label.feedback))
    };
    in_turn(labels, standing)
}

/// The statuses of labels that come one after another, where `standing` knows of none of them.
fn in_turn(labels: &[Label], standing: impl Fn(&Label) -> LabelStatus) -> Vec<LabelStatus> {
    let mut first: HashMap<(&str, &str), f64> = HashMap::new();
    let mut statuses = Vec::with_capacity(labels.len());
    for label in labels {
        let key = (&*label.endpoint, &*label.feedback.prediction_id);
        let value = label.feedback.value;
        let status = match first.get(&key) {
            Some(earlier) if earlier.to_bits() == value.to_bits() => LabelStatus::Duplicate,
            Some(_) => LabelStatus::Conflict,
            None => standing(label),
        };
        match status {
            LabelStatus::Accepted | LabelStatus::Late | LabelStatus::UnknownPending => {
                first.insert(key, value);
            }
            LabelStatus::Duplicate | LabelStatus::Conflict => {}
        }
        statuses.push(status);
    }
    statuses
}

fn entry(label: &Label) -> Result<Entry, Problem> {
    let Feedback { prediction_id, value, at, .. } = &label.feedback;
    let record = FeedbackRecord { prediction_id: Arc::clone(prediction_id), value: *value };
    let payload = serde_json::to_vec(&record).map_err(|error| Problem::internal(&error))?;
    Ok(Entry {
        stream: Stream::Feedback,
        source: Arc::clone(&label.endpoint),
        key: "".into(),
        event_time: *at,
        available_at: *at,
        id: format!("{prediction_id}={:016x}", value.to_bits()).into(),
        payload,
    })
}

fn name(status: LabelStatus) -> &'static str {
    match status {
        LabelStatus::Accepted => "accepted",
        LabelStatus::Late => "late",
        LabelStatus::Duplicate => "duplicate",
        LabelStatus::Conflict => "conflict",
        LabelStatus::UnknownPending => "unknown_pending",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(id: &str, value: f64) -> Label {
        let at = Timestamp::default();
        let feedback = Feedback { prediction_id: id.into(), value, at, position: Position::START };
        Label { endpoint: "bike".into(), feedback }
    }

    #[test]
    fn one_bad_item_is_named_and_nothing_is_taken() {
        let message = |body: &str| read(body.as_bytes()).unwrap_err().detail().to_owned();
        assert_eq!(
            message(r#"[{"prediction_id":"a","value":1},{"prediction_id":"b","value":"x"}]"#),
            "item 2: a label: \"value\" is a finite number, found \"x\"; nothing of this request was taken"
        );
        assert_eq!(
            message(r#"{"prediction":"a","value":1}"#),
            "item 1: a label has no member \"prediction\"; did you mean \"prediction_id\"?; nothing of this request \
             was taken"
        );
        assert!(message(r#"{"prediction_id":"a","value":true}"#).contains("found true"));
        assert!(message(r#"{"prediction_id":"a"}"#).contains("lacks the member \"value\""));
        assert!(message(r#"{"value":1}"#).contains("lacks the member \"prediction_id\""));
    }

    #[test]
    fn lines_are_labels_and_minus_zero_is_zero() {
        let items =
            read(b"{\"prediction_id\":\"a\",\"value\":-0.0}\n{\"prediction_id\":\"b\",\"value\":2}").unwrap();
        assert_eq!(items[0].value.to_bits(), 0.0_f64.to_bits());
        assert_eq!(items[1], Item { prediction_id: "b".into(), value: 2.0, endpoint: None });
    }

    #[test]
    fn a_label_is_told_of_an_earlier_one_of_its_request() {
        use LabelStatus::{Accepted, Conflict, Duplicate, Late};
        let labels = [label("a", 1.0), label("a", 1.0), label("a", 2.0), label("b", 3.0), label("b", 4.0)];
        let standing = |label: &Label| if &*label.feedback.prediction_id == "a" { Accepted } else { Late };
        assert_eq!(in_turn(&labels, standing), [Accepted, Duplicate, Conflict, Late, Conflict]);
        // A label that stood before stays the one that others are compared with.
        let stood = |label: &Label| if label.feedback.value == 2.0 { Duplicate } else { Conflict };
        assert_eq!(in_turn(&labels[..3], stood), [Conflict, Conflict, Duplicate]);
    }
}
