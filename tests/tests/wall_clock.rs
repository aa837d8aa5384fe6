//! The loop on the wall clock: nobody says what time it is, and versions come by themselves.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use perennial_remote::{Client, Feedback, FeedbackStatus, ProjectFile, VersionRef};
use perennial_tests::{binary, data_dir};
use player::Service;
use serde_json::{Value as Json, json};

const PROJECT: &str = r#"
kind: Project
name: kiln
tick: 1s
---
kind: Source
name: readings
schema: {id: string, at: timestamp, kiln: int64, heat: double}
id: id
event_time: at
---
kind: FeatureView
name: recent
entity: [kiln]
from: readings
aggregates: [{name: heat, op: avg, of: heat, windows: [1h]}]
---
kind: Model
name: yield
task: regression
request: {kiln: int64, load: double}
features: [recent.*]
transforms: [{of: [load, recent.*], fn: standardize}]
learner: {kind: linear, learning_rate: 0.05}
first_version: {when: "labels.rows >= 50"}
---
kind: Endpoint
name: kilns
models: [yield]
initial: yield
label: {name: tons, matures_after: 1s, give_up_after: 1h}
on_failure: {deadline: 1s, default: 7}
---
kind: Policy
name: fresh
models: [yield]
signals: {volume: {labels: since_training}}
triggers: [{name: enough, when: "volume.rows >= 40", action: fine_tune}]
gates: [{not_worse: mae, margin: 0.5, confidence: 0.9, holdout: 10 rows}]
"#;

/// How long the loop may take for anything it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn versions_come_by_themselves_and_a_rollback_brings_the_first_one_back() -> Result<()> {
    let data = data_dir()?;
    let service = Service::start(&binary()?, data.path(), 0).await?;
    let client = Client::new(service.url())?;
    let files = [ProjectFile { name: "kiln.yaml".to_owned(), text: PROJECT.to_owned() }];
    client.apply(&files, None).await?;

    let refused = client.predict("kilns", None, &request(0), "2011-01-01".parse().ok()).await.unwrap_err();
    assert!(refused.to_string().contains("wall clock"), "{refused}");
    let answer = client.predict("kilns", Some("early"), &request(0), None).await?;
    assert_eq!((answer.prediction, answer.fallback.as_deref()), (7.0, Some("no_version")));

    label(&client, 0..60).await?;
    let first = current(&client, 1).await?;
    let answer = client.predict("kilns", Some("served"), &request(3), None).await?;
    assert_eq!(
        (answer.model.as_deref(), answer.version, answer.fallback),
        (Some("yield"), Some(first), None)
    );
    let again = client.predict("kilns", Some("served"), &request(3), None).await?;
    assert_eq!((again.prediction, again.position), (answer.prediction, answer.position));

    label(&client, 60..140).await?;
    let second = current(&client, first + 1).await?;
    let why = client.ask("/v1/models/yield/versions/current/why", &[]).await?;
    let sentence = why["sentence"].as_str().unwrap_or_default();
    assert!(sentence.contains("enough"), "the trigger is named: {sentence}");
    let ancestors = client.ancestors("yield", VersionRef::Number(second)).await?;
    assert!(!ancestors.items.is_empty(), "a fine-tuned version has a parent");

    client.rollback("yield", Some(first), "the second one burns", None).await?;
    let answer = client.predict("kilns", None, &request(3), None).await?;
    assert_eq!(answer.version, Some(first));
    let missing = client.rollback("yield", Some(99), "no such", None).await.unwrap_err();
    assert!(missing.to_string().contains("99"), "{missing}");

    service.stop().await?;
    // What served is known again after a restart.
    let service = Service::start(&binary()?, data.path(), 0).await?;
    let client = Client::new(service.url())?;
    let answer = client.predict("kilns", Some("served"), &request(3), None).await?;
    assert_eq!((answer.prediction, answer.version), (again.prediction, Some(first)));
    service.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_is_retrained_on_old_requests_too_and_gated_against_what_serves() -> Result<()> {
    let data = data_dir()?;
    let service = Service::start(&binary()?, data.path(), 0).await?;
    let client = Client::new(service.url())?;
    let apply =
        async |text: String| client.apply(&[ProjectFile { name: "kiln.yaml".to_owned(), text }], None).await;
    apply(PROJECT.to_owned()).await?;
    label(&client, 0..60).await?;
    let first = current(&client, 1).await?;

    // One more column of the request, which the requests so far do not have; only a retrain can follow.
    let wetter = PROJECT
        .replace("load: double}", "load: double, wet: double?}")
        .replace("of: [load, recent.*]", "of: [load, wet, recent.*]")
        .replace("action: fine_tune}]", "action: retrain}]");
    assert_ne!(wetter, PROJECT);
    apply(wetter).await?;
    label(&client, 60..140).await?;
    let second = current(&client, first + 1).await?;
    let version = client.ask(&format!("/v1/models/yield/versions/{second}"), &[]).await?;
    let inputs = version["inputs"].as_array().context("a version has inputs")?;
    assert!(inputs.contains(&json!("wet")), "{inputs:?}");
    let runs = client.ask("/v1/runs", &[("model", "yield".to_owned())]).await?;
    let retrained = runs["items"].as_array().context("runs are a list")?.iter();
    let gated: Vec<&Json> = retrained.filter(|run| run["action"] == "retrain").collect();
    assert!(gated.iter().all(|run| run["state"] != "failed"), "{gated:?}");
    assert!(gated.iter().any(|run| run["gates"][0]["evidence"]["rows"] == 10), "{gated:?}");
    // A label that no regression can use is refused, and nothing of its request is taken.
    let wild = [Feedback { prediction_id: "batch-3".to_owned(), value: 1e308 }];
    let refused = client.feedback(&wild, None).await.unwrap_err();
    assert!(refused.to_string().contains("at most 1e100"), "{refused}");
    service.stop().await
}

fn request(number: u32) -> serde_json::Map<String, Json> {
    let request = json!({"kiln": number % 3, "load": f64::from(number % 10)});
    request.as_object().cloned().unwrap_or_default()
}

/// Ask and label: tons follow the load.
async fn label(client: &Client, numbers: std::ops::Range<u32>) -> Result<()> {
    for number in numbers {
        let id = format!("batch-{number}");
        let row = json!({"id": id, "at": "2026-01-01T00:00:00Z", "kiln": number % 3, "heat": 900.0});
        let receipt = client.events("readings", &[row], None).await?;
        assert_eq!(receipt.accepted, 1);
        client.predict("kilns", Some(&id), &request(number), None).await?;
        let value = 2.0 * f64::from(number % 10) + 1.0;
        let results = client.feedback(&[Feedback { prediction_id: id, value }], None).await?;
        assert_eq!(results[0].status, FeedbackStatus::Accepted);
    }
    Ok(())
}

/// Wait until the current version has at least this number.
async fn current(client: &Client, at_least: u64) -> Result<u64> {
    let begun = Instant::now();
    loop {
        let status = client.ask("/v1/models/yield/versions/current", &[]).await;
        if let Some(number) = status.as_ref().ok().and_then(|version| version["number"].as_u64())
            && number >= at_least
        {
            return Ok(number);
        }
        if begun.elapsed() > PATIENCE {
            let runs = client.runs(Some("yield"), None).await.context("listing runs")?;
            bail!("no version {at_least} after {PATIENCE:?}: {status:?}, runs {runs:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
