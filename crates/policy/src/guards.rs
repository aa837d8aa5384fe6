//! What holds a trigger back.

use perennial_types::{TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Evaluation, GuardSpec, Quota, Training};

/// A run of one model under one policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastRun {
    /// When it was asked for: the instant at which quota and budget are charged.
    pub requested_at: Timestamp,
    /// How it ended; nothing while it goes on, its rollout included.
    pub finished: Option<Finished>,
    /// Rows times epochs: what it took, or until that is known the estimate it was started with.
    pub row_visits: u64,
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: RunOutcome,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Its result was promoted.
    Success,
    /// It failed, or its candidate was refused.
    Failure,
}

/// Rows times epochs of each action if it started now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsIf {
    /// Of a fine-tuning run.
    pub fine_tune: u64,
    /// Of a retraining run.
    pub retrain: u64,
}

impl RowsIf {
    fn of(self, training: Training) -> u64 {
        match training {
            Training::FineTune => self.fine_tune,
            Training::Retrain => self.retrain,
        }
    }
}

/// The guards, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// A run or a rollout is in flight.
    Busy,
    /// The current version cannot be fine-tuned.
    CannotFineTune,
    /// There is nothing to train on.
    NoRows,
    /// An adaptation is under way.
    Adapting,
    /// Rest after a run.
    Cooldown,
    /// Too many runs.
    AtMost,
    /// Too many rows.
    Budget,
}

/// Why a trigger that fires does not start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Which guard.
    pub guard: Guard,
    /// A sentence part with the numbers.
    pub reason: String,
    /// When it passes if nothing else happens; nothing if time alone does not help.
    pub until: Option<Timestamp>,
}

/// The first guard that holds a run back.
pub(crate) fn hold(guards: &GuardSpec, training: Training, input: &Evaluation) -> Option<Hold> {
    impossible(training, input)
        .or_else(|| cooldown(guards, input))
        .or_else(|| guards.at_most.and_then(|quota| at_most(quota, input)))
        .or_else(|| guards.budget_rows.and_then(|quota| budget(quota, input.rows_if.of(training), input)))
}

/// What no policy can wave through: something is in flight, or there is nothing to train from or on.
pub(crate) fn impossible(training: Training, input: &Evaluation) -> Option<Hold> {
    let waiting = |guard, reason: &str| Some(Hold { guard, reason: reason.to_owned(), until: None });
    if let Some(reason) = &input.busy {
        return waiting(Guard::Busy, reason);
    }
    if let (Training::FineTune, Err(reason)) = (training, &input.can_fine_tune) {
        return waiting(Guard::CannotFineTune, reason);
    }
    if input.rows_if.of(training) == 0 {
        return waiting(Guard::NoRows, "there are no labelled rows to train on");
    }
    None
}

fn cooldown(guards: &GuardSpec, input: &Evaluation) -> Option<Hold> {
    let rest = |outcome| match outcome {
        RunOutcome::Success => ("success", guards.cooldown.success),
        RunOutcome::Failure => ("failure", guards.cooldown.failure),
    };
    let finished = input.history.iter().filter_map(|run| run.finished);
    let last = finished.max_by_key(|end| end.at + rest(end.outcome).1)?;
    let (outcome, span) = rest(last.outcome);
    let until = last.at + span;
    (input.at < until).then(|| Hold {
        guard: Guard::Cooldown,
        reason: format!(
            "cooldown of {span} after the {outcome} of the run that ended at {}, until {until}",
            last.at
        ),
        until: Some(until),
    })
}

/// Runs that still count at `at` against a quota of `per`, oldest first: those requested in `(at − per, at]`,
/// so that no stretch of that length ever has more.
fn counted(input: &Evaluation, per: TimeSpan) -> Vec<PastRun> {
    let mut runs: Vec<PastRun> =
        input.history.iter().copied().filter(|run| run.requested_at > input.at - per).collect();
    runs.sort_by_key(|run| run.requested_at);
    runs
}

fn at_most(quota: Quota, input: &Evaluation) -> Option<Hold> {
    let Quota { amount, per } = quota;
    let runs = counted(input, per);
    let over = (runs.len() as u64).checked_sub(amount)?;
    let leaving = usize::try_from(over).ok().and_then(|over| runs.get(over));
    let until = leaving.map(|run| run.requested_at + per);
    Some(Hold {
        guard: Guard::AtMost,
        reason: format!("{} of at most {amount} runs in {per}{}", runs.len(), written(until)),
        until,
    })
}

fn budget(quota: Quota, needed: u64, input: &Evaluation) -> Option<Hold> {
    let Quota { amount, per } = quota;
    let runs = counted(input, per);
    let mut used = runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.row_visits));
    if used.saturating_add(needed) <= amount {
        return None;
    }
    if needed > amount {
        let reason =
            format!("the run would take {needed} rows, more than the whole budget of {amount} in {per}");
        return Some(Hold { guard: Guard::Budget, reason, until: None });
    }
    let spent = used;
    let leaving = runs.iter().find(|run| {
        used = used.saturating_sub(run.row_visits);
        used.saturating_add(needed) <= amount
    });
    let until = leaving.map(|run| run.requested_at + per);
    let reason = format!(
        "{spent} of the budget of {amount} rows in {per} are spent and the run would take {needed}{}",
        written(until)
    );
    Some(Hold { guard: Guard::Budget, reason, until })
}

