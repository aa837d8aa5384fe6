//! Carrying out a run: lease, training set, trainer, gates, outcome.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use perennial_control::{GateResult, Outcome, RunAction, RunFinished, RunRequest, Trained};
use perennial_evaluate::{EndpointSpec, Metric};
use perennial_learn::Fitted;
use perennial_learn::contract::{self, Parent, RunSpec};
use perennial_log::table::write_table;
use perennial_pipeline::{Builder, Definition, PipelineError, RawColumns, ReferencePart, Rows, TrainingSet};
use perennial_policy::GateSpec;
use perennial_stats::paired::{NotWorse, not_worse};
use perennial_store::{Claimant, Lease};
use perennial_types::{Column, ContentHash, DataType, Rounded, Row, Schema, TimeSpan, Timestamp, Value};

use crate::trainer::{self, make_run_dir};
use crate::{Orchestrator, OrchestratorError, TrainerError};

/// How often a run is tried before the machine is given up.
const ATTEMPTS: u32 = 3;
/// How long a lease holds without a heartbeat.
const LEASE: TimeSpan = TimeSpan::from_secs(60);
/// Between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(20);

impl Orchestrator {
    /// Carry out a run and say how it ended. What goes wrong for a cause of the machine is repeated.
    pub(crate) async fn carry_out(&self, request: &RunRequest) -> Result<Outcome, OrchestratorError> {
        let mut last = String::new();
        let begun = Instant::now();
        for attempt in 1..=ATTEMPTS {
            self.caught_up().await?;
            let lease = self.lease(request).await?;
            let beating = self.beat(lease.clone());
            let tried = self.attempt(request).await;
            beating.abort();
            match tried {
                Ok(trained) => {
                    let (version, took_ms) = (trained.number, begun.elapsed().as_millis() as u64);
                    tracing::info!(run = %request.id, model = %request.model, version, took_ms, "a run made a version");
                    return Ok(Outcome::Succeeded(Box::new(trained)));
                }
                Err(TrainerError::Data(reason)) => return Ok(Outcome::Failed { reason }),
                Err(TrainerError::Machine(reason)) => {
                    tracing::warn!(run = %request.id, attempt, reason, "a run failed for a cause of the machine");
                    self.store().release(&lease).await?;
                    last = reason;
                }
            }
        }
        Err(OrchestratorError::Run { run: request.id.to_string(), attempts: ATTEMPTS, reason: last })
    }

    /// The record of how a run ended.
    pub(crate) fn finished(request: &RunRequest, outcome: Outcome, at: Timestamp) -> RunFinished {
        RunFinished { run: Arc::clone(&request.id), model: Arc::clone(&request.model), at, outcome }
    }

    async fn lease(&self, request: &RunRequest) -> Result<Lease, OrchestratorError> {
        let now = self.clock().now();
        let claimant = Claimant {
            owner: format!("pid {}", std::process::id()),
            pid: Some(std::process::id()),
            now,
            until: now + LEASE,
        };
        let lease = self.store().claim(Some(&request.id), &claimant).await?;
        lease.ok_or_else(|| OrchestratorError::Run {
            run: request.id.to_string(),
            attempts: 0,
            reason: "somebody else holds its lease".to_owned(),
        })
    }

