//! What is remembered of a model: its versions, its runs and what policies keep in mind.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_evaluate::{LabelledPrediction, Prediction};
use perennial_policy::{Finished, PastRun, PolicyState, RunOutcome};
use perennial_types::{ContentHash, Position, TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};

use crate::baseline;
use crate::comparison::Seen;
use crate::compiled::Compiled;
use crate::rollback::Watch;
use crate::rollout::Rollout;
use crate::terms::Terms;
use crate::watched::Watched;
use crate::{Outcome, RolloutChange, RunAction, RunFinished, RunRequest, RunVerdict, Trained, VersionRef};

/// A model's versions, runs and policies' memories.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelState {
    /// Every version made, refused ones too; number n stands at n − 1.
    versions: Vec<Version>,
    /// Number of the current version.
    current: Option<u64>,
    /// Versions that served, oldest first, the current one last.
    served: Vec<u64>,
    /// The run in flight.
    run: Option<InFlight>,
    /// Ended runs, oldest first.
    history: Vec<EndedRun>,
    /// The last fine-tune that ended.
    #[serde(default)]
    fine_tuned: Option<RunRequest>,
    /// What each policy keeps in mind about this model.
    memories: BTreeMap<Arc<str>, PolicyState>,
    /// The promotion of the current version, while it may be taken back.
    watch: Option<Watch>,
    /// What signals have measured.
    watched: Watched,
}

/// A version of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Number, content, artifact and definition.
    pub id: VersionRef,
    /// Position of the last label it was trained on.
    pub data_end: Position,
    /// Instant of the last request it was trained on.
    pub data_end_at: Timestamp,
    /// When it became current, the first time.
    pub promoted_at: Option<Timestamp>,
    /// Baselines of performance signals by their key, once their first full window was complete; inherited
    /// from the parent until then.
    pub baselines: BTreeMap<Arc<str>, Baseline>,
    /// Where the sample of its training rows is.
    pub reference: Option<ContentHash>,
}

impl Version {
    /// What a performance signal of this metric over this window is compared with; nothing yet while the first
    /// full window of the first version is open.
    pub fn baseline(&self, metric: &str, window: TimeSpan) -> Option<&Baseline> {
        self.baselines.get(&baseline::key(metric, window))
    }
}

/// The figure that a performance signal is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The metric's value.
    pub value: f64,
    /// Whether it is of an earlier version.
    pub inherited: bool,
}

/// A run without an outcome or a verdict yet, or with a candidate in rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InFlight {
    /// What was asked for.
    pub request: RunRequest,
    /// How its candidate reaches traffic; nothing for a first fit.
    pub terms: Option<Terms>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The version it made.
    pub version: Option<VersionRef>,
    /// The rollout of that version, once it was admitted.
    pub rollout: Option<Rollout>,
}

impl InFlight {
    /// Why its model's policies wait.
    pub(crate) fn busy(&self) -> String {
        match (&self.rollout, &self.terms) {
            (Some(rollout), Some(terms)) => rollout.sentence(terms),
            (Some(_), None) | (None, _) => format!("run {} is in flight", self.request.id),
        }
    }

    /// The candidate in rollout and the terms that it is under.
    pub fn in_rollout(&self) -> Option<(&Rollout, &Terms)> {
        self.rollout.as_ref().zip(self.terms.as_ref())
    }
}

/// A run that was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedRun {
    /// The run.
    pub run: Arc<str>,
    /// The policy that asked.
    pub policy: Option<Arc<str>>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it was judged or its candidate left the rollout.
    pub finished_at: Timestamp,
    /// The version that it made.
    #[serde(default)]
    pub version: Option<u64>,
    /// When its promotion was taken back, by a policy or by hand.
    pub rolled_back_at: Option<Timestamp>,
    /// What came of it.
    pub verdict: RunVerdict,
    /// Rows times epochs.
    pub row_visits: u64,
    /// Labels there were when it was asked for.
    pub labels_to: Position,
}

impl EndedRun {
    /// A promotion that was taken back is a failure since then.
    fn finished(&self) -> Finished {
        let outcome = match self.verdict {
            RunVerdict::Promoted | RunVerdict::Admitted => RunOutcome::Success,
            RunVerdict::Refused | RunVerdict::Failed => RunOutcome::Failure,
        };
        match self.rolled_back_at {
            Some(at) => Finished { at, outcome: RunOutcome::Failure },
            None => Finished { at: self.finished_at, outcome },
        }
    }
}

impl ModelState {
    /// The current version.
    pub fn current(&self) -> Option<&Version> {
        self.current.and_then(|number| self.version(number))
    }

