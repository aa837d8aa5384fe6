//! Driving the loop: instants are fired, runs carried out, declarations applied.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use perennial_control::{
    Applied, ControlError, ControlRecord, DatasetMade, MeasureRequest, Pace, ReportRequest, Reported,
    RolledBack, RunRequest, State, Step,
};
use perennial_log::Durability;
use perennial_pipeline::Pipeline;
use perennial_project::{ClockKind, Plan, Project};
use perennial_store::Store;
use perennial_types::{Clock, Position, Timestamp};

use crate::OrchestratorError;
use crate::fold::ControlHandle;
use crate::measure::Observer;
use crate::projector::{Projected, Projector};
use crate::trainer::{self, TrainerOptions};

/// Drives the loop of a service. Cheap to clone.
#[derive(Clone)]
pub struct Orchestrator {
    inner: Arc<Inner>,
}

struct Inner {
    pipeline: Pipeline,
    store: Store,
    state: Arc<Mutex<State>>,
    projected: Projected,
    trainer: TrainerOptions,
    clock: Arc<dyn Clock>,
    observer: Observer,
    /// Runs that are being carried out on the wall clock, by id.
    at_work: Mutex<BTreeSet<Arc<str>>>,
    /// One change of the control stream at a time on the wall clock.
    turn: tokio::sync::Mutex<()>,
}

