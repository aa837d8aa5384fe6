//! The end of a play: a table for people, numbers for programs.

use std::collections::BTreeMap;

use anyhow::Result;
use perennial_types::{ContentHash, Rounded, Timestamp};
use player::{Machine, Shares, Story, Traffic, grouped, list};
use serde::Serialize;

use crate::baselines::{Baseline, daily_retrain, frozen};
use crate::data::{FIRST_ROWS, hours};
use crate::frame::{Frame, Inputs};
use crate::play::Figures;

/// What the answers are compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baselines {
    /// Without demand features, never retrained.
    pub frozen_raw: Baseline,
    /// With them, never retrained.
    pub frozen_windowed: Baseline,
    /// With them, retrained from scratch every day.
    pub daily_retrain: Baseline,
}

impl Baselines {
    /// Compute them from the bundled hours, with the declared learner and features: some 31 million row visits.
    ///
    /// # Errors
    /// When features or learner refuse the bundled hours.
    pub fn compute() -> Result<Self> {
        let windowed = Frame::as_known(hours()?, Inputs::Windowed)?;
        Ok(Self {
            frozen_raw: frozen(&Frame::as_known(hours()?, Inputs::Raw)?)?,
            frozen_windowed: frozen(&windowed)?,
            daily_retrain: daily_retrain(&windowed)?,
        })
    }
}

/// The numbers of a play.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Mean absolute error of the answers.
    pub mae_perennial: f64,
    /// Without demand features, never retrained.
    pub mae_frozen_raw: f64,
    /// With them, never retrained.
    pub mae_frozen_windowed: f64,
    /// Retrained from scratch every day.
    pub mae_daily_retrain: f64,
    /// Rows times epochs of all runs of both models but the first fits.
    pub rows_perennial: u64,
    /// The same of the daily retrain.
    pub rows_daily_retrain: u64,
    /// Runs that the policy started.
    pub runs: u64,
    /// How often a trigger was held back.
    pub held: u64,
    /// From the first request to the last reply.
    pub wall_s: f64,
    /// Median fsync of the disk that the service writes to, before it started.
    pub fsync_p50_ms: f64,
    /// User and system time of the service, its trainers and its database, to the end of the play.
    pub cpu_s: f64,
    /// The current version and those it descends from, oldest first.
    pub lineage: Vec<ContentHash>,
    /// The models' shares of the traffic, each time they changed.
    pub traffic: Vec<Shares>,
    /// The models' shares in the last epoch of the experiment between them, if it is over.
    pub last_epoch: Option<Shares>,
    /// How the versions that were drawn fit the logged probabilities.
    pub sample_ratio: SampleRatio,
    /// The endpoint's champion.
    pub champion: Option<String>,
    /// Candidates that went through a rollout.
    pub rollouts: Vec<RolloutEnd>,
    /// Reports that were written.
    pub reports: Vec<WrittenReport>,
    /// Calls that were repeated because the service was away.
    pub repeated: u64,
}

/// Choices of versions against their logged probabilities, over the whole play.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SampleRatio {
    /// How probable choices are that fit no better; nothing after too few.
    pub p: Option<f64>,
    /// Requests for which more than one version could be drawn.
    pub rows: u64,
}

/// A candidate's rollout.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolloutEnd {
    /// The candidate.
    pub version: String,
    /// When it began.
    pub began: Timestamp,
    /// When it was over; nothing while it goes on.
    pub ended: Option<Timestamp>,
    /// The index of the last stage that it entered.
    pub stage: u64,
    /// What came of it; nothing while it goes on.
    pub outcome: Option<String>,
    /// Why, a sentence with the numbers.
    pub reason: String,
}

/// A report that was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WrittenReport {
    /// When.
    pub at: Timestamp,
    /// Where its page is.
    pub url: String,
    /// What it says, in a sentence.
    pub summary: String,
}

/// What the service told of the play.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Of each model; the one whose lineage is shown comes last.
    pub stories: &'a [Story; 2],
    /// Of the endpoint.
    pub traffic: &'a Traffic,
    /// The service's address.
    pub url: &'a str,
}

impl Told<'_> {
    fn row_visits(&self) -> u64 {
        self.stories.iter().map(|story| story.row_visits).sum()
    }

    fn counts(&self, of: impl Fn(&Story) -> &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (name, count) in self.stories.iter().flat_map(of) {
            *counts.entry(name.clone()).or_default() += count;
        }
        counts
    }
}

