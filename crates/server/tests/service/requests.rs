//! What is sent is taken, remembered and told.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::conforming::{check, form};
use crate::stack::{PROJECT, Stack};

/// Ask, and hold the answer to the document.
pub(crate) async fn told(stack: &Stack, method: &str, path: &str, body: &str) -> Value {
    let document = serde_json::to_value(perennial_server::openapi()).unwrap();
    let answer = stack.ask(method, path, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
    let json = answer.json();
    check(&document, form(&document, method, path.split('?').next().unwrap(), 200), &json, path);
    json
}

#[tokio::test]
async fn an_event_is_visible_when_it_is_acknowledged_and_taken_once() {
    let stack = Stack::declared().await;
    let row = |id: &str, cnt: u32| json!({"event_id": id, "hour": "2011-01-01", "slot": 5, "cnt": cnt});
    let rows = format!("{}\n{}\n{}\nbad\n", row("a", 10), row("b", 20), row("a", 10));
    let receipt = told(&stack, "POST", "/v1/events/demand?at=2011-01-01T01:00:00Z", &rows).await;
    assert_eq!((&receipt["accepted"], &receipt["duplicates"]), (&json!(2), &json!(1)));
    assert_eq!(receipt["refused"][0]["line"], 4);
    let features = told(&stack, "GET", "/v1/features/slot_demand?slot=5", "").await;
    assert_eq!(features["features"], json!({"slot_demand.rides_7d": 15.0}));
    let none = told(&stack, "GET", "/v1/features/slot_demand?slot=6", "").await;
    assert_eq!(none["features"], json!({"slot_demand.rides_7d": null}));
    stack.stop().await;
}

#[tokio::test]
async fn features_of_many_entities_are_read_together_and_by_the_protocol_of_feast() {
    let stack = Stack::declared().await;
    let row = |slot: u32, cnt: u32| json!({"event_id": format!("{slot}"), "hour": "2011-01-01", "slot": slot, "cnt": cnt});
    let rows = json!([row(5, 10), row(6, 20)]).to_string();
    told(&stack, "POST", "/v1/events/demand?at=2011-01-01T01:00:00Z", &rows).await;

    let ask = json!({"features": ["slot_demand.*"], "entities": [{"slot": 6}, {"slot": 5}, {"slot": 7}]});
    let many = told(&stack, "POST", "/v1/features", &ask.to_string()).await;
    assert_eq!(many["features"], json!(["slot_demand.rides_7d"]));
    let values: Vec<&Value> = many["rows"].as_array().unwrap().iter().map(|row| &row["values"]).collect();
    assert_eq!(values, [&json!([20.0]), &json!([10.0]), &json!([null])]);
    let known = "2011-01-01T01:00:00Z";
    assert_eq!((&many["rows"][0]["latest"], &many["rows"][2]["latest"]), (&json!(known), &Value::Null));
    assert_eq!(many["views"]["slot_demand"]["late_events"], 0);
    let later = json!({"features": ["slot_demand.rides_7d"], "entities": [{"slot": 6}], "at": "2011-03-01"});
    let later = told(&stack, "POST", "/v1/features", &later.to_string()).await;
    assert_eq!(later["rows"][0]["values"], json!([null]), "the window has passed");

    let ask = json!({"features": ["slot_demand:rides_7d"], "entities": {"slot": [6, 7]}}).to_string();
    let feast = told(&stack, "POST", "/get-online-features", &ask).await;
    assert_eq!(feast["metadata"]["feature_names"], json!(["slot", "rides_7d"]));
    assert_eq!(feast["results"][0]["values"], json!([6, 7]));
    assert_eq!(feast["results"][1]["values"], json!([20.0, null]));
    assert_eq!(feast["results"][1]["statuses"], json!(["PRESENT", "NULL_VALUE"]));
    assert_eq!(feast["results"][1]["event_timestamps"], json!([known, "1970-01-01T00:00:00Z"]));
    let ask = json!({"feature_service": "usual", "entities": {"slot": [5]}, "full_feature_names": true});
    let feast = told(&stack, "POST", "/get-online-features", &ask.to_string()).await;
    assert_eq!(feast["metadata"]["feature_names"], json!(["slot", "slot_demand__rides_7d"]));
    stack.stop().await;
}

#[tokio::test]
async fn a_prediction_is_remembered_by_its_id_and_labelled_once() {
    let stack = Stack::declared().await;
    let ask = r#"{"id":"p1","request":{"slot":5,"temp":0.3}}"#;
    let first = told(&stack, "POST", "/v1/predict/bike?at=2011-01-02", ask).await;
    assert_eq!((&first["prediction"], &first["fallback"]), (&json!(3.0), &json!("no_version")));
    assert_eq!(told(&stack, "POST", "/v1/predict/bike?at=2011-01-02T00:30:00Z", ask).await, first);
    let other = r#"{"id":"p1","request":{"slot":6,"temp":0.3}}"#;
    let reused = stack.ask("POST", "/v1/predict/bike?at=2011-01-02T00:30:00Z", other).await;
    assert_eq!(reused.status, StatusCode::CONFLICT);

    let statuses = async |at: &str, body: Value| {
        let told = told(&stack, "POST", &format!("/v1/feedback?at={at}"), &body.to_string()).await;
        let results = told["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let label = |id: &str, value: f64| json!({"prediction_id": id, "value": value});
    let at = "2011-01-02T01:00:00Z";
    let bad = json!([label("p1", 7.0), {"prediction_id": "p1"}]).to_string();
    let refused = stack.ask("POST", &format!("/v1/feedback?at={at}"), &bad).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let many = json!([label("p1", 7.0), label("p1", 7.0), label("p1", 8.0), label("p9", 1.0)]);
    assert_eq!(statuses(at, many).await, ["accepted", "duplicate", "conflict", "unknown_pending"]);
    assert_eq!(statuses(at, label("p1", 7.0)).await, ["duplicate"]);
    assert_eq!(statuses(at, label("p1", 8.0)).await, ["conflict"]);

    let metrics = String::from_utf8(stack.ask("GET", "/metrics", "").await.body).unwrap();
    for line in [
        "perennial_labels{endpoint=\"bike\"} 1",
        "perennial_feedback_total{status=\"conflict\"} 2",
        "perennial_http_requests_total{route=\"/v1/predict/{endpoint}\",method=\"POST\",status=\"409\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn tensors_are_rows_and_rows_are_predictions() {
    let stack = Stack::declared().await;
    let metadata = told(&stack, "GET", "/v2/models/bike", "").await;
    assert_eq!(metadata["inputs"][1], json!({"name": "temp", "datatype": "FP64", "shape": [-1]}));
    let tensor = |name: &str, datatype: &str, data: Value| json!({"name": name, "datatype": datatype, "shape": [2, 1], "data": data});
    let inputs = json!([tensor("slot", "INT64", json!([5, 6])), tensor("temp", "FP32", json!([0.5, 0.25]))]);
    let body = json!({"id": "t", "inputs": inputs, "outputs": [{"name": "prediction"}]}).to_string();
    let path = "/v2/models/bike/infer?at=2011-01-02";
    let answer = told(&stack, "POST", path, &body).await;
    assert_eq!(
        answer["outputs"],
        json!([{"name": "prediction", "datatype": "FP64", "shape": [2], "data": [3.0, 3.0]}])
    );
    assert_eq!(answer["parameters"]["prediction_ids"], json!(["t/0", "t/1"]));
    let plain = r#"{"id":"t/1","request":{"slot":6,"temp":0.25}}"#;
    let same = told(&stack, "POST", "/v1/predict/bike?at=2011-01-02", plain).await;
    assert_eq!(same["position"], answer["parameters"]["position"][1]);
    stack.stop().await;
}

#[tokio::test]
async fn declarations_are_planned_applied_and_shown() {
    let stack = Stack::declared().await;
    let files = |text: &str| json!({"files": [{"name": "bikes.yaml", "text": text}]}).to_string();
    let same = told(&stack, "POST", "/v1/project/plan", &files(PROJECT)).await;
    assert_eq!(same["changes"], json!([]));
    let project = told(&stack, "GET", "/v1/project", "").await;
    assert_eq!((&project["hash"], &project["name"]), (&same["hash"], &json!("bikes")));

    let faulty = stack.ask("PUT", "/v1/project", &files(&PROJECT.replace("op: avg", "op: avrg"))).await;
    assert_eq!(faulty.status, StatusCode::UNPROCESSABLE_ENTITY);
    let fault = faulty.json()["faults"][0].clone();
    assert_eq!((&fault["file"], &fault["line"]), (&json!("bikes.yaml"), &json!(21)), "{fault}");

    let other =
        stack.ask("PUT", "/v1/project", &files(&PROJECT.replace("clock: event", "clock: wall"))).await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    assert!(other.json()["refusals"][0].as_str().unwrap().contains("clock"), "{}", other.json());

    let models = told(&stack, "GET", "/v1/models", "").await;
    assert_eq!(models["items"][0]["name"], "usual");
    let status = told(&stack, "GET", "/v1/status", "").await;
    assert_eq!((&status["project"], &status["clock"]), (&json!("bikes"), &json!("event")));
    stack.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_turn_the_event_clock_back() {
    let stack = Stack::declared().await;
    let ask = r#"{"request":{"slot":5,"temp":0.3}}"#;
    {
        let far = stack.ask("POST", "/v1/predict/bike?at=2011-06-01", ask);
        let mut far = std::pin::pin!(far);
        for _ in 0..20 {
            // Whether it was answered by then does not matter: it was admitted.
            tokio::select! {
                biased;
                _ = &mut far => break,
                () = tokio::task::yield_now() => {}
            }
        }
    }
    let earlier = stack.ask("POST", "/v1/predict/bike?at=2011-02-01", ask).await;
    assert_eq!(earlier.status, StatusCode::CONFLICT, "{}", String::from_utf8_lossy(&earlier.body));
    stack.stop().await;
}

#[tokio::test]
async fn what_is_refused_does_not_move_the_event_clock() {
    let stack = Stack::declared().await;
    for (path, body) in [
        ("/v1/reports", r#"{"report":"nope"}"#),
        ("/v1/predict/bik", r#"{"request":{}}"#),
        ("/v1/predict/bike", r#"{"request":{}}"#),
        ("/v1/events/demnd", r#"{"slot":5}"#),
        ("/v1/feedback", r#"{"prediction_id":"a"}"#),
    ] {
        let refused = stack.ask("POST", &format!("{path}?at=2011-03-01"), body).await;
        assert!(refused.status.is_client_error(), "{path}: {}", refused.status);
    }
    let status = told(&stack, "GET", "/v1/status", "").await;
    assert_eq!(status["at"], "2011-01-01T00:00:00Z");
    stack.stop().await;
}

#[tokio::test]
async fn lineage_of_an_idle_service_shows_all_of_its_log() {
    let stack = Stack::declared().await;
    let row = json!({"event_id": "a", "hour": "2011-01-01", "slot": 5, "cnt": 1}).to_string();
    told(&stack, "POST", "/v1/events/demand?at=2011-01-01", &row).await;
    // A question to lineage waits until it shows what was said before.
    told(&stack, "GET", "/v1/runs", "").await;
    let status = told(&stack, "GET", "/v1/status", "").await;
    assert_eq!(status["projected"], status["head"]);
    stack.stop().await;
}
