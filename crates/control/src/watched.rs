//! What is watched of a model beside its performance: detectors on its losses, readings of its inputs' drift and of
//! its data.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_evaluate::LabelledPrediction;
use perennial_policy::{PolicySpec, SignalKind};
use perennial_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Measured;
use crate::detector::{Detector, DetectorRule};

/// By policy, then by signal.
type BySignal<T> = BTreeMap<Arc<str>, BTreeMap<Arc<str>, T>>;

/// Detectors and drift readings of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    detectors: BySignal<Detector>,
    readings: BySignal<Measured>,
}

impl Watched {
    /// The detector of a policy's signal.
    pub fn detector(&self, policy: &str, signal: &str) -> Option<&Detector> {
        self.detectors.get(policy)?.get(signal)
    }

    /// The last measurement of a policy's signal.
    pub fn reading(&self, policy: &str, signal: &str) -> Option<&Measured> {
        self.readings.get(policy)?.get(signal)
    }

    /// Every detector with its policy and signal.
    pub fn detectors(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, &Detector)> {
        self.detectors.iter().flat_map(|(policy, signals)| {
            signals.iter().map(move |(signal, detector)| (policy, signal, detector))
        })
    }

    /// The last measurement of every signal that is measured.
    pub fn readings(&self) -> impl Iterator<Item = &Measured> {
        self.readings.values().flat_map(BTreeMap::values)
    }

    /// Watch what these policies declare of the model. What is declared as before goes on, the rest is forgotten.
    pub(crate) fn declare<'a>(&mut self, policies: impl Iterator<Item = &'a PolicySpec>) {
        let before = std::mem::take(self);
        for policy in policies {
            for signal in &policy.signals {
                let key = (&*policy.name, &*signal.name);
                match &signal.kind {
                    SignalKind::Detector { of, range, one_false_alarm_in, stable_after } => {
                        let rule = DetectorRule {
                            of: *of,
                            range: *range,
                            one_false_alarm_in: *one_false_alarm_in,
                            stable_after: *stable_after,
                        };
                        let kept = before.detector(key.0, key.1).filter(|detector| detector.is(&rule));
                        let detector = kept.cloned().unwrap_or_else(|| Detector::new(rule));
                        let of_policy = self.detectors.entry(Arc::clone(&policy.name)).or_default();
                        of_policy.insert(Arc::clone(&signal.name), detector);
                    }
                    SignalKind::Drift { .. } | SignalKind::Data { .. } => {
                        if let Some(reading) = before.reading(key.0, key.1) {
                            self.measured(reading.clone());
                        }
                    }
                    SignalKind::Performance { .. } | SignalKind::Staleness | SignalKind::Labels => {}
                }
            }
        }
    }

    pub(crate) fn measured(&mut self, measured: Measured) {
        let of_policy = self.readings.entry(Arc::clone(&measured.policy)).or_default();
        of_policy.insert(Arc::clone(&measured.signal), measured);
    }

    /// Take what the current version said of a labelled request.
    pub(crate) fn labelled(&mut self, prediction: f64, row: &LabelledPrediction) {
        for detector in self.detectors.values_mut().flat_map(BTreeMap::values_mut) {
            detector.push(prediction, row.label, row.known_at);
        }
    }

    /// Whether a signal of the version `number` is to be measured at an instant.
    pub(crate) fn is_due(
        &self,
        (policy, signal): (&str, &str),
        number: u64,
        every: perennial_types::TimeSpan,
        at: Timestamp,
    ) -> bool {
        let reading = self.reading(policy, signal);
        reading.is_none_or(|reading| reading.number != number || at >= reading.at + every)
    }
}
