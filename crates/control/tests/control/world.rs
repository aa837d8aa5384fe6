//! A synthetic world around the loop: requests and labels that come back, a log in memory, runs whose
//! outcomes are a hash of their ids, and crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use perennial_control::{
    Applied, ControlRecord, Dataset, Decision, DriftReading, ExperimentMoved, GateResult, Goal, Input,
    Judged, MeasureRequest, Measured, ModelGoal, Outcome, Pace, PolicyGoal, Reported, RolledBack,
    RolloutMoved, Routed, RunFinished, RunRequest, State, Step, Trained, VersionRef,
};
use perennial_evaluate::{
    Choice, EndpointSpec, Exposure, Feedback, LabelSpec, OnFailure, Prediction, Score, Scorer, UnitSpec,
    by_id,
};
use perennial_policy::{
    Action, ActionsSpec, CooldownSpec, FineTuneSpec, GateSpec, GuardSpec, OnUnknown, PolicySpec, Quota,
    RetrainSpec, SignalKind, SignalSpec, StageSpec, TriggerSpec,
};
use perennial_types::{ContentHash, Position, TimeSpan, Timestamp, hash64, unit_draw};

pub(crate) const HOUR: TimeSpan = TimeSpan::from_hours(1);
pub(crate) const HOLDOUT: u64 = 6;
/// Who asks, where the unit is a column.
pub(crate) const USERS: u64 = 30;

pub(crate) fn hour(hours: i64) -> Timestamp {
    Timestamp::parse("2011-01-01").unwrap() + TimeSpan::from_hours(hours)
}

/// What a run makes.
pub(crate) type Fate = fn(&RunRequest) -> Ending;

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    Better,
    Worse,
    Broken,
}

/// One run in eight breaks, two in eight make a candidate that a gate refuses.
pub(crate) fn by_hash(run: &RunRequest) -> Ending {
    match hash64(1, &[&run.id]) % 8 {
        0 => Ending::Broken,
        1 | 2 => Ending::Worse,
        _ => Ending::Better,
    }
}

pub(crate) fn always_better(_: &RunRequest) -> Ending {
    Ending::Better
}

/// A label to come: endpoint, prediction and value.
type Label = (Arc<str>, Arc<str>, f64);

/// The loop with its log, and when it crashes.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) log: Vec<Input>,
    fate: Fate,
    /// Labels to come, by the hour.
    coming: BTreeMap<i64, Vec<Label>>,
    crashes: BTreeSet<usize>,
    snapshots: BTreeSet<usize>,
    snapshot: Option<(usize, String)>,
    /// Requests an hour and endpoint.
    pub(crate) rate: usize,
    /// How far a version is off at an hour.
    pub(crate) error: fn(&str, u64, i64) -> f64,
    /// A model that does not answer.
    pub(crate) fails: Option<&'static str>,
    /// Whether a version fails on a request of this id.
    pub(crate) misses: fn(u64, &str) -> bool,
}

/// Every version is off by another amount, which changes every sixty hours.
pub(crate) fn restless(_: &str, number: u64, h: i64) -> f64 {
    5.0 + 10.0 * unit_draw(4, &[&number.to_string(), &(h / 60).to_string()])
}

impl World {
    pub(crate) fn new(goal: Goal, fate: Fate) -> Self {
        Self::crashing(goal, fate, [], [])
    }

    /// Memory is lost after so many records, and saved after so many.
    pub(crate) fn crashing(
        goal: Goal,
        fate: Fate,
        crashes: impl IntoIterator<Item = usize>,
        snapshots: impl IntoIterator<Item = usize>,
    ) -> Self {
        let mut world = Self {
            state: State::default(),
            log: Vec::new(),
            fate,
            coming: BTreeMap::new(),
            crashes: crashes.into_iter().collect(),
            snapshots: snapshots.into_iter().collect(),
            snapshot: None,
            rate: 1,
            error: restless,
            fails: None,
            misses: |_, _| false,
        };
        world.apply_goal(goal);
        world
    }

    pub(crate) fn apply_goal(&mut self, goal: Goal) {
        let hash = ContentHash::of(serde_json::to_string(&goal).unwrap().as_bytes());
        self.apply_goal_at(goal, hash, hour(-1));
    }

