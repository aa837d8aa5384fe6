//! A change detector on the losses of a model's current version.

use perennial_evaluate::Metric;
use perennial_policy::{DetectedLoss, DetectorMembers};
use perennial_stats::adwin::{Adwin, delta_for};
use perennial_types::Timestamp;
use serde::{Deserialize, Serialize};

/// Rows before which a detector says nothing.
const WARM_UP_ROWS: u64 = 100;

/// The detector of one signal for one model. A promotion does not restart it: whether a change has been learnt is
/// what it is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    rule: DetectorRule,
    adwin: Adwin,
    /// When the open episode began, and how many rows there were since its last alarm.
    episode: Option<(Timestamp, u64)>,
    alarms: u64,
}

/// What a detector watches, as declared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DetectorRule {
    pub(crate) of: DetectedLoss,
    pub(crate) range: (f64, f64),
    pub(crate) one_false_alarm_in: u64,
    pub(crate) stable_after: u64,
}

impl Detector {
    pub(crate) fn new(rule: DetectorRule) -> Self {
        let adwin = Adwin::new(delta_for(rule.one_false_alarm_in));
        Self { rule, adwin, episode: None, alarms: 0 }
    }

    pub(crate) fn is(&self, rule: &DetectorRule) -> bool {
        self.rule == *rule
    }

    /// How often it has alarmed.
    pub fn alarms(&self) -> u64 {
        self.alarms
    }

    /// What it says, or why it says nothing yet.
    ///
    /// # Errors
    /// A sentence part, before its warm-up.
    pub fn said(&self) -> Result<DetectorMembers, String> {
        let (rows, (low, high)) = (self.adwin.count(), self.rule.range);
        if rows < WARM_UP_ROWS {
            return Err(format!("fewer than {WARM_UP_ROWS} rows ({rows})"));
        }
        let mean = self.adwin.mean().map_or(low, |mean| low + (high - low) * mean);
        Ok(DetectorMembers { since: self.episode.map(|(since, _)| since), mean })
    }

    /// Take the next row that the current version scored.
    pub(crate) fn push(&mut self, prediction: f64, label: f64, at: Timestamp) {
        let (low, high) = self.rule.range;
        let loss = loss(self.rule.of, prediction, label);
        if loss.is_nan() {
            return;
        }
        let worse = self
            .adwin
            .push((loss - low) / (high - low))
            .is_some_and(|change| change.mean_after > change.mean_before);
        self.alarms += u64::from(worse);
        self.episode = match (worse, self.episode) {
            (true, open) => Some((open.map_or(at, |(since, _)| since), 0)),
            (false, Some((since, quiet))) if quiet + 1 < self.rule.stable_after => Some((since, quiet + 1)),
            (false, Some(_) | None) => None,
        };
    }
}

fn loss(of: DetectedLoss, prediction: f64, label: f64) -> f64 {
    let metric = match of {
        DetectedLoss::AbsError => Metric::Mae,
        DetectedLoss::SquaredError => Metric::Rmse,
        DetectedLoss::LogLoss => Metric::LogLoss,
        DetectedLoss::Error => Metric::Accuracy,
    };
    metric.loss(prediction, label).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use perennial_types::{TimeSpan, unit_draw};

    use super::*;

    fn detector() -> Detector {
        Detector::new(DetectorRule {
            of: DetectedLoss::AbsError,
            range: (0.0, 100.0),
            one_false_alarm_in: 50_000,
            stable_after: 200,
        })
    }

    fn feed(detector: &mut Detector, rows: std::ops::Range<u64>, loss: f64) {
        for row in rows {
            let at = Timestamp::from_micros(0) + TimeSpan::from_hours(row as i64);
            let noise = 4.0 * unit_draw(6, &[&row.to_string()]);
            detector.push(loss + noise, 0.0, at);
        }
    }

    #[test]
    fn an_episode_opens_where_losses_rise_and_closes_when_they_are_stable() {
        let mut detector = detector();
        feed(&mut detector, 0..99, 10.0);
        assert_eq!(detector.said().unwrap_err(), "fewer than 100 rows (99)");
        feed(&mut detector, 99..600, 10.0);
        assert_eq!((detector.said().unwrap().since, detector.alarms()), (None, 0));
        feed(&mut detector, 600..800, 40.0);
        let said = detector.said().unwrap();
        let opened = said.since.unwrap().since(Timestamp::from_micros(0));
        assert!(opened > TimeSpan::from_hours(600) && opened < TimeSpan::from_hours(700), "{opened}");
        assert!(said.mean > 35.0, "{}", said.mean);
        feed(&mut detector, 800..1_100, 40.0);
        assert_eq!(detector.said().unwrap().since, None);
    }

    #[test]
    fn losses_that_fall_are_no_alarm() {
        let mut detector = detector();
        feed(&mut detector, 0..600, 40.0);
        feed(&mut detector, 600..1_200, 10.0);
        assert_eq!((detector.said().unwrap().since, detector.alarms()), (None, 0));
        assert!(detector.said().unwrap().mean < 15.0);
    }
}
