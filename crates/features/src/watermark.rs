//! How far the event time of a source has come, and that of all of them.

use perennial_types::{SourceSpec, TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};

/// What the events of one source say of its time, in the order of the log.
///
/// The watermark is the newest event time less the source's `lateness`: the source promises no event from before
/// it. One that comes all the same is late: it is counted here and merged like any other. An event that is dated
/// after it became known says nothing of those before it, so that it moves the watermark to that instant only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTime {
    /// The newest event time, none later than it became known.
    newest: Option<Timestamp>,
    /// When the newest event became known; of a source without events, when it was declared.
    heard: Timestamp,
    events: u64,
    late: u64,
}

impl SourceTime {
    /// Of a source that was declared at `at` and has no events yet.
    pub fn new(at: Timestamp) -> Self {
        Self { newest: None, heard: at, events: 0, late: 0 }
    }

    /// Take in the next event of the log; whether it is late.
    pub fn take(&mut self, event_time: Timestamp, available_at: Timestamp, lateness: TimeSpan) -> bool {
        let late = self.watermark(lateness).is_some_and(|watermark| event_time < watermark);
        self.newest = self.newest.max(Some(event_time.min(available_at)));
        self.heard = self.heard.max(available_at);
        self.events += 1;
        self.late += u64::from(late);
        late
    }

    /// The event time before which no more events are promised; unknown before the first one.
    pub fn watermark(&self, lateness: TimeSpan) -> Option<Timestamp> {
        self.newest.map(|newest| newest - lateness)
    }

    /// The newest event time, none later than it became known.
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many of them were late.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Whether nothing has come for `idle_after` at `now`; never, if that is not given.
    pub fn idle(&self, now: Timestamp, idle_after: Option<TimeSpan>) -> bool {
        idle_after.is_some_and(|after| now.since(self.heard) >= after)
    }
}

/// The watermark of several sources: the earliest of those that are not idle at `now`; unknown as long as one of
/// them has none. If all are idle nobody holds it back, and it is the latest there is. It goes back when a source
/// wakes up that was left behind.
pub fn watermark_of<'a>(
    sources: impl IntoIterator<Item = (&'a SourceSpec, &'a SourceTime)>,
    now: Timestamp,
) -> Option<Timestamp> {
    let (mut awake, mut earliest, mut latest) = (false, None, None);
    for (spec, time) in sources {
        let watermark = time.watermark(spec.lateness);
        latest = latest.max(watermark);
        if time.idle(now, spec.idle_after) {
            continue;
        }
        earliest = if awake { earliest.min(watermark) } else { watermark };
        awake = true;
    }
    if awake { earliest } else { latest }
}

#[cfg(test)]
mod tests {
    use perennial_types::Schema;
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn source(lateness: i64, idle_after: Option<i64>) -> SourceSpec {
        let (lateness, idle_after) = (TimeSpan::from_secs(lateness), idle_after.map(TimeSpan::from_secs));
        SourceSpec { lateness, idle_after, ..SourceSpec::new("s", Schema::default(), "at") }
    }

    proptest! {
        #[test]
        fn an_event_is_late_if_one_that_came_before_it_is_newer_by_more_than_the_lateness(
            drawn in prop::collection::vec((0..5_i64, -30..60_i64), 1..60),
            lateness in 0..20_i64,
        ) {
            let lateness = TimeSpan::from_secs(lateness);
            let mut time = SourceTime::new(at(0));
            let (mut now, mut before, mut late) = (1_000, Vec::new(), 0);
            for (gap, delay) in drawn {
                now += gap;
                let (event_time, available_at) = (at(now - delay), at(now));
                let expected = before.iter().any(|seen: &Timestamp| *seen - lateness > event_time);
                prop_assert_eq!(time.take(event_time, available_at, lateness), expected);
                before.push(event_time.min(available_at));
                late += u64::from(expected);
            }
            prop_assert_eq!((time.events(), time.late()), (before.len() as u64, late));
            prop_assert_eq!(time.watermark(lateness), before.into_iter().max().map(|newest| newest - lateness));
        }
    }

    #[test]
    fn a_source_that_is_idle_holds_nobody_back() {
        let (quick, slow) = (source(10, None), source(0, Some(60)));
        let (mut first, mut second) = (SourceTime::new(at(0)), SourceTime::new(at(0)));
        let both = |first: &SourceTime, second: &SourceTime, now| {
            watermark_of([(&quick, first), (&slow, second)], at(now))
        };
        first.take(at(30), at(30), quick.lateness);
        assert_eq!(both(&first, &second, 59), None, "the other one has no event yet");
        assert_eq!(both(&first, &second, 60), Some(at(20)), "and is idle since it was declared");
        second.take(at(5), at(61), slow.lateness);
        assert_eq!(both(&first, &second, 61), Some(at(5)));
        assert_eq!(both(&first, &second, 121), Some(at(20)));
        assert_eq!(watermark_of([], at(0)), None);
    }

    #[test]
    fn where_all_are_idle_the_latest_watermark_counts() {
        let spec = source(0, Some(60));
        let (mut first, mut second) = (SourceTime::new(at(0)), SourceTime::new(at(0)));
        first.take(at(30), at(30), spec.lateness);
        second.take(at(40), at(40), spec.lateness);
        let sources = [(&spec, &first), (&spec, &second)];
        assert_eq!(watermark_of(sources, at(50)), Some(at(30)));
        assert_eq!(watermark_of(sources, at(95)), Some(at(40)), "only the first is idle");
        assert_eq!(watermark_of(sources, at(500)), Some(at(40)));
    }

    #[test]
    fn a_date_in_the_future_makes_nothing_late() {
        let mut time = SourceTime::new(at(0));
        assert!(!time.take(at(10_000), at(100), TimeSpan::ZERO));
        assert!(!time.take(at(100), at(101), TimeSpan::ZERO));
        assert!(time.take(at(99), at(102), TimeSpan::ZERO));
    }
}