    /// The version of this number.
    pub fn version(&self, number: u64) -> Option<&Version> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.versions.get(index)
    }

    /// The version that served before the current one.
    pub fn previous(&self) -> Option<&Version> {
        let (_, earlier) = self.served.split_last()?;
        earlier.last().and_then(|number| self.version(*number))
    }

    /// Whether the version of this number served before the current one, so that a rollback can reach it.
    pub fn served_before(&self, number: u64) -> bool {
        self.current != Some(number) && self.served.contains(&number)
    }

    /// The number of the next version that is made.
    pub fn next_number(&self) -> u64 {
        self.versions.len() as u64 + 1
    }

    /// The run in flight.
    pub fn in_flight(&self) -> Option<&InFlight> {
        self.run.as_ref()
    }

    /// The last run that was judged.
    pub fn last_ended(&self) -> Option<&EndedRun> {
        self.history.last()
    }

    /// What a policy keeps in mind about this model.
    pub fn memory(&self, policy: &str) -> PolicyState {
        self.memories.get(policy).cloned().unwrap_or_default()
    }

    /// The runs that a policy started and that were judged, oldest first.
    pub fn past_runs(&self, policy: &str) -> Vec<PastRun> {
        let of_policy = self.history.iter().filter(|run| run.policy.as_deref() == Some(policy));
        of_policy
            .map(|run| PastRun {
                requested_at: run.requested_at,
                finished: Some(run.finished()),
                row_visits: run.row_visits,
            })
            .collect()
    }

    /// The promotion of the current version, while it may be taken back.
    pub fn watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }

    /// What signals have measured.
    pub fn watched(&self) -> &Watched {
        &self.watched
    }

    pub(crate) fn watched_mut(&mut self) -> &mut Watched {
        &mut self.watched
    }

    /// The terms that compiled conditions must be kept for.
    pub(crate) fn terms(&self) -> impl Iterator<Item = &Terms> {
        let of_run = self.run.as_ref().and_then(|run| run.terms.as_ref());
        of_run.into_iter().chain(self.watch.as_ref().map(Watch::terms))
    }

    /// Take a request of the model's endpoint into account.
    pub(crate) fn predicted(&mut self, model: &str, prediction: &Prediction) {
        if let Some(rollout) = self.run.as_mut().and_then(|run| run.rollout.as_mut()) {
            rollout.predicted(model, prediction);
        }
    }

    /// Take a labelled request of the model's endpoint into account.
    pub(crate) fn labelled(
        &mut self,
        model: &str,
        row: &LabelledPrediction,
        matures_after: TimeSpan,
        compiled: &Compiled,
    ) {
        if let Some(InFlight { rollout: Some(rollout), terms: Some(terms), .. }) = &mut self.run {
            rollout.labelled(row, model, Seen { terms, matures_after, compiled });
        }
        if let Some(watch) = &mut self.watch {
            watch.labelled(row, model, matures_after, compiled);
        }
        if let Some(prediction) = self.current.and_then(|number| crate::comparison::score(row, model, number))
        {
            self.watched.labelled(prediction, row);
        }
    }

    /// Fold what has matured, and give up watching a promotion that can no longer be taken back: the reason.
    pub(crate) fn mature(&mut self, now: Timestamp) -> Option<String> {
        if let Some(rollout) = self.run.as_mut().and_then(|run| run.rollout.as_mut()) {
            rollout.mature(now);
        }
        let watch = self.watch.as_mut()?;
        watch.mature(now);
        if now < watch.until() {
            return None;
        }
        let (number, until) = (watch.replaced().number, watch.until());
        self.watch = None;
        Some(format!(
            "version {number}, which was replaced, leaves shadow: a rollback could follow until {until}"
        ))
    }

    pub(crate) fn remember(&mut self, policy: &Arc<str>, memory: PolicyState) {
        self.memories.insert(Arc::clone(policy), memory);
    }

    pub(crate) fn forget_policies_but(&mut self, kept: impl Fn(&str) -> bool) {
        self.memories.retain(|name, _| kept(name));
    }

    pub(crate) fn start(&mut self, request: RunRequest, terms: Option<Terms>) {
        self.run = Some(InFlight { request, terms, outcome: None, version: None, rollout: None });
    }

    /// The first outcome of the run in flight counts; another run's, or a second one, changes nothing.
    pub(crate) fn finish(&mut self, finished: &RunFinished) {
        let Some(run) = &mut self.run else { return };
        if run.request.id != finished.run || run.outcome.is_some() {
            return;
        }
        run.outcome = Some(finished.outcome.clone());
        if let Outcome::Succeeded(trained) = &finished.outcome {
            let version = version_of(&run.request, trained, self.versions.len() as u64 + 1);
            run.version = Some(version.id.clone());
            self.versions.push(version);
        }
    }

    /// The run in flight was judged.
    pub(crate) fn judge(&mut self, run: &str, verdict: RunVerdict, at: Timestamp) {
        match verdict {
            RunVerdict::Admitted => self.admit(run),
            RunVerdict::Promoted | RunVerdict::Refused | RunVerdict::Failed => self.end(run, verdict, at),
        }
    }

    fn admit(&mut self, run: &str) {
        let (Some(current), Some(in_flight)) = (self.current, &mut self.run) else { return };
        if let (true, Some(version), Some(terms)) =
            (&*in_flight.request.id == run, &in_flight.version, &in_flight.terms)
        {
            in_flight.rollout = Some(Rollout::admitted(version.clone(), current, terms));
        }
    }

    /// The candidate in rollout moved.
    pub(crate) fn move_rollout(&mut self, run: &str, change: RolloutChange, at: Timestamp) {
        match change {
            RolloutChange::Promoted => self.end(run, RunVerdict::Promoted, at),
            RolloutChange::Refused => self.end(run, RunVerdict::Refused, at),
            RolloutChange::Entered(stage) => {
                let in_flight = self.run.as_mut().filter(|in_flight| &*in_flight.request.id == run);
                if let Some(rollout) = in_flight.and_then(|in_flight| in_flight.rollout.as_mut()) {
                    rollout.enter(stage, at);
                }
            }
        }
    }

    /// The run in flight is over.
    fn end(&mut self, run: &str, verdict: RunVerdict, at: Timestamp) {
        let Some(ended) = self.run.take_if(|in_flight| &*in_flight.request.id == run) else { return };
        let row_visits = match &ended.outcome {
            Some(Outcome::Succeeded(trained)) => trained.row_visits,
            Some(Outcome::Failed { .. }) | None => 0,
        };
        self.history.push(EndedRun {
            run: Arc::clone(&ended.request.id),
            policy: ended.terms.as_ref().map(|terms| Arc::clone(&terms.policy)),
            requested_at: ended.request.requested_at,
            finished_at: at,
            version: ended.version.as_ref().map(|version| version.number),
            rolled_back_at: None,
            verdict,
            row_visits,
            labels_to: ended.request.data.to,
        });
        if ended.request.action == RunAction::FineTune {
            self.fine_tuned = Some(ended.request.clone());
        }
        if verdict == RunVerdict::Promoted {
            self.promote(ended, at);
        }
    }

    fn promote(&mut self, ended: InFlight, at: Timestamp) {
        let Some(version) = ended.version else { return };
        let (replaced, comparison) =
            (self.current().map(|current| current.id.clone()), ended.rollout.map(Rollout::into_comparison));
        let inherited = self.current().map(|current| current.baselines.clone()).unwrap_or_default();
        self.make_current(version.number, at);
        if let Some(version) = self.version_mut(version.number) {
            version.baselines = inherited
                .into_iter()
                .map(|(key, baseline)| (key, Baseline { inherited: true, ..baseline }))
                .collect();
        }
        self.watch = ended
            .terms
            .zip(replaced)
            .and_then(|(terms, replaced)| Watch::begin(terms, (version.number, at), replaced, comparison));
    }

    fn make_current(&mut self, number: u64, at: Timestamp) {
        self.current = Some(number);
        self.served.push(number);
        if let Some(version) = self.version_mut(number) {
            version.promoted_at.get_or_insert(at);
        }
    }

    /// A version that served before serves again; those promoted after it are no longer "previous", and the runs that
    /// made them count as failures, whoever asked for it.
    pub(crate) fn roll_back(&mut self, number: u64, at: Timestamp) {
        self.watch = None;
        let Some(index) = self.served.iter().position(|served| *served == number) else { return };
        let taken_back = self.served.split_off(index + 1);
        self.current = Some(number);
        for ended in &mut self.history {
            if ended.version.is_some_and(|version| taken_back.contains(&version)) {
                ended.rolled_back_at = Some(at);
            }
        }
    }

    /// Why a fine-tune would train what was trained before: it is asked for the rows, passes and gates of the last
    /// one, which came to nothing.
    pub(crate) fn fine_tuned_in_vain(&self, wanted: &RunRequest) -> Option<String> {
        let last = self.fine_tuned.as_ref()?;
        let asks = |run: &RunRequest| (run.parent.clone(), run.definition, run.data.clone(), run.epochs);
        if asks(last) != asks(wanted) || last.gates != wanted.gates {
            return None;
        }
        let ended = self.history.iter().rev().find(|ended| ended.run == last.id)?;
        Some(match (ended.version, ended.rolled_back_at) {
            (Some(number), Some(_)) => format!("no new labels since candidate {number} was taken back"),
            (Some(number), None) => format!("no new labels since candidate {number} was refused"),
            (None, _) => format!("no new labels since run {} failed", ended.run),
        })
    }

    /// Keep a completed baseline of the current version.
    pub(crate) fn complete_baseline(&mut self, key: &Arc<str>, value: f64) {
        if let Some(version) = self.current.and_then(|number| self.version_mut(number)) {
            version.baselines.insert(Arc::clone(key), Baseline { value, inherited: false });
        }
    }

    fn version_mut(&mut self, number: u64) -> Option<&mut Version> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.versions.get_mut(index)
    }
}

fn version_of(request: &RunRequest, trained: &Trained, number: u64) -> Version {
    let (content_hash, artifact) = (trained.content_hash, trained.artifact);
    Version {
        id: VersionRef { number, content_hash, artifact, definition: request.definition },
        data_end: trained.dataset.to_position,
        data_end_at: trained.dataset.to_time,
        promoted_at: None,
        baselines: BTreeMap::new(),
        reference: trained.reference,
    }
}
