//! How often snapshots are written.

use std::time::{Duration, Instant};

use perennial_types::Position;

/// When the next snapshot is due. It changes nothing but how much of the log the next start replays.
#[derive(Debug)]
pub(crate) struct Pace {
    every: u64,
    rest: u32,
    at: Position,
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// Every so many records, after a rest of so many times what the last one took.
    pub(crate) fn new(every: u64, rest: u32) -> Self {
        Self { every, rest, at: Position::START, last: None }
    }

    /// The state is that of a snapshot at this position.
    pub(crate) fn restored(&mut self, at: Position) {
        self.at = at;
    }

    /// Whether a snapshot is due at a position.
    pub(crate) fn due(&self, position: Position) -> bool {
        let rested = |(ended, took): (Instant, Duration)| ended.elapsed() >= took * self.rest;
        position.0 >= self.at.0 + self.every && self.last.is_none_or(rested)
    }

    /// One was written, or could not be; it was begun at an instant.
    pub(crate) fn done(&mut self, at: Position, begun: Instant) {
        self.at = at;
        self.last = Some((Instant::now(), begun.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_by_records_and_after_a_rest() {
        let mut pace = Pace::new(10, 20);
        assert!(!pace.due(Position(9)) && pace.due(Position(10)));
        pace.restored(Position(10));
        assert!(!pace.due(Position(19)) && pace.due(Position(20)));
        let long_ago = Instant::now().checked_sub(Duration::from_secs(3_600)).unwrap();
        pace.done(Position(20), long_ago);
        assert!(!pace.due(Position(1_000)), "it took an hour, so twenty hours pass");
    }
}
