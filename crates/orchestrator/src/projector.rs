//! Lineage in Postgres: the control stream, written in its order, with the position in the same transaction.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use perennial_control::{
    Applied, ControlRecord, Decided, Decision, DecisionVerdict, Outcome, Reported, RunAction, RunFinished,
    Trained,
};
use perennial_pipeline::{Pipeline, control_record};
use perennial_store::{
    Dataset, DeclaredModel, EdgeKind, Parent, Project, Projection, Report, ReportFile, Run, RunEnd, RunState,
    Store, Verdict, Version,
};
use perennial_types::{Position, Stream};
use tokio::sync::watch;

use crate::OrchestratorError;

mod traffic;

/// Between two tries while the database is away.
const RETRY: Duration = Duration::from_millis(500);
/// How long a reader waits for lineage to catch up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows the control stream into the store.
pub(crate) struct Projector {
    pipeline: Pipeline,
    store: Store,
    notable: watch::Receiver<Position>,
    projected: watch::Sender<Position>,
    trouble: Arc<Mutex<Option<String>>>,
}

/// How far lineage is.
#[derive(Clone)]
pub(crate) struct Projected {
    projected: watch::Receiver<Position>,
    notable: watch::Receiver<Position>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Projected {
    /// Up to where lineage shows a log that was applied up to `applied`. Of most records lineage keeps nothing.
    pub(crate) fn position(&self, applied: Position) -> Position {
        // `applied` was looked at before: a record is known to be notable before it counts as applied.
        let projected = *self.projected.borrow();
        if projected >= *self.notable.borrow() { projected.max(applied) } else { projected }
    }

    /// Wait until lineage holds everything that was applied so far.
    pub(crate) async fn caught_up(&self) -> Result<(), OrchestratorError> {
        let wanted = *self.notable.borrow();
        let mut projected = self.projected.clone();
        let reached =
            tokio::time::timeout(PATIENCE, projected.wait_for(|position| *position >= wanted)).await;
        if matches!(reached, Ok(Ok(_))) {
            return Ok(());
        }
        let reason = self.trouble.lock().clone().unwrap_or_else(|| "it is still catching up".to_owned());
        Err(OrchestratorError::Lag { projected: self.projected.borrow().0, wanted: wanted.0, reason })
    }
}

impl Projector {
    pub(crate) fn new(
        pipeline: Pipeline,
        store: Store,
        notable: watch::Receiver<Position>,
    ) -> (Self, Projected) {
        let projected = watch::Sender::new(Position::START);
        let trouble = Arc::default();
        let handle = Projected {
            projected: projected.subscribe(),
            notable: notable.clone(),
            trouble: Arc::clone(&trouble),
        };
        (Self { pipeline, store, notable, projected, trouble }, handle)
    }

