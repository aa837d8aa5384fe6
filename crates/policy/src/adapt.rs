//! Adaptations: one run after another until a change has been learnt.

use std::sync::Arc;

use perennial_types::{Schema, TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};

use crate::guards::impossible;
use crate::policy::no_adapt;
use crate::{Action, AdaptSpec, Condition, Evaluation, Guard, Hold, Training, Truth};

/// A compiled adaptation.
#[derive(Clone, Debug)]
pub(crate) struct Adapt {
    pub(crate) training: Training,
    every: TimeSpan,
    until: Condition,
    at_most: u32,
}

/// An adaptation that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adaptation {
    /// The trigger that began it.
    pub trigger: Arc<str>,
    /// When.
    pub began: Timestamp,
    /// How many runs it has started.
    pub runs: u32,
    /// When the last of them was started.
    pub last_start: Timestamp,
    /// What keeps the next one, although it is due.
    pub held_by: Option<Guard>,
}

/// What comes of an adaptation at an instant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Course {
    /// It is over, with the reason.
    Over(String),
    /// Another run starts, with the reason.
    Starts(String),
    /// Another run is due and kept back.
    Kept(Hold),
    /// The next run is not due.
    Rests,
}

impl Adapt {
    pub(crate) fn compile(spec: &AdaptSpec, schema: &Schema) -> Result<Self, String> {
        let training = match spec.repeat {
            Action::FineTune => Training::FineTune,
            Action::Retrain => Training::Retrain,
            Action::Adapt => return Err("an adaptation repeats fine_tune or retrain, not itself".to_owned()),
        };
        let until = Condition::compile(&spec.until, schema)?;
        Ok(Self { training, every: spec.every, until, at_most: spec.at_most })
    }

    /// What comes of an open adaptation. It ends when its condition holds, or when its last run has ended;
    /// guards that weigh costs are not asked again.
    pub(crate) fn course(&self, open: &Adaptation, input: &Evaluation) -> Course {
        let (truth, explanation) = self.until.evaluate(&input.signals);
        let (runs, at_most) = (open.runs, self.at_most);
        if truth == Truth::True {
            return Course::Over(format!("{explanation}, after {}", counted(runs)));
        }
        if runs >= at_most {
            return match &input.busy {
                Some(_) => Course::Rests,
                None => Course::Over(format!("it had {runs} of at most {}; {explanation}", counted(at_most))),
            };
        }
        if input.at < open.last_start + self.every {
            return Course::Rests;
        }
        match impossible(self.training, input) {
            Some(hold) => Course::Kept(hold),
            None => Course::Starts(format!("run {} of at most {at_most}; {explanation}", runs + 1)),
        }
    }

    /// Why another trigger waits.
    pub(crate) fn hold(&self, open: &Adaptation) -> Hold {
        let next = open.last_start + self.every;
        let reason =
            format!("{} with {} of at most {}, the next from {next}", open.name(), open.runs, self.at_most);
        Hold { guard: Guard::Adapting, reason, until: None }
    }
}

impl Adaptation {
    /// As a part of a sentence.
    pub(crate) fn name(&self) -> String {
        format!("the adaptation that trigger {:?} began at {}", self.trigger, self.began)
    }

    /// What comes of it under a policy that may no longer declare one.
    pub(crate) fn course(&self, adapt: Option<&Adapt>, input: &Evaluation) -> Course {
        adapt.map_or_else(|| Course::Over(no_adapt()), |adapt| adapt.course(self, input))
    }
}

