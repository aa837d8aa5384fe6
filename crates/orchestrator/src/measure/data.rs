//! Measuring data: what the audits have counted over a window, against its limit.

use std::sync::Arc;

use perennial_control::DataReading;
use perennial_pipeline::{Audits, ColumnFigures, Goal, Pipeline};
use perennial_policy::DataFigure;
use perennial_project::matches;
use perennial_types::Timestamp;

/// What a signal asks for.
pub(super) struct Asked<'a> {
    pub(super) figure: DataFigure,
    pub(super) of: &'a [Arc<str>],
    pub(super) limit: Option<f64>,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// The worst of what a signal names, or why nothing can be said. Everything that is applied by now is in it, so that
/// on the event clock a play has the same readings however it is cut. Blocks.
pub(super) fn measure(pipeline: &Pipeline, asked: &Asked<'_>) -> Result<DataReading, String> {
    let audits = pipeline.audits().ok_or_else(|| "no audits run here".to_owned())?;
    audits.caught_up().map_err(|error| error.to_string())?;
    let declared = pipeline.declared();
    let goal = declared.goal().ok_or_else(|| "no project is applied".to_owned())?;
    let reading = Reading { pipeline, audits, goal, asked };
    let mut found = reading.found();
    found.sort_by(|a, b| excess(asked.figure, b).total_cmp(&excess(asked.figure, a)));
    found.into_iter().next().ok_or_else(|| "no traffic in the window".to_owned())
}

/// By how much a value is on the wrong side of its limit.
fn excess(figure: DataFigure, reading: &DataReading) -> f64 {
    match figure {
        DataFigure::Volume => reading.limit - reading.value,
        DataFigure::Freshness
        | DataFigure::Skew
        | DataFigure::Loss
        | DataFigure::NullRate
        | DataFigure::NewCategories
        | DataFigure::Violations => reading.value - reading.limit,
    }
}

struct Reading<'a> {
    pipeline: &'a Pipeline,
    audits: Audits,
    goal: &'a Goal,
    asked: &'a Asked<'a>,
}

impl Reading<'_> {
    /// Everything that is named and had traffic.
    fn found(&self) -> Vec<DataReading> {
        match self.asked.figure {
            DataFigure::Freshness | DataFigure::Skew => self.of_features(),
            DataFigure::NullRate | DataFigure::NewCategories => {
                let mut found = self.of_features();
                found.extend(self.of_columns());
                found
            }
            DataFigure::Loss | DataFigure::Violations | DataFigure::Volume => self.of_sources(),
        }
    }

    fn of_features(&self) -> Vec<DataReading> {
        let mut found = Vec::new();
        for view in &self.goal.compiled.views {
            let level = self.goal.project.service_levels.get(&view.spec().name).copied().unwrap_or_default();
            let promised = level.of(self.asked.figure);
            for name in view.outputs().names().filter(|name| self.named(name)) {
                let value = match self.asked.figure {
                    DataFigure::Freshness => self.freshness(&view.spec().from),
                    DataFigure::Skew => self.skew(name),
                    _ => self.audits.look(|figures| self.quality(figures.features.get(name)?)),
                };
                found.extend(self.reading(name, value, promised));
            }
        }
        found
    }

    fn of_columns(&self) -> Vec<DataReading> {
        let mut found = Vec::new();
        for source in &self.goal.project.sources {
            for column in source.schema.names() {
                let name = format!("{}.{column}", source.name);
                if self.named(&name) {
                    let value = self.audits.look(|figures| {
                        self.quality(figures.sources.get(&source.name)?.columns.get(column)?)
                    });
                    found.extend(self.reading(&name, value, None));
                }
            }
        }
        found
    }

    fn of_sources(&self) -> Vec<DataReading> {
        let sources = self.goal.project.sources.iter().filter(|source| self.named(&source.name));
        sources.filter_map(|source| self.reading(&source.name, self.of_source(&source.name), None)).collect()
    }

    fn of_source(&self, source: &str) -> Option<f64> {
        let Asked { from, to, .. } = *self.asked;
        let arrived = self.pipeline.receipts().of(source, |_, known| known.arrived.over(from, to));
        let arrived = arrived.unwrap_or_default();
        match self.asked.figure {
            // That nothing came is what is looked for.
            DataFigure::Volume => Some(arrived.appended as f64),
            DataFigure::Violations => {
                let received = arrived.received();
                (received > 0).then(|| arrived.dead_letters as f64 / received as f64)
            }
            _ => {
                let loss = self.audits.loss(source, from, to)?;
                let traffic = !loss.arrived.is_empty() || !loss.happened.is_empty();
                traffic.then_some((loss.lost + loss.unapplied) as f64)
            }
        }
    }

    fn freshness(&self, source: &str) -> Option<f64> {
        let Asked { from, to, .. } = *self.asked;
        self.pipeline.receipts().of(source, |_, known| known.freshness.over(from, to).quantile(0.99))?
    }

    fn skew(&self, feature: &str) -> Option<f64> {
        let Asked { from, to, .. } = *self.asked;
        self.audits.look(|figures| figures.skew.get(feature)?.over(from, to).share())
    }

    fn quality(&self, column: &ColumnFigures) -> Option<f64> {
        let Asked { from, to, .. } = *self.asked;
        match self.asked.figure {
            DataFigure::NewCategories => Some(column.new_categories(from, to)?.len() as f64),
            _ => column.counts.over(from, to).null_rate(),
        }
    }

    /// The value held against what the signal says, or what is promised.
    fn reading(&self, name: &str, value: Option<f64>, promised: Option<f64>) -> Option<DataReading> {
        let limit = self.asked.limit.or(promised).or(self.asked.figure.default_limit())?;
        Some(DataReading { worst: name.into(), value: value?, limit })
    }

    fn named(&self, name: &str) -> bool {
        self.asked.of.iter().any(|pattern| matches(pattern, name))
    }
}

