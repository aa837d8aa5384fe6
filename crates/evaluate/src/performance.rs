//! How well a model does, over cohorts whose label window has closed.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_types::{Position, TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{LabelledPrediction, Metric};

/// Rows lie together by the hour in which they mature, so that a window is a few contiguous stretches.
const COHORT: TimeSpan = TimeSpan::from_hours(1);

/// The labelled answers of one model at one endpoint.
///
/// A prediction matures `matures_after` its request: from then on its cohort is judged, with the labels that
/// are there, and a label that comes later still changes the figure. Younger rows are provisional and count
/// in no figure, since labels that arrive early are not a fair sample. Figures are folded in the order of
/// maturity and position, so the order in which labels came does not change a bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Performance {
    model: Arc<str>,
    matures_after: TimeSpan,
    keep: TimeSpan,
    /// By the start of the hour of maturity; rows sorted by maturity, then position of the prediction.
    cohorts: BTreeMap<Timestamp, Vec<Row>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    matured_at: Timestamp,
    position: Position,
    prediction: f64,
    label: f64,
}

/// A metric over some rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The metric, in its own unit.
    pub value: f64,
    /// How many labelled rows it covers.
    pub rows: u64,
}

impl Performance {
    /// Of `model`, whose predictions mature `matures_after` their requests. Rows are kept until they matured
    /// `keep` ago: at least the longest window that will be asked for.
    pub fn new(model: Arc<str>, matures_after: TimeSpan, keep: TimeSpan) -> Self {
        Self { model, matures_after, keep, cohorts: BTreeMap::new() }
    }

    /// From now on keep rows at least so long, for a longer window; what is forgotten already stays so.
    pub fn keep_at_least(&mut self, keep: TimeSpan) {
        self.keep = self.keep.max(keep);
    }

    /// Rows that are taken from now on mature so long after their requests.
    pub fn mature_after(&mut self, matures_after: TimeSpan) {
        self.matures_after = matures_after;
    }

    /// Take the next joined row of the endpoint. Fallbacks and answers of other models are passed over.
    pub fn labelled(&mut self, row: &LabelledPrediction) {
        let prediction = &row.prediction;
        if !prediction.fallback && prediction.model == self.model {
            let matured_at = prediction.at + self.matures_after;
            let rows = self.cohorts.entry(matured_at.floor(COHORT)).or_default();
            let key = (matured_at, prediction.position);
            let place = rows.partition_point(|row| (row.matured_at, row.position) < key);
            let (position, prediction) = (prediction.position, prediction.value);
            rows.insert(place, Row { matured_at, position, prediction, label: row.label });
        }
        let oldest = (row.known_at - self.keep).floor(COHORT);
        while self.cohorts.first_key_value().is_some_and(|(hour, _)| *hour < oldest) {
            self.cohorts.pop_first();
        }
    }

    /// The metric over rows that matured in `(now − window, now]`; nothing if there are none, or the metric
    /// is not defined on them.
    pub fn metric(&self, metric: Metric, window: TimeSpan, now: Timestamp) -> Option<Figure> {
        self.metric_between(metric, now - window, now)
    }

    /// The metric over rows that matured in `(from, to]`; nothing if there are none, or the metric is not
    /// defined on them. It is complete once `to` has passed, and while its rows are kept.
    pub fn metric_between(&self, metric: Metric, from: Timestamp, to: Timestamp) -> Option<Figure> {
        let pairs: Vec<(f64, f64)> = self.between(from, to).map(|row| (row.prediction, row.label)).collect();
        metric.of(&pairs).map(|value| Figure { value, rows: pairs.len() as u64 })
    }

    /// How many labelled rows matured in `(now − window, now]`.
    pub fn matured_rows(&self, window: TimeSpan, now: Timestamp) -> u64 {
        self.between(now - window, now).count() as u64
    }

    /// How many labelled rows have not matured at `now`.
    pub fn provisional_rows(&self, now: Timestamp) -> u64 {
        self.between(now, Timestamp::from_micros(i64::MAX)).count() as u64
    }

    /// Rows that matured in `(from, to]`, in order.
    fn between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = &Row> {
        self.cohorts
            .range(from.floor(COHORT)..)
            .take_while(move |(hour, _)| **hour <= to)
            .flat_map(|(_, rows)| rows)
            .filter(move |row| row.matured_at > from && row.matured_at <= to)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Prediction;

    const DAY: TimeSpan = TimeSpan::from_days(1);
    const WEEK: TimeSpan = TimeSpan::from_days(7);

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::from_micros(0) + TimeSpan::from_secs(minutes * 60)
    }

    fn row(at: i64, known_at: i64, value: f64, label: f64, position: u64) -> LabelledPrediction {
        LabelledPrediction {
            prediction: Prediction {
                id: position.to_string().into(),
                at: minute(at),
                model: "m".into(),
                version: "v".into(),
                value,
                fallback: false,
                exposure: crate::Exposure::default(),
                position: Position(position),
            },
            label,
            known_at: minute(known_at),
            position: Position(position + 1),
        }
    }

    fn of_m() -> Performance {
        Performance::new("m".into(), DAY, WEEK)
    }

    #[test]
    fn a_row_counts_from_its_maturity_even_if_its_label_came_early() {
        let mut performance = of_m();
        performance.labelled(&row(0, 5, 10.0, 13.0, 1));
        assert_eq!(performance.metric(Metric::Mae, WEEK, minute(24 * 60 - 1)), None);
        assert_eq!(performance.provisional_rows(minute(24 * 60 - 1)), 1);
        let figure = performance.metric(Metric::Mae, WEEK, minute(24 * 60)).unwrap();
        assert_eq!((figure.value, figure.rows), (3.0, 1));
        assert_eq!(performance.provisional_rows(minute(24 * 60)), 0);
    }