fn counted(runs: u32) -> String {
    if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::declared;
    use crate::{
        DetectedLoss, DetectorMembers, GuardSpec, Outcome, Policy, PolicySpec, PolicyState, Quota, RowsIf,
        SignalKind, SignalSpec, SignalValues, TriggerSpec, check,
    };

    fn hour(hours: i64) -> Timestamp {
        Timestamp::from_micros(0) + TimeSpan::from_hours(hours)
    }

    /// A trigger that adapts to a change and one that trains when there are labels; at most one run a year.
    fn adapting() -> PolicySpec {
        let errors = SignalKind::Detector {
            of: DetectedLoss::AbsError,
            range: (0.0, 1000.0),
            one_false_alarm_in: 50_000,
            stable_after: 300,
        };
        let trigger = |name: &str, when: &str, action| TriggerSpec {
            name: name.into(),
            when: Some(when.into()),
            hold: None,
            schedule: None,
            action,
        };
        let mut spec = PolicySpec {
            signals: vec![
                SignalSpec { name: "errors".into(), kind: errors },
                SignalSpec { name: "volume".into(), kind: SignalKind::Labels },
            ],
            triggers: vec![
                trigger("changed", "errors.open", Action::Adapt),
                trigger("plenty", "volume.rows >= 100", Action::FineTune),
            ],
            guards: GuardSpec {
                at_most: Some(Quota { amount: 1, per: TimeSpan::from_days(365) }),
                ..GuardSpec::default()
            },
            ..declared()
        };
        spec.actions.adapt = Some(AdaptSpec {
            repeat: Action::FineTune,
            every: TimeSpan::from_hours(4),
            until: "NOT errors.open".into(),
            at_most: 3,
        });
        spec
    }

    fn input(at: i64, open: bool, rows: u64) -> Evaluation {
        let mut signals = SignalValues::default();
        let since = open.then(|| hour(0));
        signals.detector("errors", u64::from(open), Ok(DetectorMembers { since, mean: 7.0 }));
        signals.labels("volume", rows, 24.0);
        Evaluation {
            at: hour(at),
            since: hour(at - 1),
            signals,
            history: Vec::new(),
            rows_if: RowsIf { fine_tune: 96, retrain: 960 },
            busy: None,
            can_fine_tune: Ok(()),
        }
    }

    /// Hours at which runs start, and the reasons of what is notable.
    fn play(inputs: &[Evaluation]) -> (Vec<Timestamp>, Vec<String>) {
        let policy = Policy::compile(&adapting()).unwrap();
        let (mut state, mut starts, mut reasons) = (PolicyState::default(), Vec::new(), Vec::new());
        for input in inputs {
            let mut input = input.clone();
            input.history = starts
                .iter()
                .map(|at| crate::PastRun { requested_at: *at, finished: None, row_visits: 96 })
                .collect();
            let verdict = policy.evaluate(&input, &state);
            if let Outcome::Start { action, .. } = verdict.outcome {
                assert_eq!(action, Training::FineTune);
                starts.push(input.at);
            }
            if verdict.notable {
                reasons.push(verdict.reason);
            }
            state = verdict.next_state;
        }
        (starts, reasons)
    }

    #[test]
    fn an_adaptation_repeats_without_asking_costs_until_the_change_is_learnt() {
        let inputs: Vec<Evaluation> = (0..12).map(|at| input(at, at < 7, 0)).collect();
        let (starts, reasons) = play(&inputs);
        assert_eq!(starts, [hour(0), hour(4)]);
        assert!(
            reasons.iter().any(|reason| reason.starts_with(
                "the adaptation that trigger \"changed\" began at 1970-01-01T00:00:00Z is over: errors.open is \
                 false, after 2 runs; "
            )),
            "{reasons:#?}"
        );
    }

    #[test]
    fn an_adaptation_ends_after_its_last_run_has_ended() {
        let mut inputs: Vec<Evaluation> = (0..20).map(|at| input(at, true, 0)).collect();
        for input in &mut inputs[9..12] {
            input.busy = Some("run r is in flight".into());
        }
        let (starts, reasons) = play(&inputs);
        assert_eq!(starts, [hour(0), hour(4), hour(8)]);
        let over = reasons.iter().find(|reason| reason.contains("is over")).unwrap();
        assert!(over.contains("it had 3 of at most 3 runs; errors.open is true"), "{over}");
    }

    #[test]
    fn a_run_in_flight_keeps_the_next_one_and_is_said_once() {
        let mut inputs: Vec<Evaluation> = (0..8).map(|at| input(at, true, 0)).collect();
        for input in &mut inputs[4..7] {
            input.busy = Some("candidate 7 is in rollout".into());
        }
        let (starts, reasons) = play(&inputs);
        assert_eq!(starts, [hour(0), hour(7)]);
        let kept: Vec<&String> = reasons.iter().filter(|reason| reason.contains("candidate 7")).collect();
        assert_eq!(kept.len(), 1, "{reasons:#?}");
    }

    #[test]
    fn other_triggers_wait_for_an_adaptation() {
        let inputs: Vec<Evaluation> =
            (0..6).map(|at| input(at, true, if at >= 2 { 100 } else { 0 })).collect();
        let (starts, reasons) = play(&inputs);
        assert_eq!(starts, [hour(0), hour(4)]);
        let held = "trigger \"changed\" is held back: the adaptation that trigger \"changed\" began at \
                    1970-01-01T00:00:00Z with 1 of at most 3, the next from 1970-01-01T04:00:00Z";
        assert!(reasons.iter().any(|reason| reason.starts_with(held)), "{reasons:#?}");
    }

    #[test]
    fn faults_of_an_adaptation_lie_at_their_fields() {
        let paths = |spoil: fn(&mut AdaptSpec)| {
            let mut spec = adapting();
            spec.actions.adapt.iter_mut().for_each(spoil);
            check(&spec).into_iter().map(|(path, _)| path).collect::<Vec<_>>()
        };
        assert_eq!(paths(|_| ()), Vec::<String>::new());
        assert_eq!(paths(|adapt| adapt.repeat = Action::Adapt), ["actions.adapt.repeat"]);
        assert_eq!(paths(|adapt| adapt.every = TimeSpan::ZERO), ["actions.adapt.every"]);
        assert_eq!(paths(|adapt| adapt.until = "errors.opened".into()), ["actions.adapt.until"]);
        assert_eq!(paths(|adapt| adapt.at_most = 0), ["actions.adapt.at_most"]);
        let mut spec = adapting();
        spec.actions.adapt = None;
        assert_eq!(check(&spec)[0].0, "triggers[0].action");
    }
}
