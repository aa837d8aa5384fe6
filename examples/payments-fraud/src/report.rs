//! The end of a play: a table for people, numbers for programs.

use std::collections::BTreeMap;

use perennial_learn::metrics::log_loss;
use perennial_types::Timestamp;
use player::{Machine, list};
use serde::Serialize;

use crate::data::{CONCEPT_CHANGE, CONCEPT_RETURN, FLIPPED, START};
use crate::play::{Answer, Figures, area};
use crate::told::Told;

/// How the answers of a stretch of time were.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// What it is.
    pub name: &'static str,
    /// Payments that a model answered for.
    pub payments: usize,
    /// The share of frauds among them.
    pub fraud_rate: f64,
    /// Area under the ROC curve of the answers.
    pub auc: Option<f64>,
    /// Mean negative log-likelihood of the answers.
    pub log_loss: Option<f64>,
}

/// The numbers of a play.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The stretches of time, in order.
    pub phases: Vec<Phase>,
    /// How often each model answered.
    pub answered_by: BTreeMap<String, u64>,
    /// What the service decided, counted by verdict.
    pub decided: BTreeMap<String, u64>,
    /// From the first request to the last reply.
    pub wall_s: f64,
    /// User and system time of the service, its trainers and its database.
    pub cpu_s: f64,
    /// Calls that were repeated because the service was away.
    pub repeated: u64,
}

impl Report {
    /// Put together what was seen and told.
    pub fn new(figures: &Figures, told: &Told, machine: Machine) -> Self {
        let mut answered_by = BTreeMap::new();
        for answer in &figures.answers {
            let model = answer.by.as_ref().map_or("nobody: the endpoint's default", |(model, _)| model);
            *answered_by.entry(model.to_owned()).or_default() += 1;
        }
        let mut decided = BTreeMap::new();
        for event in &told.events {
            *decided.entry(event.verdict.clone()).or_default() += 1;
        }
        Self {
            phases: phases(&figures.answers),
            answered_by,
            decided,
            wall_s: figures.wall.as_secs_f64(),
            cpu_s: machine.cpu_s,
            repeated: figures.repeated,
        }
    }

    /// The tables, and what happened in order.
    pub fn text(&self, told: &Told) -> String {
        let mut text = format!("{:<46}{:>9}{:>8}{:>7}{:>10}\n", "", "payments", "frauds", "AUC", "log loss");
        for phase in &self.phases {
            let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |f| format!("{f:.3}"));
            text += &format!(
                "{:<46}{:>9}{:>7.1}%{:>7}{:>10}\n",
                phase.name,
                phase.payments,
                phase.fraud_rate * 100.0,
                figure(phase.auc),
                figure(phase.log_loss)
            );
        }
        text += &format!("\nAnswered by\n{}", list(&self.answered_by));
        text += &format!("\nDecided\n{}", list(&self.decided));
        text += "\nWhat happened\n";
        for event in told.events.iter().filter(|event| event.verdict != "changed") {
            text += &format!("  {} {} {}: {}\n", event.at, event.model, event.verdict, event.reason);
        }
        text += &format!(
            "\n{:.1} s from the first request to the last reply; the service used {:.1} s of CPU; {} calls repeated\n",
            self.wall_s, self.cpu_s, self.repeated
        );
        text
    }
}

fn phases(answers: &[Answer]) -> Vec<Phase> {
    let stretches: [(&'static str, Timestamp, Timestamp); 6] = [
        ("as the first versions learned it", START, CONCEPT_CHANGE),
        ("after the change, to the first wrong labels", CONCEPT_CHANGE, FLIPPED[0].from),
        ("to the second wrong labels", FLIPPED[0].from, FLIPPED[1].from),
        ("while labels are wrong again", FLIPPED[1].from, FLIPPED[1].to),
        ("from then on", FLIPPED[1].to, CONCEPT_RETURN),
        ("after the old ways returned", CONCEPT_RETURN, Timestamp::from_micros(i64::MAX)),
    ];
    stretches.map(|(name, from, to)| phase(name, answers, from, to)).into()
}

fn phase(name: &'static str, answers: &[Answer], from: Timestamp, to: Timestamp) -> Phase {
    let within = |answer: &&Answer| from <= answer.at && answer.at < to && answer.by.is_some();
    let answers: Vec<Answer> = answers.iter().filter(within).cloned().collect();
    let probabilities: Vec<f64> = answers.iter().map(|answer| answer.probability).collect();
    let labels: Vec<f64> = answers.iter().map(|answer| f64::from(u8::from(answer.fraud))).collect();
    Phase {
        name,
        payments: answers.len(),
        fraud_rate: labels.iter().sum::<f64>() / answers.len().max(1) as f64,
        auc: area(&answers),
        log_loss: log_loss(&probabilities, &labels),
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::TimeSpan;

    use super::*;

    #[test]
    fn a_phase_has_the_answers_of_models_in_its_time() {
        let answer = |hours: i64, by: Option<(String, u64)>| Answer {
            at: START + TimeSpan::from_hours(hours),
            user: format!("u{hours}"),
            probability: if hours == 3 { 0.75 } else { 0.25 },
            fraud: hours == 3,
            by,
        };
        let by = || Some(("fraud-sgd".to_owned(), 1));
        let answers = [answer(1, None), answer(2, by()), answer(3, by()), answer(12 * 24, by())];
        let phases = phases(&answers);
        assert_eq!(phases.iter().map(|phase| phase.payments).collect::<Vec<_>>(), [2, 1, 0, 0, 0, 0]);
        assert_eq!(phases[0].auc, Some(1.0));
        assert_eq!(phases[0].fraud_rate, 0.5);
        assert!((phases[0].log_loss.unwrap() + 0.75_f64.ln()).abs() < 1e-12);
    }
}
