//! What is due at an instant, in one order.

use perennial_types::Timestamp;

use crate::{ControlError, ControlRecord, Decided, Input, MeasureRequest, ReportRequest, RunRequest, State};

/// What is to be done next at an instant.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Append these records, durably, and apply them.
    Append(Vec<ControlRecord>),
    /// Carry out these runs and append how they ended. It is one at a time: two outcomes before a verdict would
    /// leave their order to when an instant is interrupted.
    CarryOut(Vec<RunRequest>),
    /// Measure these drift signals, append what was found and apply it.
    Measure(Vec<MeasureRequest>),
    /// Write this report, append that it is written and apply it.
    Report(ReportRequest),
    /// Everything due at this instant is done.
    Done,
}

/// Whether an instant waits for the runs that it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Yes: in a play of history a run takes no time.
    Event,
    /// No: time goes on while runs are carried out.
    Wall,
}

impl State {
    /// The next thing to do for an instant. Called until it says [`Step::Done`], with what it asks for carried
    /// out in between: whatever is interrupted, the next call goes on from there. `now` is the present, which
    /// under the event clock is the instant itself.
    ///
    /// The order at an instant: verdicts on runs that ended, rollbacks, moves of rollouts and of experiments,
    /// measurements, decisions of policies, runs one at a time and each judged, the traffic that follows from all
    /// of it, reports.
    pub fn step(&self, at: Timestamp, now: Timestamp, pace: Pace) -> Step {
        let Some(goal) = &self.goal else { return Step::Done };
        if let Some(record) = self.at_once(now) {
            return Step::Append(vec![record]);
        }
        let done = self.done.is_some_and(|done| done >= at);
        if !done && self.decided.is_none_or(|decided| decided < at) {
            if let Some(step) = self.moves(goal, at, now) {
                return step;
            }
            let decisions = self.decisions(goal, at);
            if !decisions.is_empty() {
                return Step::Append(vec![ControlRecord::Decided(Decided { at, decisions })]);
            }
        }
        let mut runs = self.runs_to_carry_out();
        runs.truncate(1);
        if !done && pace == Pace::Event && !runs.is_empty() {
            return Step::CarryOut(runs);
        }
        if let Some(routed) = self.routing(at, now) {
            return Step::Append(vec![ControlRecord::Routed(routed)]);
        }
        if done {
            return Step::Done;
        }
        match self.report_due(goal, at) {
            Some(request) => Step::Report(request),
            None => Step::Append(vec![ControlRecord::InstantDone { at }]),
        }
    }

    /// The first instant after the last one that is done, if it is not after `to`. Before anything was done it
    /// is `to` itself if that is on the grid of ticks.
    pub fn next_instant(&self, to: Timestamp) -> Option<Timestamp> {
        let tick = self.goal.as_ref()?.tick;
        let next = match self.done {
            Some(done) => done.floor(tick) + tick,
            None => to.floor(tick),
        };
        let due = next <= to && self.done.is_none_or(|done| next > done);
        (due && (self.done.is_some() || next == to)).then_some(next)
    }

    /// A change by hand (declarations, a rollback) and everything that follows from it at once, its traffic
    /// included: to be appended together, so that nobody sees the one without the other.
    ///
    /// # Errors
    /// When the change is refused; see [`State::apply`].
    pub fn with_consequences(
        &self,
        change: ControlRecord,
        at: Timestamp,
    ) -> Result<Vec<ControlRecord>, ControlError> {
        let mut after = self.clone();
        let mut records = Vec::new();
        let mut next = Some(change);
        while let Some(record) = next {
            after.apply(Input::Control { position: after.position().next(), record: record.clone() })?;
            records.push(record);
            next = after.at_once(at).or_else(|| after.routing(at, at).map(ControlRecord::Routed));
        }
        Ok(records)
    }
}