#[cfg(test)]
mod tests {
    use perennial_control::{Applied, ControlRecord};
    use perennial_log::{Durability, LogOptions};
    use perennial_pipeline::PipelineOptions;
    use perennial_project::Project;
    use perennial_store::Blobs;
    use perennial_types::TimeSpan;
    use tokio::runtime::Runtime;

    use super::*;

    const PROJECT: &str = "kind: Project\nname: taxi\nclock: event\n---\nkind: Source\nname: rides\n\
        schema: {at: timestamp, zone: string, fare: double?}\nevent_time: at\n---\nkind: Source\nname: quiet\n\
        schema: {at: timestamp}\nevent_time: at\n---\nkind: FeatureView\nname: zone\nentity: [zone]\nfrom: rides\n\
        aggregates: [{name: fare, op: sum, of: fare, windows: [1d]}]\nservice_level: {freshness_p99: 10m}\n";

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::parse("2024-05-06").unwrap() + TimeSpan::from_secs(60 * minutes)
    }

    struct World {
        runtime: Runtime,
        pipeline: Pipeline,
        _dir: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let options = PipelineOptions::new(dir.path());
            let log = LogOptions::new(options.log_dir());
            let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
            let pipeline = Pipeline::open(options, log, blobs, Vec::new()).unwrap();
            let project = Project::parse(&[("taxi.yaml".into(), PROJECT.into())]).unwrap();
            let (hash, goal) = (project.hash(), project.compile().unwrap().goal);
            let declarations = serde_json::to_value(&project).unwrap();
            let record = ControlRecord::Applied(Applied { at: minute(0), hash, goal, declarations });
            let runtime = Runtime::new().unwrap();
            let appended =
                pipeline.append_control(std::slice::from_ref(&record), minute(0), Durability::Synced);
            runtime.block_on(appended).unwrap();
            Self { runtime, pipeline, _dir: dir }
        }

        /// A ride of `happened` that arrives at `at`.
        fn ride(&self, happened: i64, at: i64, zone: &str, fare: &str) {
            let row = format!(r#"{{"at": "{}", "zone": "{zone}", "fare": {fare}}}"#, minute(happened));
            let queued = self.pipeline.ingest("rides", row.as_bytes(), minute(at)).unwrap();
            self.runtime.block_on(queued.acknowledged()).unwrap();
        }

        fn measured(
            &self,
            figure: DataFigure,
            of: &str,
            limit: Option<f64>,
            (from, to): (i64, i64),
        ) -> Result<(String, f64, f64), String> {
            let of = [Arc::from(of)];
            let asked = Asked { figure, of: &of, limit, from: minute(from), to: minute(to) };
            measure(&self.pipeline, &asked)
                .map(|reading| (reading.worst.to_string(), reading.value, reading.limit))
        }
    }

    #[test]
    fn figures_are_those_of_the_window_and_nothing_is_said_without_traffic() {
        let world = World::new();
        let none = world.measured(DataFigure::Skew, "zone.*", None, (0, 10)).unwrap_err();
        assert_eq!(none, "no audits run here");
        let audits = Audits::follow(world.pipeline.clone()).unwrap();
        for (happened, at, zone, fare) in
            [(1, 2, "a", "1"), (3, 14, "b", "null"), (15, 16, "a", "\"x\""), (17, 18, "a", "2")]
        {
            world.ride(happened, at, zone, fare);
        }
        let first_value =
            |figure, of, limit, window| world.measured(figure, of, limit, window).map(|found| found.1);
        let (worst, value, limit) = world.measured(DataFigure::Freshness, "zone.*", None, (10, 20)).unwrap();
        assert_eq!((worst.as_str(), limit), ("zone.fare_1d", 600.0));
        assert!((value / 660.0 - 1.0).abs() < 0.011, "eleven minutes within 1 %: {value}");
        assert_eq!(first_value(DataFigure::NullRate, "rides.*", Some(0.1), (10, 20)), Ok(0.5));
        assert_eq!(first_value(DataFigure::NewCategories, "rides.zone", None, (10, 20)), Ok(1.0));
        assert_eq!(first_value(DataFigure::Violations, "rides", None, (10, 20)), Ok(1.0 / 3.0));
        assert_eq!(
            first_value(DataFigure::Volume, "*", Some(2.0), (10, 20)),
            Ok(0.0),
            "the quiet one is the worst"
        );
        assert_eq!(first_value(DataFigure::Volume, "rides", Some(2.0), (10, 20)), Ok(2.0));
        assert_eq!(first_value(DataFigure::Loss, "rides", None, (10, 20)), Ok(0.0));
        for (figure, of) in [
            (DataFigure::Freshness, "zone.*"),
            (DataFigure::Skew, "zone.*"),
            (DataFigure::NullRate, "zone.*"),
            (DataFigure::Violations, "rides"),
            (DataFigure::Loss, "quiet"),
        ] {
            let said = world.measured(figure, of, Some(0.1), (60, 70)).unwrap_err();
            assert_eq!(said, "no traffic in the window", "{figure:?}");
        }
        audits.close().unwrap();
    }
}