impl Report {
    /// Put together what was seen, told and computed.
    pub fn new(figures: &Figures, told: Told<'_>, baselines: &Baselines, machine: Machine) -> Self {
        let (traffic, [_, story]) = (told.traffic, told.stories);
        let rollouts = traffic.rollouts.iter().map(|rollout| RolloutEnd {
            version: rollout.version.clone(),
            began: rollout.began,
            ended: rollout.ended,
            stage: rollout.stage,
            outcome: rollout.outcome.clone(),
            reason: rollout.reason.clone(),
        });
        let reports = traffic.reports.iter().map(|report| WrittenReport {
            at: report.at,
            url: format!("{}/v1/reports/{}/html", told.url, report.id),
            summary: report.summary.clone(),
        });
        Self {
            mae_perennial: figures.mae,
            mae_frozen_raw: baselines.frozen_raw.mae,
            mae_frozen_windowed: baselines.frozen_windowed.mae,
            mae_daily_retrain: baselines.daily_retrain.mae,
            rows_perennial: told.row_visits(),
            rows_daily_retrain: baselines.daily_retrain.row_visits,
            runs: told.counts(|story| &story.runs).values().sum(),
            held: told.counts(|story| &story.held).values().sum(),
            wall_s: figures.wall.as_secs_f64(),
            fsync_p50_ms: machine.fsync_p50_ms,
            cpu_s: machine.cpu_s,
            lineage: story.lineage.iter().map(|ancestor| ancestor.content_hash).collect(),
            last_epoch: traffic.experiments.last().and_then(|experiment| traffic.last_epoch_of(experiment)),
            sample_ratio: SampleRatio { p: traffic.choices.p_value, rows: traffic.choices.rows },
            champion: traffic.champion().map(str::to_owned),
            rollouts: rollouts.collect(),
            reports: reports.collect(),
            traffic: traffic.shares(),
            repeated: figures.repeated,
        }
    }

    /// The table.
    pub fn text(&self, figures: &Figures, told: Told<'_>) -> String {
        let [_, story] = told.stories;
        let scored = figures.answers.len().saturating_sub(FIRST_ROWS);
        let mut text = format!("MAE over the {scored} hours after the first {FIRST_ROWS}\n\n");
        text += &format!("  {:<44}{:>8}{:>14}\n", "", "MAE", "row visits");
        let rows = [
            ("never retrained, without demand features", self.mae_frozen_raw, 0),
            ("never retrained", self.mae_frozen_windowed, 0),
            ("retrained from scratch every day", self.mae_daily_retrain, self.rows_daily_retrain),
            ("Perennial, as answered", self.mae_perennial, self.rows_perennial),
        ];
        for (name, mae, visits) in rows {
            text += &format!("  {name:<44}{mae:>8.1}{:>14}\n", grouped(visits));
        }
        text += &format!(
            "\nRow visits are rows times epochs, first fits left out. {} of the answers were the endpoint's\n\
             default, before the first version.\n",
            figures.defaults
        );
        text += &format!("\nRuns started by the policy: {}\n", self.runs);
        text += &list(&told.counts(|story| &story.runs));
        text += &format!("Held back: {}\n", self.held);
        text += &list(&told.counts(|story| &story.held));
        text += &self.traffic_text(told.traffic);
        text += &self.rollouts_text(told.traffic);
        text += &self.reports_text();
        text += &format!("\nLineage of the current version: {}\n  {}\n", story.lineage_line(), story.why);
        text += &format!(
            "\n{:.1} s from the first request to the last reply; the service used {:.1} s of CPU; \
             fsync p50 {:.2} ms; {} calls repeated\n",
            self.wall_s, self.cpu_s, self.fsync_p50_ms, self.repeated
        );
        text
    }

    /// Who answered how much, each time it moved by more than a tenth, and how the experiment ended.
    fn traffic_text(&self, traffic: &Traffic) -> String {
        let mut text = "\nTraffic shares\n".to_owned();
        for step in thinned(&self.traffic) {
            let shares = step.shares.iter().map(|(model, share)| format!("{model} {:.1} %", share * 100.0));
            text += &format!("  {}  {}\n", step.at, shares.collect::<Vec<_>>().join(", "));
        }
        for experiment in &traffic.experiments {
            let ended = experiment.ended.map_or("still runs".to_owned(), |at| format!("ended {at}"));
            text += &format!(
                "  experiment {} began {}, {ended}: {}\n",
                experiment.name, experiment.began, experiment.reason
            );
        }
        text += &format!("  champion: {}\n", self.champion.as_deref().unwrap_or("none yet"));
        let SampleRatio { p, rows } = self.sample_ratio;
        let p = p.map_or("unknown".to_owned(), |p| format!("{}", Rounded(p)));
        text + &format!(
            "  drawn as often as the logged probabilities say: p {p} over {} choices\n",
            grouped(rows)
        )
    }

    /// How many rollouts ended in which way, with the last reason of each.
    fn rollouts_text(&self, traffic: &Traffic) -> String {
        let mut text = format!("Rollouts: {}\n", self.rollouts.len());
        for (outcome, count) in traffic.outcomes() {
            let last = traffic
                .rollouts
                .iter()
                .rfind(|rollout| rollout.outcome.as_deref().unwrap_or("still going on") == outcome);
            let said = last.map_or(String::new(), |last| format!("{}: {}", last.version, last.reason));
            text += &format!("  {count:>6}  {outcome}, such as {said}\n");
        }
        text
    }

    fn reports_text(&self) -> String {
        let last =
            self.reports.last().map_or(String::new(), |last| format!("; the last one is {}", last.url));
        format!("Reports: {}{last}\n", self.reports.len())
    }
}

/// The first shares and those that moved by more than a tenth since the last ones shown.
fn thinned(steps: &[Shares]) -> Vec<&Shares> {
    let mut shown: Vec<&Shares> = Vec::new();
    for step in steps {
        let far = |last: &&Shares| {
            step.shares
                .iter()
                .any(|(model, share)| (share - last.shares.get(model).copied().unwrap_or(0.0)).abs() > 0.1)
        };
        if shown.last().is_none_or(far) {
            shown.push(step);
        }
    }
    shown
}