    fn beat(&self, lease: Lease) -> tokio::task::JoinHandle<()> {
        let (store, clock) = (self.store().clone(), Arc::clone(self.clock()));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                let now = clock.now();
                if let Err(error) = store.heartbeat(&lease, None, now, now + LEASE).await {
                    tracing::warn!(run = lease.run, %error, "the heartbeat of a run failed");
                }
            }
        })
    }

    async fn attempt(&self, request: &RunRequest) -> Result<Trained, TrainerError> {
        let declared = self.pipeline().declared();
        let definition = declared.definition(request.definition).cloned().ok_or_else(|| {
            TrainerError::Data(format!("definition {} is no longer declared", request.definition))
        })?;
        let goal = declared.goal().cloned().ok_or_else(|| TrainerError::data("no project is applied"))?;
        let endpoint = goal.project.endpoints.iter().find(|endpoint| endpoint.name == request.endpoint);
        let endpoint = endpoint.cloned().ok_or_else(|| {
            TrainerError::Data(format!("endpoint {:?} is no longer declared", request.endpoint))
        })?;
        let mut prepared = {
            let (run, definition, endpoint) = (request.clone(), Arc::clone(&definition), endpoint.clone());
            let orchestrator = self.clone();
            blocking(move || orchestrator.prepare(&run, &definition, &endpoint)).await?
        };
        let sample = RawColumns::new(&definition.model, std::mem::take(&mut prepared.set.sample));
        let part = ReferencePart { before: self.reference_before(request), rows: sample };
        let blobs = self.pipeline().blobs().clone();
        // The sample is written while the trainer works.
        let reference = blocking(move || {
            let bytes = part.save().map_err(TrainerError::machine)?;
            blobs.put(&bytes).map_err(TrainerError::machine)
        });
        let id = Arc::clone(&request.id);
        let trained = trainer::train(self.trainer(), &prepared.spec, &prepared.dir, move |progress| {
            tracing::info!(run = %id, rows_done = progress.rows_done, rows_total = progress.rows_total, "training");
        });
        let (trained, reference) = tokio::try_join!(trained, reference)?;
        let orchestrator = self.clone();
        let request = request.clone();
        blocking(move || {
            let trained = orchestrator.conclude(&request, &definition, prepared, trained)?;
            Ok(Trained { reference: Some(reference), ..trained })
        })
        .await
    }

    /// Where the rows are that the parent's state was trained on, if the run goes on from that state.
    fn reference_before(&self, request: &RunRequest) -> Option<ContentHash> {
        let parent = request.parent.as_ref()?;
        let goes_on = match request.action {
            RunAction::FineTune => parent.definition == request.definition,
            RunAction::FirstFit | RunAction::Retrain => false,
        };
        let state = self.state().lock();
        state.model(&request.model)?.version(parent.number).filter(|_| goes_on)?.reference
    }

    /// Build the training set and lay out the run directory.
    fn prepare(
        &self,
        request: &RunRequest,
        definition: &Definition,
        endpoint: &EndpointSpec,
    ) -> Result<Prepared, TrainerError> {
        let builder = Builder {
            reader: self.pipeline().reader(),
            model: &definition.model,
            sources: &definition.sources,
            endpoint,
        };
        let set = builder.build(&request.data).map_err(unbuilt)?;
        if set.dataset.is_none() {
            return Err(TrainerError::data("there are no labelled rows to train on"));
        }
        let current_holdout = self.current_holdout(request, &builder)?;
        let dir = make_run_dir(self.trainer(), &request.id)?;
        let label = label_name(&definition.model.label, &definition.model.fit.inputs);
        let (schema, rows) = table(definition, &label, &set.training);
        write_table(&dir.join(contract::TRAINING_SET_FILE), &schema, &rows, &[])
            .map_err(TrainerError::machine)?;
        let (parent, parent_state) = match &request.parent {
            Some(parent) => {
                let bytes = self.pipeline().blobs().get(&parent.artifact).map_err(TrainerError::machine)?;
                write(&dir.join(contract::PARENT_FILE), &bytes)?;
                let state = Fitted::load(&bytes).map_err(TrainerError::machine)?;
                let parent = Parent {
                    artifact: contract::PARENT_FILE.to_owned(),
                    sha256: parent.artifact,
                    content_hash: parent.content_hash,
                };
                (Some(parent), Some(state))
            }
            None => (None, None),
        };
        let spec = RunSpec {
            format_version: contract::CONTRACT_VERSION,
            run_id: request.id.to_string(),
            action: match request.action {
                RunAction::FirstFit => contract::Action::Fit,
                RunAction::FineTune => contract::Action::FineTune,
                RunAction::Retrain => contract::Action::Retrain,
            },
            fit: definition.model.fit.clone(),
            epochs: request.epochs,
            parent,
            training_set: contract::TRAINING_SET_FILE.to_owned(),
            label,
            rows: set.training.labels.len() as u64,
        };
        Ok(Prepared { spec, dir, set, parent_state, current_holdout })
    }

    /// The held-out rows as the current version sees them, if it was trained under another definition.
    fn current_holdout(
        &self,
        request: &RunRequest,
        builder: &Builder<'_>,
    ) -> Result<Option<Rows>, TrainerError> {
        let other = request.parent.as_ref().filter(|parent| parent.definition != request.definition);
        let Some(parent) = other.filter(|_| !request.gates.is_empty()) else { return Ok(None) };
        let declared = self.pipeline().declared();
        let definition = declared.definition(parent.definition).ok_or_else(|| {
            TrainerError::Data(format!("definition {} of the current version is gone", parent.definition))
        })?;
        let builder = Builder { model: &definition.model, sources: &definition.sources, ..*builder };
        Ok(Some(builder.build(&request.data).map_err(unbuilt)?.holdout))
    }

    /// Keep the artifact, ask the gates, and say what was made.
    fn conclude(
        &self,
        request: &RunRequest,
        definition: &Definition,
        prepared: Prepared,
        trained: trainer::Trained,
    ) -> Result<Trained, TrainerError> {
        let candidate = Fitted::load(&trained.artifact).map_err(TrainerError::machine)?;
        let artifact = self.pipeline().blobs().put(&trained.artifact).map_err(TrainerError::machine)?;
        let dataset = prepared.set.dataset.ok_or_else(|| TrainerError::data("there are no rows"))?;
        let gates = request.gates.iter().filter_map(|gate| {
            let current = prepared.parent_state.as_ref()?;
            let holdout = &prepared.set.holdout;
            let current_holdout = prepared.current_holdout.as_ref().unwrap_or(holdout);
            Some(judge(gate, (&candidate, holdout), (current, current_holdout)))
        });
        let gates = gates.collect::<Result<Vec<_>, _>>()?;
        let state = self.state().lock();
        let number = state.model(&request.model).map_or(1, |model| model.next_number());
        drop(state);
        // The training set is built again from the log whenever it is wanted; the small files stay.
        let _ = std::fs::remove_file(prepared.dir.join(contract::TRAINING_SET_FILE));
        let metrics: BTreeMap<String, f64> =
            trained.metrics.0.iter().map(|(name, value)| (format!("training_{name}"), *value)).collect();
        Ok(Trained {
            number,
            content_hash: trained.manifest.content_hash,
            artifact,
            action: request.action,
            parent: request.parent.clone(),
            definition: request.definition,
            inputs: definition.model.fit.inputs.clone(),
            dataset,
            row_visits: trained.manifest.row_visits,
            metrics,
            reference: None,
            gates,
        })
    }
}