    #[test]
    fn a_label_after_maturity_still_changes_its_cohort() {
        let mut performance = of_m();
        performance.labelled(&row(0, 5, 10.0, 13.0, 1));
        performance.labelled(&row(1, 3 * 24 * 60, 10.0, 11.0, 3));
        let figure = performance.metric(Metric::Mae, DAY, minute(24 * 60 + 1)).unwrap();
        assert_eq!((figure.value, figure.rows), (2.0, 2));
    }

    #[test]
    fn windows_are_open_at_the_start_and_closed_at_the_end() {
        let mut performance = of_m();
        performance.labelled(&row(0, 1, 1.0, 0.0, 1));
        let matured = minute(24 * 60);
        assert_eq!(performance.matured_rows(WEEK, matured + WEEK - TimeSpan::from_micros(1)), 1);
        assert_eq!(performance.matured_rows(WEEK, matured + WEEK), 0);
    }

    #[test]
    fn fallbacks_and_other_models_are_passed_over() {
        let mut performance = of_m();
        let mut fallback = row(0, 1, 1.0, 0.0, 1);
        fallback.prediction.fallback = true;
        let mut other = row(0, 1, 1.0, 0.0, 3);
        other.prediction.model = "n".into();
        performance.labelled(&fallback);
        performance.labelled(&other);
        assert_eq!(performance.matured_rows(WEEK, minute(24 * 60)), 0);
    }

    #[test]
    fn memory_is_bounded_by_what_is_kept() {
        let mut performance = of_m();
        for hour in 0..2_000 {
            performance.labelled(&row(hour * 60, hour * 60, 1.0, 0.0, 2 * hour as u64 + 1));
        }
        // A week of matured rows and the day that has not matured, to the hour.
        assert_eq!(performance.cohorts.values().map(Vec::len).sum::<usize>(), 8 * 24 + 1);
    }

    /// Requests (minute, minutes until the label, prediction, label class), in no order of labels.
    fn history() -> impl Strategy<Value = Vec<(i64, i64, f64, bool)>> {
        let row = (0..5_000_i64, 0..4_000_i64, 0.0..1.0_f64, any::<bool>());
        prop::collection::vec(row, 0..60)
    }

    proptest! {
        #[test]
        fn figures_equal_those_of_the_whole_list_to_the_bit(
            history in history(),
            now in 0..9_000_i64,
            window in 1..5_000_i64,
        ) {
            let mut rows: Vec<LabelledPrediction> = history
                .iter()
                .enumerate()
                .map(|(i, (at, wait, value, label))| {
                    row(*at, at + wait, *value, f64::from(u8::from(*label)), 2 * i as u64 + 1)
                })
                .collect();
            let mut performance = Performance::new("m".into(), DAY, TimeSpan::from_days(30));
            for row in &rows {
                performance.labelled(row);
            }
            rows.sort_by_key(|row| (row.prediction.at, row.prediction.position));
            let (now, window) = (minute(now), TimeSpan::from_secs(window * 60));
            let pairs: Vec<(f64, f64)> = rows
                .iter()
                .filter(|row| row.prediction.at + DAY <= now && row.prediction.at + DAY > now - window)
                .map(|row| (row.prediction.value, row.label))
                .collect();
            for metric in Metric::ALL {
                let figure = performance.metric(metric, window, now);
                prop_assert_eq!(figure.map(|figure| figure.value.to_bits()), metric.of(&pairs).map(f64::to_bits));
                prop_assert!(figure.is_none_or(|figure| figure.rows == pairs.len() as u64));
            }
            prop_assert_eq!(performance.matured_rows(window, now), pairs.len() as u64);
        }

        #[test]
        fn forgetting_changes_no_figure_of_a_kept_window(history in history(), step in 1..2_000_i64) {
            let mut rows: Vec<LabelledPrediction> = history
                .iter()
                .enumerate()
                .map(|(i, (at, wait, value, _))| row(*at, at + wait, *value, 1.0, 2 * i as u64 + 1))
                .collect();
            rows.sort_by_key(|row| row.known_at);
            let mut forgetful = Performance::new("m".into(), DAY, DAY);
            let mut full = Performance::new("m".into(), DAY, TimeSpan::from_days(1_000));
            for row in &rows {
                forgetful.labelled(row);
                full.labelled(row);
                for now in [row.known_at, row.known_at + TimeSpan::from_secs(step * 60)] {
                    prop_assert_eq!(
                        forgetful.metric(Metric::Mae, DAY, now),
                        full.metric(Metric::Mae, DAY, now)
                    );
                }
            }
        }

        #[test]
        fn the_order_of_labels_changes_no_byte(history in history()) {
            let rows: Vec<LabelledPrediction> = history
                .iter()
                .enumerate()
                .map(|(i, (at, _, value, _))| row(*at, 5_000, *value, 1.0, 2 * i as u64 + 1))
                .collect();
            let (mut forwards, mut backwards) = (of_m(), of_m());
            rows.iter().for_each(|row| forwards.labelled(row));
            rows.iter().rev().for_each(|row| backwards.labelled(row));
            prop_assert_eq!(postcard::to_stdvec(&forwards).unwrap(), postcard::to_stdvec(&backwards).unwrap());
        }
    }
}
