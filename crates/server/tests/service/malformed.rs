//! Whatever is sent, the answer is of the contract.

use axum::http::{StatusCode, header};
use serde_json::Value;

use crate::conforming::{check, form};
use crate::stack::{Answer, Stack};

const CASES: &[(&str, &str, &str, u16, &str)] = &[
    ("GET", "/v1", "", 404, "no route /v1"),
    ("POST", "/v1/reports", "{\"report\":\"weekly\"}", 404, "weekly"),
    ("POST", "/v1/reports", "{\"name\":\"weekly\"}", 400, "has no member \"name\""),
    ("GET", "/v1/reports/nope/html", "", 404, "nope"),
    ("GET", "/v1/experiments/nope", "", 404, "no experiment \"nope\""),
    ("GET", "/v1/why?model=usal", "", 404, "did you mean \"usual\"?"),
    ("GET", "/v1/rollouts?model=usal", "", 404, "did you mean \"usual\"?"),
    ("GET", "/v1/endpoints/bik/traffic", "", 404, "did you mean \"bike\"?"),
    ("GET", "/v1/endpoints/bik/choices", "", 404, "did you mean \"bike\"?"),
    ("GET", "/v1/status/", "", 404, "no route /v1/status/"),
    ("DELETE", "/v1/status", "", 405, "does not take DELETE"),
    ("GET", "/v1/predict/bike", "", 405, "see the Allow header"),
    ("GET", "/v1/status?x=1", "", 400, "this route takes none"),
    ("GET", "/v1/models?pagesize=1", "", 400, "did you mean \"page_size\"?"),
    ("GET", "/v1/models?page_size=100000", "", 400, "between 1 and 1000"),
    ("GET", "/v1/models?page_token=zz", "", 400, "is not a page token"),
    ("GET", "/v1/models?page_token=6d6f64656c730a00", "", 404, "there is no page"),
    ("GET", "/v1/models?page_size=1&page_size=2", "", 400, "given twice"),
    ("GET", "/v1/models?page_token=%", "", 400, "two hex digits"),
    ("GET", "/v1/models?page_token=%ff", "", 400, "not UTF-8"),
    ("GET", "/v1/models/%ff/versions", "", 400, "Invalid URL"),
    ("GET", "/v1/models/a%00/versions", "", 400, "is not a name"),
    ("GET", "/v1/models/nope/versions", "", 404, "no model \"nope\""),
    ("GET", "/v1/models/usual/versions/7", "", 404, "usual/7"),
    ("GET", "/v1/models/usual/versions/current", "", 404, "no current version yet"),
    ("GET", "/v1/models/usual/versions/newest", "", 400, "is not a version"),
    ("GET", "/v1/models/usual/versions/1/ancestors?depth=0", "", 400, "between 1 and 1000"),
    ("GET", "/v1/models/usual/versions/1/why", "", 404, "usual/1"),
    ("GET", "/v1/endpoints/bik/served", "", 404, "did you mean \"bike\"?"),
    ("GET", "/v1/endpoints/bike/served?at=noon", "", 400, "\"noon\" is not an instant"),
    ("GET", "/v1/deployments?endpoint=car", "", 404, "no endpoint \"car\""),
    ("GET", "/v1/runs?state=runing", "", 400, "did you mean \"running\"?"),
    ("GET", "/v1/runs?model=usal", "", 404, "did you mean \"usual\"?"),
    ("GET", "/v1/runs/nope", "", 404, "nope"),
    ("GET", "/v1/datasets/abc", "", 400, "64 hex digits"),
    ("GET", "/v1/decisions?verdict=maybe", "", 400, "unknown value \"maybe\""),
    ("GET", "/v1/features/slot_demand", "", 422, "give it as ?slot=…"),
    ("GET", "/v1/features/slot_demand?slot=x", "", 422, "wants int64"),
    ("GET", "/v1/features/slot_demand?slit=1", "", 422, "did you mean \"slot\"?"),
    ("GET", "/v1/features/slot_demand?%00=1", "", 422, "has no entity column"),
    ("GET", "/v1/features/slots?slot=1", "", 404, "no feature view \"slots\""),
    ("POST", "/v1/features", "{\"features\":[\"slot_demand.*\"]}", 400, "lacks the member \"entities\""),
    (
        "POST",
        "/v1/features",
        "{\"features\":[\"slots.*\"],\"entities\":[]}",
        404,
        "no feature view \"slots\"",
    ),
    ("POST", "/v1/features", "{\"features\":[\"slot_demand.ride\"],\"entities\":[]}", 404, "did you mean"),
    (
        "POST",
        "/v1/features",
        "{\"features\":[\"slot_demand.*\"],\"entities\":[{}]}",
        422,
        "entity 1: column \"slot\"",
    ),
    ("POST", "/v1/features", "{\"features\":[],\"entities\":[]}", 422, "name at least one feature"),
    (
        "POST",
        "/get-online-features",
        "{\"features\":[\"slot_demand:*\"],\"entities\":{\"slot\":5}}",
        400,
        "an array of values",
    ),
    (
        "POST",
        "/get-online-features",
        "{\"feature_service\":\"usal\",\"entities\":{}}",
        404,
        "did you mean \"usual\"?",
    ),
    ("POST", "/v1/predict/bike?at=2011-01-02", "", 400, "empty"),
    ("POST", "/v1/predict/bike?at=2011-01-02", "{\"request\":\n{]}", 400, "line 2 column 2"),
    (
        "POST",
        "/v1/predict/bike?at=2011-01-02",
        "{\"request\":{\"slot\":1,\"tmp\":2}}",
        422,
        "did you mean \"temp\"?",
    ),
    ("POST", "/v1/predict/bike", "{\"request\":{\"slot\":1,\"temp\":2}}", 409, "say when this happens"),
    (
        "POST",
        "/v1/predict/bike?at=2010-01-01",
        "{\"request\":{\"slot\":1,\"temp\":2}}",
        409,
        "never decreases",
    ),
    ("POST", "/v1/predict/car?at=2090-01-01", "{\"request\":{}}", 404, "no endpoint \"car\""),
    ("POST", "/v1/events/demnd?at=2090-01-01", "{}", 404, "did you mean \"demand\"?"),
    ("POST", "/v1/events/demand?at=2011-01-02", "nonsense\n{}", 422, "all 2 rows were refused"),
    ("POST", "/v1/feedback?at=2011-01-02", "[{\"prediction_id\":\"a\"}]", 400, "item 1"),
    (
        "POST",
        "/v1/feedback?at=2011-01-02",
        "{\"prediction_id\":\"a\",\"value\":1,\"endpoint\":\"car\"}",
        404,
        "item 1: no endpoint \"car\"",
    ),
    ("POST", "/get-online-features", "{\"entities\":{}}", 422, "give \"features\" or"),
    ("GET", "/v1/decisions?at=2011-01-02&page_token=6d6f", "", 404, "come as one page"),
    ("GET", "/v1/models/bike%20x/versions", "", 400, "is not a name"),
    ("GET", "/v1/runs?model=a%20b", "", 400, "is not a name"),
    ("POST", "/v1/keys", "{\"name\":\" \",\"scopes\":[\"admin\"]}", 400, "is not blank"),
    ("POST", "/v2/models/bike/infer?at=2011-01-02", "{\"inputs\":[]}", 400, "\"inputs\" is empty"),
    ("POST", "/v1/models/usual/rollback", "{}", 400, "wants a \"reason\""),
    ("POST", "/v1/models/usual/rollback", "{\"reason\":\"x\"}", 409, "has no version yet"),
    ("POST", "/v1/project/plan", "{\"files\":[{\"name\":\"a\",\"text\":\"kind: Projct\"}]}", 422, ""),
    ("PUT", "/v1/project", "{\"files\":[{\"name\":\"a\",\"text\":\"\\t:\"}]}", 422, ""),
];