    /// Follow until the control stream ends with the service.
    pub(crate) async fn run(mut self) {
        loop {
            let target = *self.notable.borrow_and_update();
            match self.project(target).await {
                Ok(()) => {
                    *self.trouble.lock() = None;
                    if self.notable.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    let known = self.trouble.lock().replace(text.clone());
                    if known.as_ref() != Some(&text) {
                        tracing::warn!(error = text, "lineage cannot follow the log; trying on");
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Write everything up to and including `target` that is not written yet.
    async fn project(&self, target: Position) -> Result<(), OrchestratorError> {
        let mut projection = Projection::begin(&self.store).await?;
        let from = projection.position();
        if from < target {
            let reader = self.pipeline.reader().clone();
            let records = tokio::task::spawn_blocking(move || {
                let mut control = Vec::new();
                for record in reader.read(from.next(), target)? {
                    let record = record?;
                    if record.entry.stream == Stream::Control {
                        control.push((record.position, control_record(&record)?));
                    }
                }
                Ok::<_, OrchestratorError>(control)
            });
            let records = records.await.map_err(|error| OrchestratorError::Internal(error.to_string()))??;
            for (position, record) in &records {
                self.write(&mut projection, *position, record).await?;
            }
            projection.commit(target).await?;
        }
        self.projected.send_replace(from.max(target));
        Ok(())
    }

    async fn write(
        &self,
        projection: &mut Projection,
        position: Position,
        record: &ControlRecord,
    ) -> Result<(), OrchestratorError> {
        match record {
            ControlRecord::Applied(applied) => write_applied(projection, position, applied).await,
            ControlRecord::Decided(decided) => write_decided(projection, position, decided).await,
            ControlRecord::RunFinished(finished) => self.write_finished(projection, position, finished).await,
            ControlRecord::Judged(judged) => traffic::judged(projection, position, judged).await,
            ControlRecord::RolledBack(back) => traffic::rolled_back(projection, position, back).await,
            ControlRecord::RolloutMoved(moved) => traffic::rollout_moved(projection, position, moved).await,
            ControlRecord::ExperimentMoved(moved) => {
                traffic::experiment_moved(projection, position, moved).await
            }
            ControlRecord::Routed(routed) => traffic::routed(projection, position, routed).await,
            ControlRecord::Reported(reported) => write_reported(projection, position, reported).await,
            ControlRecord::DatasetMade(made) => {
                Ok(projection.dataset(&dataset(&made.model, &made.dataset), position).await?)
            }
            ControlRecord::ViewPromoted(_)
            | ControlRecord::Measured(_)
            | ControlRecord::KeyAdded(_)
            | ControlRecord::KeyRevoked(_)
            | ControlRecord::InstantDone { .. } => Ok(()),
        }
    }

    async fn write_finished(
        &self,
        projection: &mut Projection,
        position: Position,
        finished: &RunFinished,
    ) -> Result<(), OrchestratorError> {
        let end = RunEnd {
            run: finished.run.to_string(),
            at: finished.at,
            position,
            state: RunState::Failed,
            metrics: None,
            gates: None,
            reason: None,
            row_visits: Some(0),
        };
        match &finished.outcome {
            Outcome::Failed { reason } => {
                let end = RunEnd { reason: Some(reason.clone()), ..end };
                projection.run_ended(&end).await?;
            }
            Outcome::Succeeded(trained) => {
                projection.dataset(&dataset(&finished.model, &trained.dataset), position).await?;
                let bytes = self.pipeline.blobs().size(&trained.artifact)?.unwrap_or(0);
                projection.version(&version(finished, trained, position, bytes)).await?;
                let end = RunEnd {
                    state: RunState::Succeeded,
                    metrics: Some(serde_json::json!(trained.metrics)),
                    gates: Some(serde_json::json!(trained.gates)),
                    row_visits: Some(trained.row_visits),
                    ..end
                };
                projection.run_ended(&end).await?;
            }
        }
        Ok(())
    }
}

fn public_id(model: &str, number: u64) -> String {
    format!("{model}/{number}")
}

async fn write_applied(
    projection: &mut Projection,
    position: Position,
    applied: &Applied,
) -> Result<(), OrchestratorError> {
    let project = Project {
        hash: applied.hash,
        name: applied.goal.project.to_string(),
        at: applied.at,
        position,
        declarations: applied.declarations.clone(),
    };
    let models: Vec<DeclaredModel> = applied
        .goal
        .models
        .iter()
        .map(|model| DeclaredModel { name: model.name.to_string(), endpoint: model.endpoint.to_string() })
        .collect();
    Ok(projection.applied(&project, &models).await?)
}

async fn write_decided(
    projection: &mut Projection,
    position: Position,
    decided: &Decided,
) -> Result<(), OrchestratorError> {
    for decision in &decided.decisions {
        projection.decided(&stored_decision(decision, decided, position)).await?;
        let Some(run) = &decision.run else { continue };
        let stored = Run {
            id: run.id.to_string(),
            model: run.model.to_string(),
            action: run.action.name().to_owned(),
            policy: None,
            policy_version: None,
            trigger: None,
            decision: decision.key.to_string(),
            parent: run.parent.as_ref().map(|parent| public_id(&run.model, parent.number)),
            requested_at: run.requested_at,
            position,
            inputs: serde_json::to_value(run).unwrap_or_default(),
            state: RunState::Requested,
            finished_at: None,
            metrics: None,
            gates: None,
            reason: None,
            row_visits: None,
        };
        projection.run_requested(&stored).await?;
    }
    Ok(())
}

fn stored_decision(decision: &Decision, decided: &Decided, position: Position) -> perennial_store::Decision {
    perennial_store::Decision {
        key: decision.key.to_string(),
        at: decided.at,
        until: None,
        position,
        about: match &decision.policy {
            Some(policy) => format!("policy {policy} on {}", decision.model),
            // The verdict on its run is about the same, and ends it.
            None => traffic::about_versions(&decision.model),
        },
        policy: decision.policy.as_ref().map(ToString::to_string),
        policy_version: decision.policy_version,
        model: Some(decision.model.to_string()),
        endpoint: None,
        experiment: None,
        verdict: match decision.verdict {
            DecisionVerdict::Started => Verdict::Started,
            DecisionVerdict::Held => Verdict::Held,
            DecisionVerdict::Changed => Verdict::Changed,
        },
        trigger: decision.trigger.as_ref().map(ToString::to_string),
        reason: decision.reason.clone(),
        evaluations: decision.evaluations.clone(),
        signals: decision.signals.clone(),
        run: decision.run.as_ref().map(|run| run.id.to_string()),
    }
}

async fn write_reported(
    projection: &mut Projection,
    position: Position,
    reported: &Reported,
) -> Result<(), OrchestratorError> {
    let request = &reported.request;
    let files = reported.files.iter().map(|file| ReportFile {
        format: file.format.name().to_owned(),
        blob: file.blob,
        bytes: file.bytes,
    });
    let report = Report {
        id: request.id.to_string(),
        name: request.report.to_string(),
        endpoint: request.endpoint.to_string(),
        at: request.at,
        from: request.from,
        to: request.to,
        position,
        on_demand: reported.on_demand,
        alarmed: reported.alarmed,
        summary: reported.summary.clone(),
        files: files.collect(),
    };
    Ok(projection.reported(&report).await?)
}

fn dataset(model: &str, dataset: &perennial_control::Dataset) -> Dataset {
    Dataset {
        id: dataset.content_hash,
        model: model.to_owned(),
        endpoint: dataset.endpoint.to_string(),
        from_position: dataset.from_position,
        to_position: dataset.to_position,
        from_time: dataset.from_time,
        to_time: dataset.to_time,
        rows: dataset.rows,
        holdout_rows: dataset.holdout_rows,
        streams: dataset.streams.iter().map(ToString::to_string).collect(),
    }
}

fn version(finished: &RunFinished, trained: &Trained, position: Position, bytes: u64) -> Version {
    let parents = trained.parent.iter().map(|parent| Parent {
        version: public_id(&finished.model, parent.number),
        kind: match trained.action {
            RunAction::FineTune => EdgeKind::FineTune,
            RunAction::FirstFit | RunAction::Retrain => EdgeKind::Retrain,
        },
    });
    Version {
        id: public_id(&finished.model, trained.number),
        model: finished.model.to_string(),
        number: trained.number,
        content_hash: trained.content_hash,
        artifact: trained.artifact,
        artifact_bytes: bytes,
        run: finished.run.to_string(),
        dataset: trained.dataset.content_hash,
        definition: trained.definition,
        inputs: trained.inputs.iter().map(ToString::to_string).collect(),
        parents: parents.collect(),
        created_at: finished.at,
        position,
        metrics: serde_json::json!(trained.metrics),
    }
}