fn written(until: Option<Timestamp>) -> String {
    until.map(|until| format!(", until {until}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{CooldownSpec, SignalValues};

    fn hour(hours: i64) -> Timestamp {
        Timestamp::parse("2011-03-01").unwrap() + TimeSpan::from_hours(hours)
    }

    fn run(requested: i64, finished: i64, outcome: RunOutcome, row_visits: u64) -> PastRun {
        let finished = Some(Finished { at: hour(finished), outcome });
        PastRun { requested_at: hour(requested), finished, row_visits }
    }

    fn input(at: Timestamp, history: &[PastRun]) -> Evaluation {
        Evaluation {
            at,
            since: at - TimeSpan::from_hours(1),
            signals: SignalValues::default(),
            history: history.to_vec(),
            rows_if: RowsIf { fine_tune: 96, retrain: 2_880 },
            busy: None,
            can_fine_tune: Ok(()),
        }
    }

    fn declared() -> GuardSpec {
        let week = TimeSpan::from_days(7);
        GuardSpec {
            cooldown: CooldownSpec { success: TimeSpan::from_hours(48), failure: TimeSpan::from_hours(24) },
            at_most: Some(Quota { amount: 2, per: week }),
            budget_rows: Some(Quota { amount: 3_000, per: week }),
        }
    }

    #[test]
    fn cooldown_depends_on_the_outcome_and_says_until_when() {
        let history = [run(40, 51, RunOutcome::Success, 96)];
        let held = hold(&declared(), Training::FineTune, &input(hour(60), &history)).unwrap();
        assert_eq!(
            held.reason,
            "cooldown of 2d after the success of the run that ended at 2011-03-03T03:00:00Z, until 2011-03-05T03:00:00Z"
        );
        assert_eq!(hold(&declared(), Training::FineTune, &input(hour(99), &history)), None);
        let history = [run(40, 51, RunOutcome::Failure, 96)];
        assert_eq!(hold(&declared(), Training::FineTune, &input(hour(75), &history)), None);
    }

    #[test]
    fn a_failure_does_not_shorten_the_rest_after_a_success() {
        let history = [run(0, 10, RunOutcome::Success, 96), run(11, 12, RunOutcome::Failure, 96)];
        let mut guards = declared();
        guards.cooldown.failure = TimeSpan::from_hours(1);
        let held = hold(&guards, Training::FineTune, &input(hour(20), &history)).unwrap();
        assert_eq!(held.until, Some(hour(58)));
    }

    #[test]
    fn a_quota_passes_when_the_oldest_run_leaves() {
        let history = [run(1, 2, RunOutcome::Failure, 96), run(50, 51, RunOutcome::Failure, 96)];
        let held = hold(&declared(), Training::FineTune, &input(hour(100), &history)).unwrap();
        assert_eq!((held.guard, held.until), (Guard::AtMost, Some(hour(1 + 7 * 24))));
        assert_eq!(held.reason, "2 of at most 2 runs in 7d, until 2011-03-08T01:00:00Z");
    }

    #[test]
    fn a_budget_says_what_is_spent_and_what_is_needed() {
        let history = [run(1, 2, RunOutcome::Failure, 500)];
        let held = hold(&declared(), Training::Retrain, &input(hour(100), &history)).unwrap();
        assert_eq!(
            held.reason,
            "500 of the budget of 3000 rows in 7d are spent and the run would take 2880, until 2011-03-08T01:00:00Z"
        );
        let mut dear = input(hour(100), &[]);
        dear.rows_if.retrain = 3_001;
        let held = hold(&declared(), Training::Retrain, &dear).unwrap();
        assert_eq!(held.until, None);
        assert_eq!(held.reason, "the run would take 3001 rows, more than the whole budget of 3000 in 7d");
    }

    #[test]
    fn a_run_in_flight_and_a_changed_input_list_hold_with_their_reasons() {
        let mut busy = input(hour(100), &[]);
        busy.busy = Some("version 3 is in rollout since 2011-03-04T00:00:00Z".into());
        let held = hold(&declared(), Training::Retrain, &busy).unwrap();
        assert_eq!(
            (held.guard, held.reason.as_str()),
            (Guard::Busy, "version 3 is in rollout since 2011-03-04T00:00:00Z")
        );
        let mut changed = input(hour(100), &[]);
        changed.can_fine_tune = Err("the input list has changed".into());
        assert_eq!(hold(&declared(), Training::FineTune, &changed).unwrap().guard, Guard::CannotFineTune);
        assert_eq!(hold(&declared(), Training::Retrain, &changed), None);
        changed.rows_if = RowsIf::default();
        assert_eq!(hold(&declared(), Training::Retrain, &changed).unwrap().guard, Guard::NoRows);
    }

    proptest! {
        #[test]
        fn a_guard_passes_exactly_at_the_instant_it_names(
            history in prop::collection::vec((0..300_i64, 0..20_i64, any::<bool>(), 0..2_000_u64), 0..8),
            at in 0..320_i64,
            retrain in any::<bool>(),
        ) {
            let history: Vec<PastRun> = history
                .into_iter()
                .map(|(requested, took, success, rows)| {
                    let outcome = if success { RunOutcome::Success } else { RunOutcome::Failure };
                    run(requested.min(at), requested.min(at) + took, outcome, rows)
                })
                .collect();
            let action = if retrain { Training::Retrain } else { Training::FineTune };
            let guard_at = |at| hold(&declared(), action, &input(at, &history)).map(|hold| hold.guard);
            if let Some(Hold { guard, until: Some(until), .. }) = hold(&declared(), action, &input(hour(at), &history)) {
                prop_assert!(until > hour(at));
                prop_assert_eq!(guard_at(until - TimeSpan::from_micros(1)), Some(guard));
                prop_assert_ne!(guard_at(until), Some(guard));
            }
        }
    }
}
