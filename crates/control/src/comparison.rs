//! Two versions of a model held against each other, by what both would have answered or by what each answered.

use perennial_evaluate::{LEAST_PAIRS, LabelledPrediction, Pairs};
use perennial_stats::paired::NotWorse;
use perennial_types::{Rounded, TimeSpan, Timestamp};
use serde::{Deserialize, Serialize};

use crate::compiled::Compiled;
use crate::served::Served;
use crate::terms::{Terms, Worth};

/// The losses of a candidate and of the version it is held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    candidate: u64,
    reference: u64,
    /// By what the candidate may be better.
    worth: Losses,
    /// By the metric that it must not be worse in.
    metric: Losses,
}

/// Losses on the same requests, or each on its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Losses {
    Paired(Pairs),
    Served(Served),
}

/// What the matured losses say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Pairs; where only served answers are compared, answers of the version that has fewer.
    pub rows: u64,
    /// That the candidate's expected loss is the lower one; nothing below 24 rows.
    pub probability_better: Option<f64>,
    /// Mean loss of the candidate in the metric; nothing without rows.
    pub mean_candidate: Option<f64>,
    /// Mean loss of the version it is held against; nothing without rows.
    pub mean_reference: Option<f64>,
}

/// Whether a candidate is proven worse.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Proof {
    Worse(String),
    NotWorse(String),
    /// Too little is known to say either.
    Unknown(String),
}

impl Comparison {
    pub(crate) fn new(candidate: u64, reference: u64, terms: &Terms) -> Self {
        let losses = || match terms.compares_scores() {
            true => Losses::Paired(Pairs::default()),
            false => Losses::Served(Served::default()),
        };
        Self { candidate, reference, worth: losses(), metric: losses() }
    }

    /// The version that the candidate is held against.
    pub(crate) fn reference(&self) -> u64 {
        self.reference
    }

    /// Take a labelled request of the model's endpoint.
    pub(crate) fn labelled(&mut self, row: &LabelledPrediction, model: &str, seen: Seen<'_>) {
        let matured_at = row.prediction.at + seen.matures_after;
        let loss = |worth: &Worth, prediction| seen.compiled.loss(worth, prediction, row.label);
        let metric = Worth::Loss(seen.terms.metric);
        for (losses, worth) in [(&mut self.worth, &seen.terms.worth), (&mut self.metric, &metric)] {
            match losses {
                Losses::Paired(pairs) => {
                    let (candidate, reference) =
                        (score(row, model, self.candidate), score(row, model, self.reference));
                    if let (Some(candidate), Some(reference)) = (candidate, reference) {
                        let position = row.prediction.position;
                        pairs.labelled(matured_at, position, loss(worth, candidate), loss(worth, reference));
                    }
                }
                Losses::Served(served) => {
                    let Some(earner) = row.prediction.earner().filter(|earner| &*earner.model == model)
                    else {
                        continue;
                    };
                    let candidate = earner.number == self.candidate;
                    if candidate || earner.number == self.reference {
                        let key = (matured_at, row.prediction.position);
                        served.labelled(key, candidate, loss(worth, row.prediction.value));
                    }
                }
            }
        }
    }

    /// Fold what has matured; it changes no evidence.
    pub(crate) fn mature(&mut self, now: Timestamp) {
        for losses in [&mut self.worth, &mut self.metric] {
            match losses {
                Losses::Paired(pairs) => pairs.mature(now),
                Losses::Served(served) => served.mature(now),
            }
        }
    }

    /// From now on count only what has not matured yet.
    pub(crate) fn begin_anew(&mut self, now: Timestamp) {
        self.mature(now);
        for losses in [&mut self.worth, &mut self.metric] {
            match losses {
                Losses::Paired(pairs) => pairs.forget_matured(),
                Losses::Served(served) => served.forget_matured(),
            }
        }
    }

    /// What has matured at `now` says.
    pub(crate) fn compared(&self, now: Timestamp) -> Compared {
        let (rows, probability_better) = match &self.worth {
            Losses::Paired(pairs) => {
                let evidence = pairs.evidence(now);
                (evidence.rows, evidence.probability_better)
            }
            Losses::Served(served) => {
                let (candidate, reference) = served.moments(now);
                let rows = candidate.n.min(reference.n);
                let better = Served::probability_better(&candidate, &reference, 0.0);
                (rows, better.filter(|_| rows >= LEAST_PAIRS))
            }
        };
        let (mean_candidate, mean_reference) = match &self.metric {
            Losses::Paired(pairs) => {
                let evidence = pairs.evidence(now);
                (evidence.mean_candidate, evidence.mean_reference)
            }
            Losses::Served(served) => {
                let (candidate, reference) = served.moments(now);
                let mean = |moments: &perennial_stats::Moments| (moments.n > 0).then_some(moments.mean);
                (mean(&candidate), mean(&reference))
            }
        };
        Compared { rows, probability_better, mean_candidate, mean_reference }
    }

