//! What is remembered of a model: its versions, its runs and what policies keep in mind.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_policy::{Finished, PastRun, PolicyState, RunOutcome};
use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Outcome, RunFinished, RunRequest, RunVerdict, Trained, VersionRef};

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
    /// What each policy keeps in mind about this model.
    memories: BTreeMap<Arc<str>, PolicyState>,
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
}

/// The figure that a performance signal is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The metric's value.
    pub value: f64,
    /// Whether it is of an earlier version.
    pub inherited: bool,
}

/// A run without an outcome or a verdict yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InFlight {
    /// What was asked for.
    pub request: RunRequest,
    /// The policy that asked; nothing for a first fit.
    pub policy: Option<Arc<str>>,
    /// How it ended, before a verdict.
    pub outcome: Option<Outcome>,
    /// The version it made.
    pub version: Option<VersionRef>,
}

/// A run that was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedRun {
    /// The policy that asked.
    pub policy: Option<Arc<str>>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it was judged.
    pub finished_at: Timestamp,
    /// What came of it.
    pub verdict: RunVerdict,
    /// Rows times epochs.
    pub row_visits: u64,
    /// Labels there were when it was asked for.
    pub labels_to: Position,
}

impl EndedRun {
    fn outcome(&self) -> RunOutcome {
        match self.verdict {
            RunVerdict::Promoted | RunVerdict::Admitted => RunOutcome::Success,
            RunVerdict::Refused | RunVerdict::Failed => RunOutcome::Failure,
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
                finished: Some(Finished { at: run.finished_at, outcome: run.outcome() }),
                row_visits: run.row_visits,
            })
            .collect()
    }

    pub(crate) fn remember(&mut self, policy: &Arc<str>, memory: PolicyState) {
        self.memories.insert(Arc::clone(policy), memory);
    }

    pub(crate) fn forget_policies_but(&mut self, kept: impl Fn(&str) -> bool) {
        self.memories.retain(|name, _| kept(name));
    }

    pub(crate) fn start(&mut self, request: RunRequest, policy: Option<Arc<str>>) {
        self.run = Some(InFlight { request, policy, outcome: None, version: None });
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
        let Some(ended) = self.run.take_if(|in_flight| &*in_flight.request.id == run) else { return };
        let row_visits = match &ended.outcome {
            Some(Outcome::Succeeded(trained)) => trained.row_visits,
            Some(Outcome::Failed { .. }) | None => 0,
        };
        self.history.push(EndedRun {
            policy: ended.policy,
            requested_at: ended.request.requested_at,
            finished_at: at,
            verdict,
            row_visits,
            labels_to: ended.request.data.to,
        });
        if let (RunVerdict::Promoted, Some(version)) = (verdict, ended.version) {
            let inherited = self.current().map(|current| current.baselines.clone()).unwrap_or_default();
            self.make_current(version.number, at);
            if let Some(version) = self.version_mut(version.number) {
                version.baselines = inherited
                    .into_iter()
                    .map(|(key, baseline)| (key, Baseline { inherited: true, ..baseline }))
                    .collect();
            }
        }
    }

    fn make_current(&mut self, number: u64, at: Timestamp) {
        self.current = Some(number);
        self.served.push(number);
        if let Some(version) = self.version_mut(number) {
            version.promoted_at.get_or_insert(at);
        }
    }

    /// A version that served before serves again; those promoted after it are no longer "previous".
    pub(crate) fn roll_back(&mut self, number: u64) {
        if let Some(index) = self.served.iter().position(|served| *served == number) {
            self.served.truncate(index + 1);
            self.current = Some(number);
        }
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
    }
}
