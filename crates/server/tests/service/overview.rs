//! The overview page of a service as it comes to life.

use axum::http::{StatusCode, header};

use crate::stack::Stack;

/// The page, as text.
async fn page(stack: &Stack) -> String {
    let answer = stack.ask("GET", "/", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(answer.headers.contains_key(header::REFRESH));
    String::from_utf8(answer.body).unwrap()
}

#[tokio::test]
async fn the_overview_says_that_nothing_is_declared_yet() {
    let stack = Stack::start().await;
    let html = page(&stack).await;
    assert!(html.contains("No project is applied yet.") && !html.contains("Recent decisions"), "{html}");
    stack.stop().await;
}

#[tokio::test]
async fn the_overview_shows_what_is_declared_before_there_is_a_version() {
    let stack = Stack::declared().await;
    let asked =
        stack.ask("POST", "/v1/predict/bike?at=2011-01-02", r#"{"id":"p1","request":{"slot":5,"temp":0.3}}"#);
    assert_eq!(asked.await.status, StatusCode::OK);
    let label = stack.ask("POST", "/v1/feedback?at=2011-01-02", r#"{"prediction_id":"p1","value":7}"#).await;
    assert_eq!(label.status, StatusCode::OK);
    let html = page(&stack).await;
    for shown in [
        "<h1>bikes</h1>",
        "2011-01-02 00:00 UTC by the event clock",
        "<h2>Endpoint bike</h2>",
        "The champion is <b>usual</b>. It has no version yet",
        "<dt>Labels</dt><dd>1<small>so far</small></dd>",
        "Nothing has been decided yet.",
    ] {
        assert!(html.contains(shown), "{shown} is not in {html}");
    }
    assert!(!html.contains("class=\"problem\""), "{html}");
    stack.stop().await;
}
