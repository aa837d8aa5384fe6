//! The client against a server that writes fixed bytes and remembers what it was asked.

#![expect(
    clippy::unwrap_used,
    reason = "outside of #[test] functions too, a failure here is the failure of a test"
)]

use std::sync::{Arc, Mutex};

use perennial_remote::{Client, Feedback, FeedbackStatus, RemoteError, VersionRef};
use perennial_types::{Kind, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a server was asked: one entry a connection, its requests (first line and body) in it.
type Asked = Arc<Mutex<Vec<Vec<(String, String)>>>>;

/// Answer the requests that come with `answers` in turn, then close.
async fn serve(answers: Vec<(u16, String)>) -> (Client, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let asked = Asked::default();
    let seen = asked.clone();
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        while answers.len() > 0 {
            let (mut stream, _) = listener.accept().await.unwrap();
            seen.lock().unwrap().push(Vec::new());
            while let Some(request) = read_request(&mut stream).await {
                seen.lock().unwrap().last_mut().unwrap().push(request);
                let Some((status, body)) = answers.next() else { return };
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        }
    });
    (client, asked)
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() == length {
                return Some((head.lines().next().unwrap().to_owned(), body.to_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn at() -> Option<Timestamp> {
    Some(Timestamp::parse("2011-01-02T00:00:00Z").unwrap())
}

const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn prediction(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","prediction":12.5,"model":"m","version":7,"content_hash":"{HASH}","fallback":null,"position":3,"later":true}}"#
    )
}

#[tokio::test]
async fn sequential_calls_share_a_connection_and_carry_id_and_instant() {
    let (client, asked) = serve(vec![(200, prediction("a")), (200, prediction("b"))]).await;
    let request = serde_json::json!({"temp": 0.24}).as_object().unwrap().clone();
    for id in ["a", "b"] {
        let answer = client.predict("bike", Some(id), &request, at()).await.unwrap();
        assert_eq!((answer.id.as_str(), answer.prediction, answer.version), (id, 12.5, Some(7)));
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1, "connections");
    assert_eq!(asked[0][1].0, "POST /v1/predict/bike?at=2011-01-02T00%3A00%3A00Z HTTP/1.1");
    assert_eq!(asked[0][1].1, r#"{"id":"b","request":{"temp":0.24}}"#);
}

#[tokio::test]
async fn names_in_addresses_are_escaped() {
    let (client, asked) = serve(vec![(200, r#"{"sentence":"because"}"#.to_owned())]).await;
    let why = client.why("a/b?c", VersionRef::Number(3)).await.unwrap();
    assert_eq!(why.sentence, "because");
    assert_eq!(asked.lock().unwrap()[0][0].0, "GET /v1/models/a%2Fb%3Fc/versions/3/why HTTP/1.1");
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let version = |number: u64, next: &str| {
        let item = format!(
            r#"{{"id":"m/{number}","model":"m","number":{number},"content_hash":"{HASH}","parent":null,"run":"r","dataset":null,"created_at":null,"depth":{number}}}"#
        );
        (200, format!(r#"{{"items":[{item}],"truncated":false,"next_page_token":{next}}}"#))
    };
    let (client, asked) = serve(vec![version(2, "\"t\""), version(1, "null")]).await;
    let found = client.ancestors("m", VersionRef::Current).await.unwrap();
    assert_eq!(found.items.iter().map(|version| version.number).collect::<Vec<_>>(), [2, 1]);
    assert!(!found.truncated);
    let second = &asked.lock().unwrap()[0][1].0;
    assert_eq!(second, "GET /v1/models/m/versions/current/ancestors?page_size=1000&page_token=t HTTP/1.1");
}

#[tokio::test]
async fn the_detail_of_a_refusal_reaches_the_caller() {
    let body = r#"{"type":"about:blank","title":"conflict","status":409,"detail":"at is earlier than 2011-01-03T00:00:00Z"}"#;
    let (client, _) = serve(vec![(409, body.to_owned())]).await;
    let error = client.events("demand", &[serde_json::json!({"cnt": 1})], at()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(error.problem().unwrap().detail, "at is earlier than 2011-01-03T00:00:00Z");
    assert!(error.to_string().contains("POST http://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn feedback_results_keep_their_order_and_status() {
    let body = r#"{"results":[{"prediction_id":"a","status":"accepted"},{"prediction_id":"b","status":"unknown_pending"}]}"#;
    let (client, asked) = serve(vec![(200, body.to_owned())]).await;
    let sent = ["a", "b"].map(|id| Feedback { prediction_id: id.to_owned(), value: 1.0 });
    let results = client.feedback(&sent, None).await.unwrap();
    assert_eq!(results[0].status, FeedbackStatus::Accepted);
    assert_eq!(results[1].status, FeedbackStatus::UnknownPending);
    assert_eq!(asked.lock().unwrap()[0][0].0, "POST /v1/feedback HTTP/1.1");
}

#[tokio::test]
async fn a_service_that_is_away_may_be_asked_again() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Client::new(&format!("http://{free}")).unwrap().status().await.unwrap_err();
    assert!(matches!(error, RemoteError::NoAnswer { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Unavailable);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_reported_as_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"half").await.unwrap();
    });
    let error = client.status().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn an_answer_of_another_shape_is_no_success() {
    let (client, _) = serve(vec![(200, r#"{"items":{}}"#.to_owned())]).await;
    let error = client.models().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
}