    /// Declarations applied at an hour, by hand: with what follows from them.
    pub(crate) fn redeclare(&mut self, goal: Goal, h: i64) {
        let hash = ContentHash::of(serde_json::to_string(&goal).unwrap().as_bytes());
        let applied = Applied { at: hour(h), hash, goal, declarations: serde_json::Value::Null };
        self.by_hand(ControlRecord::Applied(applied), h);
    }

    /// A change by hand at an hour, and what follows from it.
    pub(crate) fn by_hand(&mut self, change: ControlRecord, h: i64) {
        for record in self.state.with_consequences(change, hour(h)).unwrap() {
            self.control(record);
        }
    }

    fn apply_goal_at(&mut self, goal: Goal, hash: ContentHash, at: Timestamp) {
        self.control(ControlRecord::Applied(Applied {
            at,
            hash,
            goal,
            declarations: serde_json::Value::Null,
        }));
    }

    pub(crate) fn head(&self) -> Position {
        Position(self.log.len() as u64)
    }

    /// Play the hours of a range: at each what is due, then a request an endpoint, then labels.
    pub(crate) fn play(&mut self, hours: std::ops::Range<i64>) {
        for h in hours {
            self.tick(h);
            self.traffic(h);
        }
    }

    /// Do what is due up to and including an hour.
    pub(crate) fn tick(&mut self, h: i64) {
        while let Some(instant) = self.state.next_instant(hour(h)) {
            self.fire(instant);
        }
    }

    fn fire(&mut self, at: Timestamp) {
        loop {
            match self.state.step(at, at, Pace::Event) {
                Step::Append(records) => {
                    // A crash takes what was not written yet.
                    for record in records {
                        if self.control(record) {
                            break;
                        }
                    }
                }
                Step::CarryOut(runs) => {
                    for run in &runs {
                        if self.finish(run, at) {
                            break;
                        }
                    }
                }
                Step::Measure(requests) => {
                    for request in requests {
                        if self.control(ControlRecord::Measured(measured(&request))) {
                            break;
                        }
                    }
                }
                Step::Report(request) => {
                    let (summary, alarmed, files) = (request.id.to_string(), false, Vec::new());
                    let reported = Reported { request, on_demand: false, summary, alarmed, files };
                    self.control(ControlRecord::Reported(reported));
                }
                Step::Done => return,
            }
        }
    }

    pub(crate) fn finish(&mut self, run: &RunRequest, at: Timestamp) -> bool {
        let outcome = self.outcome(run, (self.fate)(run));
        let (run, model) = (Arc::clone(&run.id), Arc::clone(&run.model));
        self.control(ControlRecord::RunFinished(RunFinished { run, model, at, outcome }))
    }

    /// What a run makes: on rows that were there when it was asked for, without those that it holds out.
    pub(crate) fn outcome(&self, run: &RunRequest, ending: Ending) -> Outcome {
        if ending == Ending::Broken {
            return Outcome::Failed { reason: "the loss is not finite".to_owned() };
        }
        let labels = self.state.endpoint(&run.endpoint).unwrap().labels();
        let holdout = run.data.holdout_rows;
        let rows = match run.data.since {
            Some(since) => labels.count_known_since(since),
            None => labels.count_since(run.data.after),
        };
        let available = rows - holdout;
        let rows = available.min(run.data.at_most.unwrap_or(u64::MAX));
        let (to, to_time) = labels.nth_newest_label(holdout + available - rows + 1).unwrap();
        let gates = run.gates.iter().map(|gate| {
            let passed = ending == Ending::Better;
            let sentence = if passed { "not proven worse" } else { "mae is proven worse" };
            let evidence = serde_json::json!({"difference": unit_draw(3, &[&run.id])});
            GateResult { gate: gate.clone(), passed, sentence: sentence.to_owned(), evidence }
        });
        let dataset = Dataset {
            content_hash: ContentHash::of(run.id.as_bytes()),
            endpoint: Arc::clone(&run.endpoint),
            streams: Vec::new(),
            from_position: run.data.after.next(),
            to_position: to,
            from_time: run.requested_at,
            to_time,
            rows,
            holdout_rows: holdout,
        };
        Outcome::Succeeded(Box::new(Trained {
            number: self.state.model(&run.model).unwrap().next_number(),
            content_hash: ContentHash::of(format!("state {}", run.id).as_bytes()),
            artifact: ContentHash::of(format!("bytes {}", run.id).as_bytes()),
            action: run.action,
            parent: run.parent.clone(),
            definition: run.definition,
            inputs: Vec::new(),
            dataset,
            row_visits: rows * u64::from(run.epochs),
            metrics: BTreeMap::new(),
            reference: None,
            gates: gates.collect(),
        }))
    }