/// A run whose directory is laid out.
struct Prepared {
    spec: RunSpec,
    dir: std::path::PathBuf,
    set: TrainingSet,
    parent_state: Option<Fitted>,
    /// The held-out rows by the definition of the current version, if that is another one.
    current_holdout: Option<Rows>,
}

/// A record that does not fit a definition never will; anything else that keeps a training set from being built
/// is a cause of the machine.
fn unbuilt(error: PipelineError) -> TrainerError {
    match error {
        PipelineError::Record { .. } | PipelineError::Invalid(_) => TrainerError::data(error),
        other => TrainerError::machine(other),
    }
}

/// The label's column; an input of that name, which nothing forbids, keeps its own.
fn label_name(label: &Arc<str>, inputs: &[Arc<str>]) -> Arc<str> {
    let mut name = Arc::clone(label);
    while inputs.contains(&name) {
        name = format!("{name}_label").into();
    }
    name
}

fn table(definition: &Definition, label: &Arc<str>, rows: &Rows) -> (Schema, Vec<Row>) {
    let model = &definition.model;
    let mut columns: Vec<Column> = model
        .inputs
        .iter()
        .map(|input| Column { nullable: true, ..model.row.columns()[input.column].clone() })
        .collect();
    columns.push(Column { name: Arc::clone(label), data_type: DataType::Double, nullable: false });
    let labelled = rows.inputs.iter().zip(&rows.labels).map(|(row, label)| {
        let mut row = row.clone();
        row.push(Value::Double(*label));
        row
    });
    // The inputs' names are different by their making, and the label's is different from all of them.
    (Schema::new(columns).unwrap_or_default(), labelled.collect())
}

/// Ask one gate about a candidate; each version is shown the same requests as its own definition has them.
fn judge(
    gate: &GateSpec,
    (candidate, candidate_rows): (&Fitted, &Rows),
    (current, current_rows): (&Fitted, &Rows),
) -> Result<GateResult, TrainerError> {
    let GateSpec::NotWorse { metric: name, margin, confidence, .. } = gate;
    let metric =
        Metric::from_name(name).ok_or_else(|| TrainerError::Data(format!("unknown metric {name:?}")))?;
    let losses = |model: &Fitted, holdout: &Rows| -> Result<Vec<f64>, TrainerError> {
        let rows = holdout.inputs.iter().zip(&holdout.labels);
        rows.map(|(row, label)| {
            let prediction = model.predict(row).map_err(TrainerError::data)?;
            let loss = metric.loss(prediction, *label);
            loss.ok_or_else(|| TrainerError::Data(format!("{name} has no loss per row and cannot be a gate")))
        })
        .collect()
    };
    let test = NotWorse { margin: metric.loss_margin(*margin), confidence: *confidence };
    let evidence = not_worse(&losses(candidate, candidate_rows)?, &losses(current, current_rows)?, test)
        .map_err(TrainerError::data)?;
    let passed = !evidence.proven_worse;
    let figure = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| Rounded(value).to_string());
    let sentence = format!(
        "not_worse on {name}: candidate {}, current {} over {} held-out rows; {} by more than {}% at confidence {confidence}",
        figure(evidence.mean_candidate),
        figure(evidence.mean_current),
        evidence.rows,
        if passed { "not proven worse" } else { "proven worse" },
        Rounded(margin * 100.0),
    );
    let evidence = serde_json::to_value(evidence).map_err(TrainerError::machine)?;
    Ok(GateResult { gate: gate.clone(), passed, sentence, evidence })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainerError> {
    std::fs::write(path, bytes).map_err(|error| TrainerError::Machine(format!("{}: {error}", path.display())))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TrainerError> + Send + 'static,
) -> Result<T, TrainerError> {
    tokio::task::spawn_blocking(work).await.map_err(TrainerError::machine)?
}
