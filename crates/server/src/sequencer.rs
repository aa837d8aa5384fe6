//! Admission: which instant a request belongs to, and what must be done before it counts.

use std::sync::Arc;

use perennial_orchestrator::Orchestrator;
use perennial_project::ClockKind;
use perennial_types::{Clock, Kind, TimeSpan, Timestamp};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::problem::Problem;

/// Gives every request its instant.
///
/// On the wall clock that is the present. On the event clock it is the request's `at`, which never decreases:
/// before a request at T counts, everything due up to and including T has been done, and requests count in the
/// order in which they were admitted.
pub struct Sequencer {
    orchestrator: Orchestrator,
    clock: Arc<dyn Clock>,
    /// The last admitted instant. Held from admission until the request's records are queued in the log.
    last: Arc<Mutex<Option<Timestamp>>>,
}

/// A request's instant. Under the event clock nothing else is admitted until it is dropped.
pub struct Admitted {
    at: Timestamp,
    _turn: Option<OwnedMutexGuard<Option<Timestamp>>>,
}

/// The furthest that one request may move the event clock: what it passes cannot be done again, and a slip
/// of the pen in a year would be the end of a play.
const FURTHEST: TimeSpan = TimeSpan::from_days(366);

impl Admitted {
    /// The request's instant.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

impl Sequencer {
    /// Of a service whose log ends at `last` (nothing for an empty log).
    pub fn new(orchestrator: Orchestrator, clock: Arc<dyn Clock>, last: Option<Timestamp>) -> Self {
        Self { orchestrator, clock, last: Arc::new(Mutex::new(last)) }
    }

    /// Admit a request.
    ///
    /// # Errors
    /// A problem when `at` is missing, not wanted, earlier than an admitted one, or when what is due before it
    /// cannot be done.
    pub async fn admit(&self, at: Option<Timestamp>) -> Result<Admitted, Problem> {
        match (self.orchestrator.clock_kind(), at) {
            (None, _) => Err(Problem::not_found(
                "no project is applied yet; apply one with `perennial apply DIR` or PUT /v1/project",
            )),
            (Some(ClockKind::Wall), None) => Ok(Admitted { at: self.clock.now(), _turn: None }),
            (Some(ClockKind::Wall), Some(_)) => Err(Problem::conflict(
                "this project runs on the wall clock: leave out the query parameter `at`",
            )),
            (Some(ClockKind::Event), None) => Err(Problem::conflict(
                "this project runs on the event clock: say when this happens, as ?at=2011-01-01T05:00:00Z",
            )),
            (Some(ClockKind::Event), Some(at)) => self.admit_event(at).await,
        }
    }

    async fn admit_event(&self, at: Timestamp) -> Result<Admitted, Problem> {
        let mut turn = Arc::clone(&self.last).lock_owned().await;
        if let Some(last) = *turn {
            check_step(last, at)?;
        }
        if self.orchestrator.is_due(at) {
            // A task of its own: a client that goes away does not leave an instant half done.
            let orchestrator = self.orchestrator.clone();
            let advancing = tokio::spawn(async move {
                let advanced = orchestrator.advance_to(at).await;
                // What was done by then is not done again, whoever waits for it, and even if not all of it could be.
                let done = orchestrator.pipeline().last_available_at();
                *turn = if advanced.is_ok() { Some(at) } else { (*turn).max(done) };
                advanced.map(|()| turn)
            });
            let advanced = advancing.await.map_err(|error| Problem::of(Kind::Internal, &error))?;
            turn = advanced.map_err(|error| Problem::of(error.kind(), &error))?;
        }
        *turn = Some(at);
        Ok(Admitted { at, _turn: Some(turn) })
    }

    /// The instant of a change by hand (declarations, rollbacks): `at` may be left out on the event clock too,
    /// and then is the last admitted instant.
    ///
    /// # Errors
    /// As [`Sequencer::admit`].
    pub async fn admit_change(&self, at: Option<Timestamp>, kind: ClockKind) -> Result<Admitted, Problem> {
        match (kind, at) {
            (ClockKind::Wall, None) => Ok(Admitted { at: self.clock.now(), _turn: None }),
            (ClockKind::Event, None) => {
                let turn = Arc::clone(&self.last).lock_owned().await;
                Ok(Admitted { at: turn.unwrap_or_default(), _turn: Some(turn) })
            }
            (ClockKind::Event, Some(at)) if self.orchestrator.clock_kind().is_some() => {
                self.admit_event(at).await
            }
            (ClockKind::Event, Some(at)) => {
                let mut turn = Arc::clone(&self.last).lock_owned().await;
                *turn = Some(at);
                Ok(Admitted { at, _turn: Some(turn) })
            }
            (ClockKind::Wall, Some(_)) => Err(Problem::conflict(
                "this project runs on the wall clock: leave out the query parameter `at`",
            )),
        }
    }

    /// The last admitted instant.
    pub async fn last(&self) -> Option<Timestamp> {
        *self.last.lock().await
    }
}

/// Whether the event clock may go from `last` to `at` in one step.
fn check_step(last: Timestamp, at: Timestamp) -> Result<(), Problem> {
    if at < last {
        let detail = format!("`at` never decreases: {at} is before {last}, which was admitted already");
        return Err(Problem::conflict(detail));
    }
    if at.since(last) > FURTHEST {
        return Err(Problem::conflict(format!(
            "`at` is {at}, more than {FURTHEST} after {last}, the last instant; if that is meant, go there in steps"
        )));
    }
    Ok(())
}