    /// Requests of every endpoint, and the labels of this hour. Most labels come after about a day, one in forty
    /// too late, one in thirty never.
    fn traffic(&mut self, h: i64) {
        let endpoints = self.state.goal().unwrap().endpoints.clone();
        for endpoint in endpoints {
            for k in 0..self.rate {
                let id: Arc<str> = match k {
                    0 => format!("{}-{h}", endpoint.name).into(),
                    _ => format!("{}-{h}-{k}", endpoint.name).into(),
                };
                let label = 100.0 * unit_draw(2, &[&id]);
                let prediction = self.predict(&endpoint.name, &id, label, h);
                let routed = self.state.endpoint(&endpoint.name).and_then(|endpoint| endpoint.routed());
                let unit = prediction.exposure.unit.clone();
                let choice = Choice { unit, arms: routed.map(arms).unwrap_or_default() };
                let name = Arc::clone(&endpoint.name);
                self.append(Input::Predicted { endpoint: name, prediction, choice });
                let draw = hash64(5, &[&id]);
                if !draw.is_multiple_of(30) {
                    let delay = if draw % 40 == 1 { 24 * 8 } else { 20 + (draw % 9) as i64 };
                    let coming = self.coming.entry(h + delay).or_default();
                    coming.push((Arc::clone(&endpoint.name), id, label));
                }
            }
        }
        for (endpoint, prediction_id, value) in self.coming.remove(&h).unwrap_or_default() {
            let feedback = Feedback { prediction_id, value, at: hour(h), position: self.head().next() };
            self.append(Input::Labelled { endpoint, feedback });
        }
    }

    /// What an endpoint answers, split as it was routed last.
    fn predict(&self, endpoint: &str, id: &Arc<str>, label: f64, h: i64) -> Prediction {
        let (at, position) = (hour(h), self.head().next());
        let Some(routed) = self.state.endpoint(endpoint).unwrap().routed() else {
            let (model, version, exposure) = ("".into(), "".into(), Exposure::default());
            let id = Arc::clone(id);
            return Prediction { id, at, model, version, value: 0.0, fallback: true, position, exposure };
        };
        let arms = arms(routed);
        let probabilities: Vec<f64> = arms.iter().map(|(_, probability)| *probability).collect();
        let unit: Option<Arc<str>> = match &routed.unit {
            UnitSpec::Request => None,
            UnitSpec::Column(column) => Some(format!("{column}-{}", hash64(6, &[id]) % USERS).into()),
        };
        let drawn = by_id(&routed.salt, unit.as_ref().unwrap_or(id), &probabilities).unwrap();
        let (drawn, propensity) = arms[drawn].clone();
        let shadows = routed.shadows.iter().map(|shadow| scorer(&shadow.model, &shadow.version));
        let mut asked: Vec<Scorer> = std::iter::once(drawn.clone()).chain(shadows).collect();
        let fallback = self.fails.is_some_and(|failing| &*drawn.model == failing);
        let champion = routed.shares.iter().find(|share| share.model == routed.champion).unwrap();
        let served = if fallback { scorer(&champion.model, &champion.current) } else { drawn.clone() };
        asked.push(served.clone());
        asked.sort();
        asked.dedup();
        asked.retain(|by| self.fails.is_none_or(|failing| &*by.model != failing));
        asked.retain(|by| *by == served || !(self.misses)(by.number, id));
        let off = |by: &Scorer| {
            let noise = 0.5 + unit_draw(8, &[id, &by.model, &by.number.to_string()]);
            (self.error)(&by.model, by.number, h) * noise
        };
        let scores: Vec<Score> = asked.into_iter().map(|by| Score { value: label + off(&by), by }).collect();
        let value = scores.iter().find(|score| score.by == served).map_or(0.0, |score| score.value);
        let exposure = Exposure {
            experiment: routed.experiment.clone(),
            unit,
            epoch: routed.epoch,
            drawn: Some(drawn),
            propensity,
            scores,
        };
        let (id, model, version) = (Arc::clone(id), served.model, served.number.to_string().into());
        Prediction { id, at, model, version, value, fallback, position, exposure }
    }

