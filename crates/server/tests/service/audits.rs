//! What the audits find is shown.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::requests::told;
use crate::stack::Stack;

fn row(id: &str, minute: u32, cnt: &str) -> String {
    format!("{{\"event_id\":\"{id}\",\"hour\":\"2011-01-01T00:{minute:02}:00Z\",\"slot\":5,\"cnt\":{cnt}}}")
}

/// The item of a list with this name.
fn item<'a>(list: &'a Value, by: &str, name: &str) -> &'a Value {
    list["items"].as_array().unwrap().iter().find(|item| item[by] == name).unwrap()
}

#[tokio::test]
async fn what_the_audits_find_is_shown() {
    let stack = Stack::declared().await;
    let rows = [row("a", 1, "10"), row("b", 2, "20"), row("a", 1, "10"), row("c", 3, "null")].join("\n");
    told(&stack, "POST", "/v1/events/demand?at=2011-01-01T00:05:00Z", &rows).await;
    let asked = json!({"id": "p1", "request": {"slot": 5, "temp": 0.5}}).to_string();
    told(&stack, "POST", "/v1/predict/bike?at=2011-01-01T00:06:00Z", &asked).await;
    let sent =
        json!({"producer": "till", "counts": [{"start": "2011-01-01T00:00:00Z", "sent": 9}]}).to_string();
    let kept = told(&stack, "POST", "/v1/sources/demand/counts?at=2011-01-01T00:07:00Z", &sent).await;
    assert_eq!(kept, json!({"stretches": 1}));
    stack.audited().await;

    let standing = told(&stack, "GET", "/v1/audits", "").await;
    assert_eq!((&standing["lag"], &standing["compared"]), (&json!(0), &json!(1)));
    assert_eq!((&standing["failure"], &standing["differences"]), (&Value::Null, &json!([])));
    let features = told(&stack, "GET", "/v1/audits/features", "").await;
    let feature = item(&features, "name", "slot_demand.rides_7d");
    assert_eq!((&feature["rows"], &feature["null_rate"]), (&json!(1), &json!(0.0)));
    assert_eq!((&feature["compared"], &feature["mismatch"]), (&json!(1), &json!(0)));
    let sources = told(&stack, "GET", "/v1/audits/sources", "").await;
    let demand = item(&sources, "source", "demand");
    let counts = ["received", "appended", "duplicates", "dead_letters", "lost", "unapplied"];
    assert_eq!(counts.map(|name| demand[name].as_u64().unwrap()), [4, 2, 1, 1, 5, 0]);
    assert_eq!(demand["slowest"], json!(240.0), "the first event was four minutes old");
    let cnt = demand["columns"].as_array().unwrap().iter().find(|column| column["name"] == "cnt").unwrap();
    assert_eq!((&cnt["rows"], &cnt["least"], &cnt["largest"]), (&json!(2), &json!(10.0), &json!(20.0)));
    let loss = told(&stack, "GET", "/v1/sources/demand/loss?from=2011-01-01", "").await;
    assert_eq!((&loss["lost"], &loss["happened"][0]["sent"]), (&json!(5), &json!(9)));
    assert_eq!(loss["arrived"][0]["in_log"], json!(2));

    let metrics = String::from_utf8(stack.ask("GET", "/metrics", "").await.body).unwrap();
    for line in [
        "perennial_audit_lag_records 0",
        "perennial_skew_values{feature=\"slot_demand.rides_7d\",outcome=\"compared\"} 1",
        "perennial_skew_values{feature=\"slot_demand.rides_7d\",outcome=\"mismatch\"} 0",
        "perennial_source_rows{source=\"demand\",outcome=\"duplicate\"} 1",
        "perennial_source_lost_rows{source=\"demand\"} 5",
        "perennial_source_unapplied_events{source=\"demand\"} 0",
        "perennial_column_null_ratio{source=\"demand\",column=\"cnt\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn counts_of_nobody_nowhere_or_at_no_start_are_refused() {
    let stack = Stack::declared().await;
    let counts =
        |start: &str| json!({"producer": "till", "counts": [{"start": start, "sent": 1}]}).to_string();
    let path = "/v1/sources/demand/counts?at=2011-01-01T01:00:00Z";
    for (path, body, status, words) in [
        (path, counts("2011-01-01T00:03:00Z"), StatusCode::UNPROCESSABLE_ENTITY, "2011-01-01T00:00:00Z is"),
        (path, json!({"counts": []}).to_string(), StatusCode::BAD_REQUEST, "lacks the member \"producer\""),
        (
            path,
            json!({"producer": "a", "count": []}).to_string(),
            StatusCode::BAD_REQUEST,
            "did you mean \"counts\"?",
        ),
        (
            "/v1/sources/demnd/counts?at=2011-01-01T01:00:00Z",
            counts("2011-01-01"),
            StatusCode::NOT_FOUND,
            "did you mean \"demand\"?",
        ),
    ] {
        let answer = stack.ask("POST", path, &body).await;
        assert_eq!(answer.status, status, "{}", answer.detail());
        assert!(answer.detail().contains(words), "{}", answer.detail());
    }
    stack.stop().await;
}
