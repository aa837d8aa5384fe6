//! The play: seven weeks of an endpoint's life, seen from outside.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use perennial_learn::metrics::roc_auc;
use perennial_remote::{Client, Feedback};
use perennial_types::{TimeSpan, Timestamp};
use player::{Line, Options};

use crate::data::{ENDPOINT, Payment, payments, project};

/// How long the play goes on after the last payment: until every label is told and has matured.
const AFTERMATH: TimeSpan = TimeSpan::from_days(4);
/// Answers over which progress shows the area under the curve.
const RECENT: usize = 1_000;

/// How far a play is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Payments asked for.
    pub done: usize,
    /// Payments in all.
    pub of: usize,
    /// When the last of them was made.
    pub at: Timestamp,
    /// Area under the ROC curve of the last thousand answers.
    pub auc: Option<f64>,
}

/// What was answered for a payment.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// When the payment was made.
    pub at: Timestamp,
    /// Who paid: the unit of the experiment.
    pub user: String,
    /// The probability of a fraud.
    pub probability: f64,
    /// The truth, whatever was told.
    pub fraud: bool,
    /// The model and the number of its version; nothing for the endpoint's default.
    pub by: Option<(String, u64)>,
}

/// What a play saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Every answer in the order of the payments.
    pub answers: Vec<Answer>,
    /// From the first request to the last reply.
    pub wall: Duration,
    /// Calls that were repeated because the service was away.
    pub repeated: u64,
}

/// What the client does next; of one instant in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Ask for the payment of this index.
    Ask(usize),
    /// Send its event, which arrives now.
    Send(usize),
    /// Tell the labels of these payments, in the order of [`by_label`].
    Settle(usize, usize),
}

/// Apply the project and live through the payments: a question when one is made, its event when it arrives, its
/// label with the settlement file of the hour. One call after another, each with an id.
///
/// # Errors
/// When the service refuses a call, answers against the contract, or stays away longer than `patience`.
pub async fn play(
    client: &Client,
    options: &Options,
    mut on_progress: impl FnMut(Progress),
) -> Result<Figures> {
    let payments = payments()?;
    let labelled = by_label(&payments);
    let mut line = Line::new(client, options);
    let mut answers: Vec<Answer> = Vec::with_capacity(payments.len());
    let started = Instant::now();
    let first = payments.first().context("there are no payments")?.at;
    line.apply(&project(), Some(first)).await?;
    for (at, step) in steps(&payments, &labelled) {
        match step {
            Step::Ask(index) => {
                answers.push(ask(&mut line, &payments[index]).await?);
                let recent = &answers[answers.len().saturating_sub(RECENT)..];
                on_progress(Progress { done: index + 1, of: payments.len(), at, auc: area(recent) });
            }
            Step::Send(index) => line.send("payments", &[payments[index].event()], at).await?,
            Step::Settle(from, to) => {
                let told = |index: &usize| Feedback {
                    prediction_id: payments[*index].prediction_id(),
                    value: payments[*index].told_label(),
                };
                let labels: Vec<Feedback> = labelled[from..to].iter().map(told).collect();
                line.label(&labels, at).await?;
            }
        }
    }
    Ok(Figures { answers, wall: started.elapsed(), repeated: line.repeated() })
}

async fn ask(line: &mut Line<'_>, payment: &Payment) -> Result<Answer> {
    let answer = line.ask(ENDPOINT, &payment.prediction_id(), &payment.request(), payment.at).await?;
    Ok(Answer {
        at: payment.at,
        user: payment.user.clone(),
        probability: answer.prediction,
        fraud: payment.fraud,
        by: answer.model.zip(answer.version),
    })
}

/// The area under the ROC curve of answers that a model gave.
pub(crate) fn area(answers: &[Answer]) -> Option<f64> {
    let answered = answers.iter().filter(|answer| answer.by.is_some());
    let (probabilities, labels): (Vec<f64>, Vec<f64>) =
        answered.map(|answer| (answer.probability, f64::from(u8::from(answer.fraud)))).unzip();
    roc_auc(&probabilities, &labels)
}

/// The payments in the order in which their labels are told.
fn by_label(payments: &[Payment]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..payments.len()).collect();
    order.sort_by_key(|index| (payments[*index].told_at(), payments[*index].known_at));
    order
}

/// Everything that the client does, in order of time.
fn steps(payments: &[Payment], labelled: &[usize]) -> Vec<(Timestamp, Step)> {
    let mut steps = Vec::new();
    for (index, payment) in payments.iter().enumerate() {
        steps.push((payment.at, Step::Ask(index)));
        steps.extend(payment.arrivals.iter().map(|at| (*at, Step::Send(index))));
    }
    let mut from = 0;
    for file in labelled.chunk_by(|a, b| payments[*a].told_at() == payments[*b].told_at()) {
        let to = from + file.len();
        steps.push((payments[file[0]].told_at(), Step::Settle(from, to)));
        from = to;
    }
    // A file without labels: time goes on until the last labels have matured and been judged.
    if let Some(last) = payments.last() {
        steps.push((last.at + AFTERMATH, Step::Settle(from, from)));
    }
    steps.sort_unstable();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_payment_is_asked_for_before_it_arrives_and_its_label_is_told_once() {
        let payments = payments().unwrap();
        let labelled = by_label(&payments);
        let steps = steps(&payments, &labelled);
        let mut asked = 0;
        let mut told = vec![0; payments.len()];
        for (at, step) in &steps {
            match step {
                Step::Ask(index) => {
                    assert_eq!((*index, *at), (asked, payments[asked].at));
                    asked += 1;
                }
                Step::Send(index) => assert!(*index < asked && payments[*index].arrivals.contains(at)),
                Step::Settle(from, to) => {
                    for index in &labelled[*from..*to] {
                        assert!(*index < asked && payments[*index].told_at() == *at);
                        told[*index] += 1;
                    }
                }
            }
        }
        assert!(steps.is_sorted_by_key(|(at, _)| at));
        assert_eq!(asked, payments.len());
        assert!(told.iter().all(|count| *count == 1));
    }
}