    pub(crate) fn control(&mut self, record: ControlRecord) -> bool {
        let position = self.head().next();
        self.append(Input::Control { position, record })
    }

    /// Append and apply; says whether memory was lost just after.
    fn append(&mut self, input: Input) -> bool {
        self.log.push(input.clone());
        self.state.apply(input).unwrap();
        if self.snapshots.contains(&self.log.len()) {
            self.snapshot = Some((self.log.len(), serde_json::to_string(&self.state).unwrap()));
        }
        let crashed = self.crashes.contains(&self.log.len());
        if crashed {
            self.recover();
        }
        crashed
    }

    /// Make the state again from the last snapshot and the records after it.
    fn recover(&mut self) {
        let (from, mut state) = match &self.snapshot {
            Some((from, text)) => (*from, serde_json::from_str::<State>(text).unwrap()),
            None => (0, State::default()),
        };
        state.restore().unwrap();
        for input in &self.log[from..] {
            state.apply(input.clone()).unwrap();
        }
        self.state = state;
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &ControlRecord> {
        self.log.iter().filter_map(|input| match input {
            Input::Control { record, .. } => Some(record),
            Input::Predicted { .. } | Input::Labelled { .. } => None,
        })
    }

    /// Every decision with its instant.
    pub(crate) fn decisions(&self) -> Vec<(Timestamp, &Decision)> {
        let decided = self.records().filter_map(|record| match record {
            ControlRecord::Decided(decided) => Some(decided),
            _ => None,
        });
        decided.flat_map(|decided| decided.decisions.iter().map(|decision| (decided.at, decision))).collect()
    }

    pub(crate) fn judged(&self) -> Vec<&Judged> {
        let judged = self.records().filter_map(|record| match record {
            ControlRecord::Judged(judged) => Some(judged),
            _ => None,
        });
        judged.collect()
    }

    pub(crate) fn routed(&self) -> Vec<&Routed> {
        let routed = self.records().filter_map(|record| match record {
            ControlRecord::Routed(routed) => Some(routed),
            _ => None,
        });
        routed.collect()
    }

    pub(crate) fn rollout_moves(&self) -> Vec<&RolloutMoved> {
        let moves = self.records().filter_map(|record| match record {
            ControlRecord::RolloutMoved(moved) => Some(moved),
            _ => None,
        });
        moves.collect()
    }

    pub(crate) fn experiment_moves(&self) -> Vec<&ExperimentMoved> {
        let moves = self.records().filter_map(|record| match record {
            ControlRecord::ExperimentMoved(moved) => Some(moved),
            _ => None,
        });
        moves.collect()
    }

    pub(crate) fn rollbacks(&self) -> Vec<&RolledBack> {
        let rollbacks = self.records().filter_map(|record| match record {
            ControlRecord::RolledBack(back) => Some(back),
            _ => None,
        });
        rollbacks.collect()
    }

    /// The runs that were asked for.
    pub(crate) fn runs(&self) -> Vec<&RunRequest> {
        self.decisions().into_iter().filter_map(|(_, decision)| decision.run.as_ref()).collect()
    }
}

fn scorer(model: &Arc<str>, version: &VersionRef) -> Scorer {
    Scorer { model: Arc::clone(model), number: version.number }
}

/// The versions of a vector with their probabilities.
pub(crate) fn arms(routed: &Routed) -> Vec<(Scorer, f64)> {
    let mut arms = Vec::new();
    for share in &routed.shares {
        let split = share.candidate.as_ref().map_or(0.0, |(_, split)| *split);
        arms.push((scorer(&share.model, &share.current), share.share * (1.0 - split)));
        if let Some((version, split)) = &share.candidate {
            arms.push((scorer(&share.model, version), share.share * split));
        }
    }
    arms
}

/// A measurement that follows from the request alone.
fn measured(request: &MeasureRequest) -> Measured {
    let share = unit_draw(9, &[&request.model, &request.to.to_string()]);
    let reading = DriftReading {
        reference_rows: 100,
        current_rows: 100,
        share,
        weighted_share: share,
        worst: Some("x".into()),
        max_effect: share,
        alarmed: share > 0.5,
        columns: Vec::new(),
    };
    Measured {
        policy: Arc::clone(&request.policy),
        signal: Arc::clone(&request.signal),
        model: Arc::clone(&request.model),
        number: request.version.number,
        at: request.to,
        reading: Ok(perennial_control::Reading::Drift(reading)),
    }
}

/// A trigger without a hold.
pub(crate) fn trigger(name: &str, when: &str, schedule: Option<&str>, action: Action) -> TriggerSpec {
    TriggerSpec {
        name: name.into(),
        when: Some(when.into()),
        hold: None,
        schedule: schedule.map(Into::into),
        action,
    }
}

/// A policy over performance, volume and age, with tight guards.
pub(crate) fn policy(models: &[&str], triggers: Vec<TriggerSpec>) -> PolicySpec {
    let window = TimeSpan::from_days(2);
    let quality = SignalKind::Performance { metric: "mae".into(), window, min_rows: 10 };
    let signals = [("quality", quality), ("volume", SignalKind::Labels), ("fresh", SignalKind::Staleness)];
    PolicySpec {
        name: "keep".into(),
        models: models.iter().map(|name| Arc::from(*name)).collect(),
        signals: signals.map(|(name, kind)| SignalSpec { name: name.into(), kind }).to_vec(),
        triggers,
        on_unknown: OnUnknown::Hold,
        guards: GuardSpec::default(),
        actions: ActionsSpec {
            fine_tune: FineTuneSpec { replay_rows: 0, epochs: 1 },
            retrain: RetrainSpec { data: Some(TimeSpan::from_days(10)) },
            adapt: None,
        },
        rollout: vec![StageSpec::Promote],
        rollback: None,
        gates: vec![GateSpec::NotWorse {
            metric: "mae".into(),
            margin: 0.05,
            confidence: 0.9,
            holdout_rows: HOLDOUT,
        }],
    }
}

/// Cooldowns and a budget that bite.
pub(crate) fn tight() -> GuardSpec {
    let (success, failure) = (TimeSpan::from_hours(30), TimeSpan::from_hours(20));
    GuardSpec {
        cooldown: CooldownSpec { success, failure },
        at_most: Some(Quota { amount: 3, per: TimeSpan::from_days(7) }),
        budget_rows: Some(Quota { amount: 200, per: TimeSpan::from_days(4) }),
    }
}

/// An endpoint of its own for every model.
pub(crate) fn goal(models: &[&str], policy: Option<PolicySpec>) -> Goal {
    let endpoint_of = |model: &str| -> Arc<str> { format!("at-{model}").into() };
    Goal {
        project: "synthetic".into(),
        tick: HOUR,
        models: models
            .iter()
            .map(|name| ModelGoal {
                name: Arc::from(*name),
                endpoint: endpoint_of(name),
                definition: ContentHash::of(name.as_bytes()),
                first_version: "labels.rows >= 40".into(),
                epochs: 2,
            })
            .collect(),
        endpoints: models
            .iter()
            .map(|name| EndpointSpec {
                name: endpoint_of(name),
                models: vec![Arc::from(*name)],
                initial: Arc::from(*name),
                label: LabelSpec {
                    name: "label".into(),
                    matures_after: TimeSpan::from_days(1),
                    give_up_after: TimeSpan::from_days(7),
                },
                outcome: perennial_evaluate::Outcome::IndependentOfPrediction,
                on_failure: OnFailure { deadline: TimeSpan::from_micros(20_000), default: 0.0 },
            })
            .collect(),
        policies: policy
            .into_iter()
            .map(|spec| {
                let version = ContentHash::of(serde_json::to_string(&spec).unwrap().as_bytes());
                PolicyGoal { version, spec }
            })
            .collect(),
        experiments: Vec::new(),
        reports: Vec::new(),
    }
}

/// Two models, each on its own, under a policy of which everything happens in two months.
pub(crate) fn lively() -> Goal {
    let triggers = vec![
        TriggerSpec {
            hold: Some(TimeSpan::from_hours(3)),
            ..trigger("degraded", "quality.relative_change > 0.1", None, Action::FineTune)
        },
        trigger("regular", "volume.rows >= 24", Some("0 3 * * *"), Action::FineTune),
        trigger("too_old", "fresh.age > 4d", None, Action::Retrain),
    ];
    let mut spec = PolicySpec { guards: tight(), ..policy(&["a", "b"], triggers) };
    spec.actions.retrain.data = Some(TimeSpan::from_days(2));
    goal(&["a", "b"], Some(spec))
}