    /// The gate's test on what has matured at `now`.
    pub(crate) fn proof(&self, now: Timestamp, terms: &Terms) -> Proof {
        let compared = self.compared(now);
        if compared.rows < LEAST_PAIRS {
            return Proof::Unknown(format!("{} rows were compared, fewer than {LEAST_PAIRS}", compared.rows));
        }
        let figures = compared.sentence(terms.metric);
        let margin = terms.metric.loss_margin(terms.margin);
        let worse = match &self.metric {
            Losses::Paired(pairs) => {
                let test = NotWorse { margin, confidence: terms.confidence };
                match pairs.evidence(now).not_worse(test) {
                    Ok(evidence) => evidence.proven_worse,
                    Err(error) => return Proof::Unknown(format!("{figures}: {error}")),
                }
            }
            Losses::Served(served) => {
                let (candidate, reference) = served.moments(now);
                match Served::probability_better(&candidate, &reference, margin) {
                    Some(better) => 1.0 - better > terms.confidence,
                    None => return Proof::Unknown(format!("{figures}: the losses cannot be compared")),
                }
            }
        };
        let (margin, confidence) = (Rounded(100.0 * terms.margin), Rounded(100.0 * terms.confidence));
        match worse {
            true => {
                Proof::Worse(format!("{figures}: worse by more than {margin} % at {confidence} % confidence"))
            }
            false => Proof::NotWorse(format!(
                "{figures}: not proven worse by more than {margin} % at {confidence} % confidence"
            )),
        }
    }
}

/// What a comparison needs to know of a labelled request beside the request.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) matures_after: TimeSpan,
    pub(crate) compiled: &'a Compiled,
}

impl Compared {
    /// `mean_candidate / mean_reference − 1`, so that more is worse; nothing where the reference has no loss.
    pub fn relative_change(&self) -> Option<f64> {
        let (candidate, reference) = (self.mean_candidate?, self.mean_reference?);
        Some(candidate / reference - 1.0).filter(|change| change.is_finite())
    }

    /// "mae 40.10 against 42.00 over 24 rows".
    pub(crate) fn sentence(&self, metric: perennial_evaluate::Metric) -> String {
        let figure = |mean: Option<f64>| mean.map_or("nothing".to_owned(), |mean| Rounded(mean).to_string());
        let (candidate, reference) = (figure(self.mean_candidate), figure(self.mean_reference));
        let better =
            self.probability_better.map(|better| format!(", better with probability {}", Rounded(better)));
        let rows = self.rows;
        format!(
            "mean loss by {} {candidate} against {reference} over {rows} rows{}",
            metric.name(),
            better.unwrap_or_default()
        )
    }
}

/// What the version of a model says of a request.
pub(crate) fn score(row: &LabelledPrediction, model: &str, number: u64) -> Option<f64> {
    let scores = row.prediction.exposure.scores.iter();
    let of_version = |by: &perennial_evaluate::Scorer| by.number == number && &*by.model == model;
    scores.filter(|score| of_version(&score.by)).map(|score| score.value).next()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use perennial_evaluate::{Metric, Outcome};
    use perennial_types::Position;

    use super::*;

    fn terms(outcome: Outcome, confidence: f64) -> Terms {
        Terms {
            policy: Arc::from("keep"),
            stages: Vec::new(),
            rollback: None,
            worth: Worth::Loss(Metric::Mae),
            metric: Metric::Mae,
            margin: 0.05,
            confidence,
            outcome,
        }
    }

    /// A candidate that is three times as far off as the version it is held against.
    fn worse(terms: &Terms) -> Comparison {
        let mut comparison = Comparison::new(2, 1, terms);
        for i in 0..100 {
            let (at, position) = (Timestamp::from_micros(i), Position(i as u64));
            for losses in [&mut comparison.worth, &mut comparison.metric] {
                match losses {
                    Losses::Paired(pairs) => pairs.labelled(at, position, 3.0 + (i % 2) as f64, 1.0),
                    Losses::Served(served) => {
                        served.labelled((at, position), i % 2 == 0, if i % 2 == 0 { 3.0 } else { 1.0 });
                    }
                }
            }
        }
        comparison
    }

    #[test]
    fn a_test_that_cannot_be_made_is_no_proof_of_not_being_worse() {
        let now = Timestamp::from_micros(1_000);
        for outcome in [Outcome::IndependentOfPrediction, Outcome::DependsOnPrediction] {
            let sound = terms(outcome, 0.9);
            let comparison = worse(&sound);
            assert!(matches!(comparison.proof(now, &sound), Proof::Worse(_)));
        }
        let broken = terms(Outcome::IndependentOfPrediction, 1.5);
        let Proof::Unknown(why) = worse(&broken).proof(now, &broken) else { panic!("it cannot be known") };
        assert!(why.contains("confidence"), "{why}");
        let broken = Terms { margin: f64::NAN, ..terms(Outcome::DependsOnPrediction, 0.9) };
        let Proof::Unknown(why) = worse(&broken).proof(now, &broken) else { panic!("it cannot be known") };
        assert!(why.contains("the losses cannot be compared"), "{why}");
    }
}