impl Orchestrator {
    /// Take over after an earlier life: its trainers are ended, its leases voided; lineage follows the log
    /// from now on.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn start(
        pipeline: Pipeline,
        store: Store,
        control: &ControlHandle,
        trainer: TrainerOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OrchestratorError> {
        trainer::end_survivors(&trainer.runs_dir);
        store.void_all().await?;
        let state = Arc::clone(&control.state);
        let (projector, projected) = Projector::new(pipeline.clone(), store.clone(), control.notable.clone());
        tokio::spawn(projector.run());
        let (at_work, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        let observer = Observer::new(pipeline.clone(), Arc::clone(&state));
        let inner = Inner { pipeline, store, state, projected, trainer, clock, observer, at_work, turn };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What drives the project's time; nothing before a project is applied.
    pub fn clock_kind(&self) -> Option<ClockKind> {
        self.inner.pipeline.declared().goal().map(|goal| goal.project.clock)
    }

    /// The present instant of the project: on the event clock that of the last record.
    pub fn now(&self) -> Timestamp {
        match self.clock_kind() {
            Some(ClockKind::Event) => self.inner.pipeline.last_available_at().unwrap_or_default(),
            Some(ClockKind::Wall) | None => self.inner.clock.now(),
        }
    }

    /// The loop's state.
    pub fn state(&self) -> &Arc<Mutex<State>> {
        &self.inner.state
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &Pipeline {
        &self.inner.pipeline
    }

    pub(crate) fn trainer(&self) -> &TrainerOptions {
        &self.inner.trainer
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Up to where lineage shows the log: everything that was applied, once no record of it is left to write.
    pub fn projected(&self) -> Position {
        let applied = *self.inner.pipeline.applied().borrow();
        self.inner.projected.position(applied)
    }

    /// Wait until lineage holds everything that was applied so far.
    ///
    /// # Errors
    /// When it does not come that far in time.
    pub async fn caught_up(&self) -> Result<(), OrchestratorError> {
        self.inner.projected.caught_up().await
    }

    /// Do everything that is due up to and including an instant of the event clock, its runs included.
    ///
    /// # Errors
    /// When something of it cannot be done; the next call goes on from there.
    pub async fn advance_to(&self, at: Timestamp) -> Result<(), OrchestratorError> {
        while let Some(instant) = self.next_instant(at) {
            // What was admitted before this instant counts in it.
            self.inner.pipeline.settled().await?;
            self.fire(instant).await?;
        }
        Ok(())
    }

    /// Whether anything is due up to and including an instant of the event clock.
    pub fn is_due(&self, at: Timestamp) -> bool {
        self.next_instant(at).is_some()
    }

    fn next_instant(&self, to: Timestamp) -> Option<Timestamp> {
        self.inner.state.lock().next_instant(to)
    }

    async fn fire(&self, at: Timestamp) -> Result<(), OrchestratorError> {
        loop {
            let step = self.inner.state.lock().step(at, at, Pace::Event);
            match step {
                Step::Append(records) => self.append(&records, at).await?,
                Step::CarryOut(runs) => {
                    for run in &runs {
                        let outcome = self.carry_out(run).await?;
                        let finished = Self::finished(run, outcome, at);
                        self.append(&[ControlRecord::RunFinished(finished)], at).await?;
                    }
                }
                Step::Measure(requests) => self.measure_and_tell(requests, at).await?,
                Step::Report(request) => self.report_and_tell(request, false, at).await.map(drop)?,
                Step::Done => return Ok(()),
            }
        }
    }

    async fn append(&self, records: &[ControlRecord], at: Timestamp) -> Result<(), OrchestratorError> {
        // That nothing was to be done needs no sync of its own: it is found again, and any later record that
        // is synced makes it safe too.
        records.iter().for_each(tell);
        let quiet = records.iter().all(|record| matches!(record, ControlRecord::InstantDone { .. }));
        let durability = if quiet { Durability::Written } else { Durability::Synced };
        Ok(self.inner.pipeline.append_control(records, at, durability).await?)
    }

    async fn measure_and_tell(
        &self,
        requests: Vec<MeasureRequest>,
        at: Timestamp,
    ) -> Result<(), OrchestratorError> {
        let observer = self.inner.observer.clone();
        let measured = blocking(move || observer.measure(&requests)).await?;
        let records: Vec<ControlRecord> = measured.into_iter().map(ControlRecord::Measured).collect();
        self.append(&records, at).await
    }

    async fn report_and_tell(
        &self,
        request: ReportRequest,
        on_demand: bool,
        at: Timestamp,
    ) -> Result<Reported, OrchestratorError> {
        let observer = self.inner.observer.clone();
        let reported = blocking(move || observer.report(&request, on_demand)).await?;
        self.append(&[ControlRecord::Reported(reported.clone())], at).await?;
        Ok(reported)
    }

    /// Write a declared report as of an instant, now and not when it is due.
    ///
    /// # Errors
    /// When no report has this name, or it cannot be written.
    pub async fn write_report(&self, name: &str, at: Timestamp) -> Result<Reported, OrchestratorError> {
        let _turn = self.inner.turn.lock().await;
        self.inner.pipeline.settled().await?;
        let request = self.inner.state.lock().report_on_demand(name, at)?;
        self.report_and_tell(request, true, at).await
    }

    /// Read declarations. YAML can write a NUL character, which the tables of lineage cannot hold.
    ///
    /// # Errors
    /// With every fault of the declarations.
    pub fn parse(files: &[(String, String)]) -> Result<Project, OrchestratorError> {
        let project = Project::parse(files).map_err(OrchestratorError::Faults)?;
        let text = serde_json::to_string(&project)
            .map_err(|error| OrchestratorError::Internal(error.to_string()))?;
        if text.contains("\\u0000") {
            let reason = "the declarations contain a NUL character (\\0 in a quoted text)";
            return Err(ControlError::Goal(reason.to_owned()).into());
        }
        Ok(project)
    }

    /// What applying declarations would change.
    ///
    /// # Errors
    /// With every fault of the declarations.
    pub fn plan(&self, files: &[(String, String)]) -> Result<Plan, OrchestratorError> {
        let project = Self::parse(files)?;
        let declared = self.inner.pipeline.declared();
        let running = declared.goal().map(|goal| &goal.project);
        project.diff(running).map_err(OrchestratorError::Faults)
    }

    /// Make declarations the goal state. Declarations that run already change nothing.
    ///
    /// # Errors
    /// With every fault of the declarations, or what cannot be changed.
    pub async fn apply(&self, files: &[(String, String)], at: Timestamp) -> Result<Plan, OrchestratorError> {
        let plan = self.plan(files)?;
        let refusals = plan.refusals();
        if !refusals.is_empty() {
            return Err(OrchestratorError::Refused(refusals));
        }
        if plan.changes.is_empty() {
            return Ok(plan);
        }
        let project = Self::parse(files)?;
        if let (Some(source), Position::START) = (project.histories.keys().next(), self.inner.pipeline.head())
        {
            let refused = format!(
                "the history of source {source:?} is in files beside the declarations: start with `perennial serve --project DIR`"
            );
            return Err(OrchestratorError::Refused(vec![refused]));
        }
        let compiled = project.compile().map_err(OrchestratorError::Faults)?;
        let declarations =
            serde_json::to_value(&project).map_err(|error| OrchestratorError::Internal(error.to_string()))?;
        let applied = Applied { at, hash: plan.to, goal: compiled.goal, declarations };
        let _turn = self.inner.turn.lock().await;
        self.inner.pipeline.settled().await?;
        let records = self.inner.state.lock().with_consequences(ControlRecord::Applied(applied), at)?;
        self.append(&records, at).await?;
        Ok(plan)
    }

    /// Put an earlier version of a model back into service: the one of this number, or the last one before.
    ///
    /// # Errors
    /// When there is no such model, or nothing to go back to.
    pub async fn roll_back(
        &self,
        model: &str,
        to: Option<u64>,
        reason: &str,
        at: Timestamp,
    ) -> Result<RolledBack, OrchestratorError> {
        let _turn = self.inner.turn.lock().await;
        self.inner.pipeline.settled().await?;
        let (rolled_back, records) = {
            let state = self.inner.state.lock();
            let rolled_back = state.roll_back(model, to, reason, at)?;
            let records = state.with_consequences(ControlRecord::RolledBack(rolled_back.clone()), at)?;
            (rolled_back, records)
        };
        self.append(&records, at).await?;
        Ok(rolled_back)
    }

    /// Let lineage keep a training set that was made of a file.
    ///
    /// # Errors
    /// When no such model is declared, or the log has no such positions.
    pub async fn record_dataset(&self, made: DatasetMade) -> Result<(), OrchestratorError> {
        let head = self.inner.pipeline.head();
        let (from, to) = (made.dataset.from_position, made.dataset.to_position);
        if from > to || to > head {
            let refused = format!("positions {from} to {to} are no range of a log that ends at {head}");
            return Err(OrchestratorError::Refused(vec![refused]));
        }
        let at = made.at;
        self.append_between(ControlRecord::DatasetMade(made), at).await
    }

    /// Append a record between two turns of the loop.
    pub(crate) async fn append_between(
        &self,
        record: ControlRecord,
        at: Timestamp,
    ) -> Result<(), OrchestratorError> {
        let _turn = self.inner.turn.lock().await;
        self.inner.pipeline.settled().await?;
        self.append(&[record], at).await
    }

    /// Drive the loop by the wall clock for as long as the service lives; under the event clock, and before a
    /// project is applied, it only watches.
    pub async fn drive_wall(&self) {
        let mut control = self.inner.pipeline.control();
        loop {
            if self.clock_kind() != Some(ClockKind::Wall) {
                if control.changed().await.is_err() {
                    return;
                }
                continue;
            }
            if let Err(error) = self.wall_turn().await {
                tracing::error!(%error, "the loop could not go on; trying again at the next tick");
            }
            let now = self.inner.clock.now();
            let tick = self.inner.state.lock().goal().map(|goal| goal.tick);
            let Some(tick) = tick else { continue };
            let wait = (now.floor(tick) + tick).since(now).micros();
            let wait = std::time::Duration::from_micros(u64::try_from(wait).unwrap_or(0));
            // A change of the control stream (an outcome, new declarations) is looked at when it comes.
            let _ = tokio::time::timeout(wait, control.changed()).await;
        }
    }

    async fn wall_turn(&self) -> Result<(), OrchestratorError> {
        let _turn = self.inner.turn.lock().await;
        self.inner.pipeline.settled().await?;
        let now = self.inner.clock.now();
        let tick = self.inner.state.lock().goal().map(|goal| goal.tick);
        let Some(tick) = tick else { return Ok(()) };
        loop {
            let step = self.inner.state.lock().step(now.floor(tick), now, Pace::Wall);
            match step {
                Step::Append(records) => self.append(&records, now).await?,
                Step::Measure(requests) => self.measure_and_tell(requests, now).await?,
                Step::Report(request) => self.report_and_tell(request, false, now).await.map(drop)?,
                Step::CarryOut(_) | Step::Done => break,
            }
        }
        let waiting = self.inner.state.lock().runs_to_carry_out();
        for run in waiting {
            if self.inner.at_work.lock().insert(Arc::clone(&run.id)) {
                tokio::spawn(self.clone().work(run));
            }
        }
        Ok(())
    }

    /// Carry out a run on the wall clock; what the machine prevents is tried again at a later turn.
    async fn work(self, run: RunRequest) {
        match self.carry_out(&run).await {
            Ok(outcome) => {
                let now = self.inner.clock.now();
                let finished = Self::finished(&run, outcome, now);
                if let Err(error) = self.append(&[ControlRecord::RunFinished(finished)], now).await {
                    tracing::error!(run = %run.id, %error, "the outcome of a run could not be written");
                }
            }
            Err(error) => tracing::error!(run = %run.id, %error, "a run was not carried out"),
        }
        self.inner.at_work.lock().remove(&run.id);
    }
}

/// Reading much of the log is no work for a thread that answers requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OrchestratorError> + Send + 'static,
) -> Result<T, OrchestratorError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| OrchestratorError::Internal(error.to_string()))?
}

/// Say what has changed in what serves.
fn tell(record: &ControlRecord) {
    match record {
        ControlRecord::Judged(judged) => {
            let (model, run, verdict) = (&judged.model, &judged.run, judged.verdict.name());
            let version = judged.version.as_ref().map(|version| version.number);
            tracing::info!(%model, %run, version, reason = judged.reason, "a run was judged: {verdict}");
        }
        ControlRecord::RolledBack(back) => {
            let (model, from, to) = (&back.model, back.from.number, back.to.number);
            tracing::info!(%model, from, to, reason = back.reason, "rolled back");
        }
        ControlRecord::ViewPromoted(promoted) => {
            let (view, from, to) = (&promoted.view, promoted.from.short(), promoted.to.short());
            tracing::info!(%view, from, to, reason = promoted.reason, "a view's new version serves");
        }
        ControlRecord::Applied(_)
        | ControlRecord::Decided(_)
        | ControlRecord::RunFinished(_)
        | ControlRecord::RolloutMoved(_)
        | ControlRecord::ExperimentMoved(_)
        | ControlRecord::Routed(_)
        | ControlRecord::Measured(_)
        | ControlRecord::Reported(_)
        | ControlRecord::DatasetMade(_)
        | ControlRecord::KeyAdded(_)
        | ControlRecord::KeyRevoked(_)
        | ControlRecord::InstantDone { .. } => {}
    }
}
