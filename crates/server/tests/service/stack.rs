//! A service in a temporary directory, asked without a socket.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use perennial_gateway::GatewayFold;
use perennial_log::{Durability, LogOptions};
use perennial_orchestrator::{ControlFold, Orchestrator, TrainerOptions};
use perennial_pipeline::{Audits, Fold, Pipeline, PipelineOptions, Sources};
use perennial_server::{App, Gate, KeyFold, KeyRing};
use perennial_store::{Blobs, Postgres, PostgresOptions, Store};
use perennial_types::{Clock, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const PROJECT: &str = r#"
kind: Project
name: bikes
clock: event
---
kind: Source
name: demand
schema: {event_id: string, hour: timestamp, slot: int64, cnt: int64}
id: event_id
event_time: hour
available_at: arrival
stream: {http: {}}
retention: 40d
---
kind: FeatureView
name: slot_demand
entity: [slot]
from: demand
columns: {rides: "CAST(cnt AS DOUBLE)"}
aggregates:
  - {name: rides, op: avg, of: rides, windows: [7d]}
---
kind: Model
name: usual
task: regression
request: {slot: int64, temp: double}
features: [slot_demand.*]
transforms:
  - {of: [temp, slot_demand.*], fn: standardize, missing: mean}
learner: {kind: linear, epochs: 1}
first_version: {when: "labels.rows >= 100000"}
---
kind: Endpoint
name: bike
models: [usual]
initial: usual
label: {name: cnt, matures_after: 24h, give_up_after: 7d}
outcome: independent_of_prediction
on_failure: {default: 3}
"#;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2026-01-01").unwrap()
    }
}

pub(crate) struct Stack {
    router: Router,
    pub(crate) keys: KeyRing,
    pipeline: Pipeline,
    audits: Audits,
    postgres: Postgres,
    place: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

impl Stack {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(place: TempDir) -> Self {
        // The database server runs as another user where tests run as root.
        std::fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let postgres =
            Postgres::start(&place.path().join("postgres"), &PostgresOptions::default()).await.unwrap();
        let store = Store::connect(&postgres.address()).await.unwrap();
        store.migrate().await.unwrap();
        let options = PipelineOptions::new(place.path().join("data"));
        let log = LogOptions::new(options.log_dir());
        let blobs = Blobs::open(&place.path().join("blobs")).unwrap();
        let (control, gateway) = (ControlFold::default(), GatewayFold::new(blobs.clone()));
        let keys = KeyFold::default();
        let (control_handle, gateway_handle, key_handle) =
            (control.handle(), gateway.handle(), keys.handle());
        let open = move || {
            let folds: Vec<Box<dyn Fold>> = vec![Box::new(control), Box::new(gateway), Box::new(keys)];
            Pipeline::open(options, log, blobs, folds)
        };
        let pipeline = tokio::task::spawn_blocking(open).await.unwrap().unwrap();
        let clock = Self::clock();
        let gateway = gateway_handle.gateway(pipeline.clone(), Durability::Written, Arc::clone(&clock));
        let trainer = TrainerOptions {
            program: "/nonexistent".into(),
            runs_dir: place.path().join("runs"),
            timeout: Duration::from_secs(1),
            memory_bytes: 1 << 30,
        };
        let started =
            Orchestrator::start(pipeline.clone(), store, &control_handle, trainer, Arc::clone(&clock));
        let keys = key_handle.ring(pipeline.clone());
        let sources = Sources::start(pipeline.clone(), None, Arc::clone(&clock));
        let audits = Audits::follow(pipeline.clone()).unwrap();
        let gate = Gate::at("127.0.0.1:0".parse().unwrap(), keys.clone(), Arc::clone(&clock)).unwrap();
        let app = App::new(gateway, started.await.unwrap(), sources, gate, clock);
        Self { router: perennial_server::router(Arc::new(app)), keys, pipeline, audits, postgres, place }
    }

    /// Stopped and started again over the same files.
    pub(crate) async fn restart(self) -> Self {
        let place = self.stop().await;
        Self::start_in(place).await
    }

    /// Whether a text stands in a file of the log or of its snapshots.
    pub(crate) fn files_contain(&self, text: &str) -> bool {
        let mut directories = vec![self.place.path().join("data")];
        while let Some(directory) = directories.pop() {
            for entry in directory.read_dir().unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => directories.push(entry.path()),
                    false => {
                        let bytes = std::fs::read(entry.path()).unwrap();
                        if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                            return true;
                        }
                    }
                }
            }
        }
        false
    }

    /// The clock of the service.
    pub(crate) fn clock() -> Arc<dyn Clock> {
        Arc::new(Stopped)
    }

    /// With the project applied at the start of 2011.
    pub(crate) async fn declared() -> Self {
        let stack = Self::start().await;
        let files = json!({"files": [{"name": "bikes.yaml", "text": PROJECT}]});
        let answer = stack.ask("PUT", "/v1/project?at=2011-01-01", &files.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
        stack
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(method, path, &[], body.as_bytes().to_vec()).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Wait until the audits have seen everything.
    pub(crate) async fn audited(&self) {
        let audits = self.audits.clone();
        tokio::task::spawn_blocking(move || audits.caught_up()).await.unwrap().unwrap();
    }

    pub(crate) async fn stop(self) -> TempDir {
        let audits = self.audits.clone();
        tokio::task::spawn_blocking(move || audits.close()).await.unwrap().unwrap();
        self.pipeline.close().await.unwrap();
        self.postgres.stop().await.unwrap();
        self.place
    }
}
