//! The end of a play: a table for people, numbers for programs.

use anyhow::{Context, Result};
use player::{Machine, Story, grouped, list};
use serde::Serialize;

use crate::baseline::{Frozen, auc_after};
use crate::data::Shop;
use crate::play::Figures;

/// The numbers of a play.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Purchases that a version answered for and whose label is known.
    pub scored: usize,
    /// Area under the ROC curve of the answers.
    pub auc_perennial: f64,
    /// That of the first version, had it answered all of them.
    pub auc_frozen: f64,
    /// Rows times epochs of all runs but the first fit.
    pub rows_perennial: u64,
    /// Runs that the policy started.
    pub runs: u64,
    /// From the first request to the last reply.
    pub wall_s: f64,
    /// User and system time of the service, its trainers and its database.
    pub cpu_s: f64,
    /// Calls that were repeated because the service was away.
    pub repeated: u64,
}

impl Report {
    /// Put together what was seen, told and computed; `first_labels` is what the first version was fitted on.
    ///
    /// # Errors
    /// When no version answered, or the first one cannot be computed again.
    pub fn new(
        shop: &Shop,
        figures: &Figures,
        story: &Story,
        first_labels: usize,
        machine: Machine,
    ) -> Result<Self> {
        let answered = figures.answers.iter().position(|answer| answer.version.is_some());
        let first = answered.context("no version has answered")?;
        let frozen = Frozen::fit(shop, first_labels)?;
        let served = figures.answers.iter().map(|answer| answer.probability);
        let area = "one kind of customers only";
        Ok(Self {
            scored: shop.purchases[first..].iter().filter(|purchase| purchase.labelled).count(),
            auc_perennial: auc_after(shop, first, served).context(area)?,
            auc_frozen: auc_after(shop, first, frozen.answers.into_iter()).context(area)?,
            rows_perennial: story.row_visits,
            runs: story.runs.values().sum(),
            wall_s: figures.wall.as_secs_f64(),
            cpu_s: machine.cpu_s,
            repeated: figures.repeated,
        })
    }

    /// The table.
    pub fn text(&self, story: &Story) -> String {
        let mut text =
            format!("AUC over the {} purchases after the first version\n\n", grouped(self.scored as u64));
        text += &format!("  {:<32}{:>8}{:>14}\n", "", "AUC", "row visits");
        let rows = [
            ("the first version, frozen", self.auc_frozen, 0),
            ("Perennial, as answered", self.auc_perennial, self.rows_perennial),
        ];
        for (name, auc, visits) in rows {
            text += &format!("  {name:<32}{auc:>8.4}{:>14}\n", grouped(visits));
        }
        text += &format!("\nRuns started by the policy: {}\n{}", self.runs, list(&story.runs));
        text += &format!("Held back\n{}", list(&story.held));
        text += &format!("\nLineage of the current version: {}\n  {}\n", story.lineage_line(), story.why);
        text += &format!(
            "\n{:.1} s from the first request to the last reply; the service used {:.1} s of CPU; {} calls repeated\n",
            self.wall_s, self.cpu_s, self.repeated
        );
        text
    }
}
