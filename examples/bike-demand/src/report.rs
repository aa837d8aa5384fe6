//! The end of a play: a table for people, numbers for programs.

use anyhow::Result;
use perennial_types::ContentHash;
use player::{Machine, Story, grouped, list};
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
    /// Rows times epochs of all runs but the first fit.
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
    /// Calls that were repeated because the service was away.
    pub repeated: u64,
}

impl Report {
    /// Put together what was seen, told and computed.
    pub fn new(figures: &Figures, story: &Story, baselines: &Baselines, machine: Machine) -> Self {
        Self {
            mae_perennial: figures.mae,
            mae_frozen_raw: baselines.frozen_raw.mae,
            mae_frozen_windowed: baselines.frozen_windowed.mae,
            mae_daily_retrain: baselines.daily_retrain.mae,
            rows_perennial: story.row_visits,
            rows_daily_retrain: baselines.daily_retrain.row_visits,
            runs: story.runs.values().sum(),
            held: story.held.values().sum(),
            wall_s: figures.wall.as_secs_f64(),
            fsync_p50_ms: machine.fsync_p50_ms,
            cpu_s: machine.cpu_s,
            lineage: story.lineage.iter().map(|ancestor| ancestor.content_hash).collect(),
            repeated: figures.repeated,
        }
    }

    /// The table.
    pub fn text(&self, figures: &Figures, story: &Story) -> String {
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
        text += &list(&story.runs);
        text += &format!("Held back: {}\n", self.held);
        text += &list(&story.held);
        text += &format!("\nLineage of the current version: {}\n  {}\n", story.lineage_line(), story.why);
        text += &format!(
            "\n{:.1} s from the first request to the last reply; the service used {:.1} s of CPU; \
             fsync p50 {:.2} ms; {} calls repeated\n",
            self.wall_s, self.cpu_s, self.fsync_p50_ms, self.repeated
        );
        text
    }
}
