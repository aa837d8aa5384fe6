//! Who is let in, on every route.

use axum::http::{StatusCode, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use perennial_control::{NewKey, Scope};
use perennial_server::Gate;
use perennial_types::{TimeSpan, Timestamp};
use serde_json::{Value, json};

use crate::conforming::{check, form};
use crate::stack::{Answer, Stack};

/// An operation of the document: its method, a path without braces, and the scope that it wants.
struct Operation {
    method: String,
    path: String,
    scope: Option<Scope>,
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(perennial_server::openapi()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let named =
            |segment: &str| if segment.starts_with('{') { "1".to_owned() } else { segment.to_owned() };
        let path = path.split('/').map(named).collect::<Vec<_>>().join("/");
        for (method, operation) in item.as_object().unwrap() {
            let scope = operation["security"][0]["bearer"][0].as_str();
            let scope = scope.map(|name| Scope::named(name).unwrap());
            operations.push(Operation { method: method.to_uppercase(), path: path.clone(), scope });
        }
    }
    operations
}

async fn make(stack: &Stack, scopes: &[Scope]) -> (String, String) {
    let wanted = NewKey { name: "test".to_owned(), scopes: scopes.to_vec(), expires_at: None };
    let (added, secret) = stack.keys.create(wanted, Stack::clock().now()).await.unwrap();
    (added.id.to_string(), secret.reveal().to_owned())
}

async fn with_key(stack: &Stack, key: &str, method: &str, path: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {key}");
    stack.send(method, path, &[("authorization", &bearer)], body.as_bytes().to_vec()).await
}

#[tokio::test]
async fn every_route_asks_for_its_scope_and_for_nothing_while_there_is_no_key() {
    let stack = Stack::declared().await;
    let operations = operations();
    let open: Vec<&str> =
        operations.iter().filter(|one| one.scope.is_none()).map(|one| one.path.as_str()).collect();
    assert_eq!(open, ["/openapi.json", "/v2/health/live", "/v2/health/ready"]);
    let shut = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    for Operation { method, path, .. } in &operations {
        let answer = stack.ask(method, path, "").await;
        assert!(!shut.contains(&answer.status), "{method} {path} without any key: {}", answer.status);
    }
    let (_, admin) = make(&stack, &[Scope::Admin]).await;
    let mut keys = Vec::new();
    for scope in Scope::ALL {
        let others: Vec<Scope> =
            Scope::ALL.into_iter().filter(|other| *other != scope && *other != Scope::Admin).collect();
        keys.push((scope, make(&stack, &[scope]).await.1, make(&stack, &others).await.1));
    }
    for Operation { method, path, scope } in &operations {
        let Some(scope) = scope else {
            assert_eq!(stack.ask(method, path, "").await.status, StatusCode::OK, "{path} is open");
            continue;
        };
        let stranger = stack.ask(method, path, "").await;
        assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        assert_eq!(stranger.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"perennial\"");
        assert_eq!(stranger.headers[header::CONTENT_TYPE], "application/problem+json");
        let (_, right, wrong) = keys.iter().find(|(own, ..)| own == scope).unwrap();
        let refused = with_key(&stack, wrong, method, path, "").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {path}");
        assert!(
            refused.detail().ends_with(&format!("lacks the scope {:?}", scope.name())),
            "{}",
            refused.detail()
        );
        for key in [right, &admin] {
            let let_in = with_key(&stack, key, method, path, "").await;
            assert!(!shut.contains(&let_in.status), "{method} {path}: {}", let_in.status);
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_browser_opens_pages_with_the_key_as_password_and_nothing_else() {
    let stack = Stack::declared().await;
    let (_, admin) = make(&stack, &[Scope::Admin]).await;
    let (_, reader) = make(&stack, &[Scope::Read]).await;
    let basic = |key: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("anybody:{key}")));
    let ask = async |key: &str, path: &str| {
        stack.send("GET", path, &[("authorization", &basic(key))], Vec::new()).await
    };
    assert_eq!(ask(&reader, "/").await.status, StatusCode::OK);
    assert_eq!(ask(&reader, "/v1/reports/nope/html").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask("pk_wrong", "/").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&admin, "/v1/status").await.status, StatusCode::UNAUTHORIZED);
    // A browser that is told so asks its user.
    let challenges = |answer: &Answer| {
        let all = answer.headers.get_all(header::WWW_AUTHENTICATE).iter();
        all.map(|one| one.to_str().unwrap().split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(challenges(&stack.ask("GET", "/", "").await), ["Bearer", "Basic"]);
    assert_eq!(challenges(&stack.ask("GET", "/v1/status", "").await), ["Bearer"]);
    stack.stop().await;
}

#[tokio::test]
async fn the_document_of_a_service_says_whether_it_asks_for_a_key() {
    let stack = Stack::declared().await;
    let without = async |stack: &Stack| {
        let document = stack.ask("GET", "/openapi.json", "").await.json();
        let ways = document["paths"]["/v1/status"]["get"]["security"].as_array().unwrap().clone();
        ways.contains(&json!({}))
    };
    assert!(without(&stack).await);
    make(&stack, &[Scope::Admin]).await;
    assert!(!without(&stack).await);
    stack.stop().await;
}

#[tokio::test]
async fn a_key_is_made_listed_used_and_revoked_over_rest() {
    let stack = Stack::declared().await;
    let document = serde_json::to_value(perennial_server::openapi()).unwrap();
    let conforms = |answer: &Answer, method: &str, path: &str| -> Value {
        let json = answer.json();
        assert_eq!(answer.status, StatusCode::OK, "{method} {path}: {json}");
        check(&document, form(&document, method, path, 200), &json, path);
        json
    };
    let first = json!({"name": "shop", "scopes": ["predict"]});
    let refused = stack.ask("POST", "/v1/keys", &first.to_string()).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.detail().contains("cannot be the first one"), "{}", refused.detail());

    let admin = stack.ask("POST", "/v1/keys", &json!({"name": "ops", "scopes": ["admin"]}).to_string()).await;
    assert_eq!(admin.headers[header::CACHE_CONTROL], "no-store");
    let admin = conforms(&admin, "POST", "/v1/keys")["secret"].as_str().unwrap().to_owned();
    let shop = with_key(&stack, &admin, "POST", "/v1/keys", &first.to_string()).await;
    let shop = conforms(&shop, "POST", "/v1/keys");
    let (id, secret) = (shop["id"].as_str().unwrap(), shop["secret"].as_str().unwrap());

    let ask = r#"{"request":{"slot":5,"temp":0.3}}"#;
    let predict = "/v1/predict/bike?at=2011-01-02";
    let by_header = stack.send("POST", predict, &[("x-api-key", secret)], ask.as_bytes().to_vec()).await;
    assert_eq!(by_header.status, StatusCode::OK);
    assert_eq!(with_key(&stack, secret, "GET", "/v1/status", "").await.status, StatusCode::FORBIDDEN);

    let listed = conforms(&with_key(&stack, &admin, "GET", "/v1/keys", "").await, "GET", "/v1/keys");
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    for key in [&admin, secret] {
        let random = key.rsplit('_').next().unwrap();
        assert!(!listed.to_string().contains(random), "a list shows no secret");
        assert!(!stack.files_contain(random), "no file holds a secret");
    }
    assert!(stack.files_contain(id), "the log has the key, so its files were looked at");

    let path = format!("/v1/keys/{id}");
    conforms(&with_key(&stack, &admin, "DELETE", &path, "").await, "DELETE", &path);
    let refused = with_key(&stack, secret, "POST", predict, ask).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.detail(), format!("key {id:?} was revoked"));
    assert_eq!(with_key(&stack, &admin, "DELETE", &path, "").await.status, StatusCode::CONFLICT);
    let unknown = with_key(&stack, &admin, "DELETE", "/v1/keys/nobody", "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    stack.stop().await;
}

#[tokio::test]
async fn keys_outlive_a_restart_and_do_not_move_the_event_clock() {
    let stack = Stack::start().await;
    let (id, admin) = make(&stack, &[Scope::Admin]).await;
    let (_, shop) = make(&stack, &[Scope::Predict]).await;
    // A key that was made before the first declarations leaves their clock free to begin in the past.
    let files = json!({"files": [{"name": "bikes.yaml", "text": crate::stack::PROJECT}]}).to_string();
    let applied = with_key(&stack, &admin, "PUT", "/v1/project?at=2011-01-01", &files).await;
    assert_eq!(applied.status, StatusCode::OK, "{}", String::from_utf8_lossy(&applied.body));
    make(&stack, &[Scope::Read]).await;
    let status = with_key(&stack, &admin, "GET", "/v1/status", "").await.json();
    assert_eq!(status["at"], "2011-01-01T00:00:00Z");

    // From the snapshot of a clean stop.
    let stack = stack.restart().await;
    assert_eq!(stack.ask("GET", "/v1/status", "").await.status, StatusCode::UNAUTHORIZED);
    let status = with_key(&stack, &admin, "GET", "/v1/status", "").await.json();
    assert_eq!(status["at"], "2011-01-01T00:00:00Z");
    let ask = r#"{"request":{"slot":5,"temp":0.3}}"#;
    let answer = with_key(&stack, &shop, "POST", "/v1/predict/bike?at=2011-01-02", ask).await;
    assert_eq!(answer.status, StatusCode::OK);
    let added = stack.keys.known().iter().find(|key| *key.added.id == *id).unwrap().added.at;
    assert_eq!(added, Stack::clock().now(), "a key is dated by the wall clock");
    stack.stop().await;
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let stack = Stack::start().await;
    make(&stack, &[Scope::Admin]).await;
    let past = Timestamp::parse("2025-01-01").unwrap();
    let expires_at = Some(past + TimeSpan::from_days(30));
    let wanted = NewKey { name: "brief".to_owned(), scopes: vec![Scope::Read], expires_at };
    // Made when there was an admin key already: by an admin key of its own time.
    let admin = NewKey { name: "then".to_owned(), scopes: vec![Scope::Admin], expires_at: None };
    stack.keys.create(admin, past).await.unwrap();
    let (added, secret) = stack.keys.create(wanted, past).await.unwrap();
    let answer = with_key(&stack, secret.reveal(), "GET", "/v1/status", "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.detail(), format!("key {:?} has expired", added.id));
    stack.stop().await;
}

#[tokio::test]
async fn an_address_that_others_reach_wants_an_admin_key() {
    let stack = Stack::start().await;
    let gate = |address: &str| Gate::at(address.parse().unwrap(), stack.keys.clone(), Stack::clock());
    let loopback = ["127.0.0.1:7070", "127.8.8.8:0", "[::1]:7070", "[::ffff:127.0.0.1]:1"];
    let exposed = ["0.0.0.0:7070", "[::]:7070", "192.168.1.4:7070", "[::ffff:10.0.0.1]:1"];
    assert!(loopback.iter().all(|address| gate(address).is_ok()));
    for address in exposed {
        let text = gate(address).err().unwrap().to_string();
        assert!(text.starts_with(address) && text.contains("no key of scope \"admin\""), "{text}");
    }
    make(&stack, &[Scope::Admin]).await;
    assert!(loopback.iter().chain(&exposed).all(|address| gate(address).is_ok()));
    stack.stop().await;
}
