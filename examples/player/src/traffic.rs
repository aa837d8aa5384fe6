//! What the service tells afterwards of how traffic was moved: shares, experiments, rollouts, reports.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use perennial_remote::{Choices, Client, Experiment, ReportEntry, Rollout, Routing};
use perennial_types::Timestamp;
use serde::Serialize;

/// How an endpoint's traffic was moved, everything oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Every split over versions.
    pub routings: Vec<Routing>,
    /// How often versions were drawn.
    pub choices: Choices,
    /// Candidates on their way.
    pub rollouts: Vec<Rollout>,
    /// Experiments that began.
    pub experiments: Vec<Experiment>,
    /// Reports that were written.
    pub reports: Vec<ReportEntry>,
}

/// The models' shares of an endpoint's requests from an instant on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shares {
    /// From when on.
    pub at: Timestamp,
    /// By model, from 0 to 1.
    pub shares: BTreeMap<String, f64>,
}

impl Traffic {
    /// Ask the service about an endpoint.
    ///
    /// # Errors
    /// When it does not answer, or there is no such endpoint.
    pub async fn read(client: &Client, endpoint: &str) -> Result<Self> {
        let mut routings = client.traffic(endpoint).await.context("reading the traffic")?;
        let choices = client.choices(endpoint).await.context("reading the choices")?;
        let mut rollouts = client.rollouts(None).await.context("reading the rollouts")?;
        let mut experiments = client.experiments().await.context("reading the experiments")?;
        let mut reports = client.reports(Some(endpoint)).await.context("reading the reports")?;
        routings.reverse();
        rollouts.reverse();
        experiments.reverse();
        reports.reverse();
        Ok(Self { routings, choices, rollouts, experiments, reports })
    }

    /// The endpoint's champion; nothing before the first version.
    pub fn champion(&self) -> Option<&str> {
        self.routings.last().map(|routing| routing.champion.as_str())
    }

    /// The models' shares, each time they changed.
    pub fn shares(&self) -> Vec<Shares> {
        let mut steps: Vec<Shares> = Vec::new();
        for routing in &self.routings {
            let shares = by_model(routing);
            if steps.last().is_none_or(|last| last.shares != shares) {
                steps.push(Shares { at: routing.at, shares });
            }
        }
        steps
    }

    /// The models' shares in the last epoch of an experiment that is over: those in force until it ended.
    pub fn last_epoch_of(&self, experiment: &Experiment) -> Option<Shares> {
        let ended = experiment.ended?;
        let within = |routing: &&Routing| {
            routing.at < ended && routing.experiment.as_deref() == Some(experiment.name.as_str())
        };
        let last = self.routings.iter().rfind(within)?;
        Some(Shares { at: last.at, shares: by_model(last) })
    }

    /// How many rollouts ended in each way, and how many go on.
    pub fn outcomes(&self) -> BTreeMap<String, u64> {
        let mut outcomes = BTreeMap::new();
        for rollout in &self.rollouts {
            let outcome = rollout.outcome.as_deref().unwrap_or("still going on");
            *outcomes.entry(outcome.to_owned()).or_default() += 1;
        }
        outcomes
    }
}

fn by_model(routing: &Routing) -> BTreeMap<String, f64> {
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    for arm in routing.arms.iter().filter(|arm| arm.role != "shadow") {
        *shares.entry(arm.model.clone()).or_default() += arm.probability;
    }
    // Parts of a share add up to it but for the last bits.
    shares.values_mut().for_each(|share| *share = (*share * 1e12).round() / 1e12);
    shares
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(hour: i64) -> String {
        Timestamp::from_micros(hour * 3_600_000_000).to_string()
    }

    fn routing(hour: i64, experiment: Option<&str>, arms: &[(&str, u64, &str, f64)]) -> Routing {
        let arm = |(model, number, role, probability): &(&str, u64, &str, f64)| json!({"version": format!("{model}/{number}"), "model": model, "role": role, "probability": probability});
        let arms: Vec<_> = arms.iter().map(arm).collect();
        let json = json!({
            "at": at(hour), "experiment": experiment, "champion": "a", "cause": "epoch", "reason": "", "arms": arms,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn shares_are_those_of_models_and_change_only_when_a_model_s_does() {
        let routings = vec![
            routing(1, Some("x"), &[("a", 1, "current", 0.5), ("b", 1, "current", 0.5)]),
            routing(
                2,
                Some("x"),
                &[("a", 1, "current", 0.4), ("a", 2, "candidate", 0.1), ("b", 1, "current", 0.5)],
            ),
            routing(
                3,
                Some("x"),
                &[("a", 2, "current", 0.9), ("b", 1, "current", 0.1), ("a", 1, "shadow", 0.0)],
            ),
            routing(4, None, &[("a", 2, "current", 1.0)]),
        ];
        let json = json!({
            "name": "x", "endpoint": "e", "began": at(1), "ended": at(4), "champion": "a", "reason": "",
        });
        let experiment: Experiment = serde_json::from_value(json).unwrap();
        let choices = Choices { rows: 0, p_value: None, arms: Vec::new() };
        let (experiments, rollouts, reports) = (vec![experiment], Vec::new(), Vec::new());
        let traffic = Traffic { routings, choices, rollouts, experiments, reports };
        let steps: Vec<f64> = traffic.shares().iter().map(|step| step.shares["a"]).collect();
        assert_eq!(steps, [0.5, 0.9, 1.0]);
        assert_eq!(traffic.last_epoch_of(&traffic.experiments[0]).unwrap().shares["b"], 0.1);
        assert_eq!(traffic.champion(), Some("a"));
    }
}