fn check_problem(document: &Value, answer: &Answer, call: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json", "{call}: {text}");
    let json = answer.json();
    check(document, &document["components"]["schemas"]["Problem"], &json, call);
    assert_eq!(json["status"], answer.status.as_u16(), "{call}");
}

#[tokio::test]
async fn a_malformed_request_gets_a_problem_that_names_what_is_wrong() {
    let stack = Stack::declared().await;
    let document = serde_json::to_value(perennial_server::openapi()).unwrap();
    for (method, path, body, status, detail) in CASES.iter().copied() {
        let call = format!("{method} {path} {body:?}");
        let answer = stack.ask(method, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{call}: {}", String::from_utf8_lossy(&answer.body));
        check_problem(&document, &answer, &call);
        assert!(answer.detail().contains(detail), "{call}: {}", answer.detail());
        let unknown = answer.detail().starts_with("no route");
        if status == 405 {
            assert!(answer.headers.contains_key(header::ALLOW), "{call}");
        } else if !unknown {
            form(&document, method, path.split('?').next().unwrap(), status);
        }
    }
    // Nothing of it moved the event clock.
    let status = stack.ask("GET", "/v1/status", "").await.json();
    assert!(status["at"].as_str().unwrap() < "2011-01-03", "{status}");
    stack.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_or_binary_is_refused() {
    let stack = Stack::declared().await;
    let document = serde_json::to_value(perennial_server::openapi()).unwrap();
    let large = stack.send("POST", "/v1/events/demand?at=2011-01-02", &[], vec![b' '; (32 << 20) + 1]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    check_problem(&document, &large, "large");
    let latin =
        stack.send("POST", "/v1/feedback?at=2011-01-02", &[], b"{\"prediction_id\":\"\xe9\"}".to_vec()).await;
    assert_eq!(latin.status, StatusCode::BAD_REQUEST);
    check_problem(&document, &latin, "latin");
    let headers = [("inference-header-content-length", "2")];
    let binary =
        stack.send("POST", "/v2/models/bike/infer?at=2011-01-02", &headers, b"{}\0\0".to_vec()).await;
    assert_eq!(binary.status, StatusCode::BAD_REQUEST);
    assert!(binary.detail().contains("binary tensors are not supported yet"));
    stack.stop().await;
}

#[tokio::test]
async fn before_a_project_is_applied_every_route_answers() {
    let stack = Stack::start().await;
    let document = serde_json::to_value(perennial_server::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{version}", "current").replace(['{', '}'], "");
        for method in item.as_object().unwrap().keys() {
            let call = format!("{method} {path}");
            let answer = stack.ask(&method.to_uppercase(), &path, "{}").await;
            let status = answer.status.as_u16();
            assert!(matches!(status, 200 | 400 | 404), "{call}: {status}");
            let schema = form(&document, method, &path, status);
            if status != 200 {
                check_problem(&document, &answer, &call);
            } else if !matches!(path.as_str(), "/" | "/metrics") {
                check(&document, schema, &answer.json(), &call);
            }
        }
    }
    stack.stop().await;
}
