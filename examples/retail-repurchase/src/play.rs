//! The play: a year of an endpoint's life, seen from outside.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use perennial_remote::{Client, Feedback};
use perennial_types::{TimeSpan, Timestamp};
use player::{Asked, Options, Sent};
use serde_json::Value as Json;

use crate::data::{ENDPOINT, Purchase, Shop, project};

/// How far a play is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Purchases asked for.
    pub done: usize,
    /// Purchases in all.
    pub of: usize,
    /// When the last of them was made.
    pub at: Timestamp,
    /// The number of the version that answered last; nothing for the endpoint's default.
    pub version: Option<u64>,
}

/// What was answered for a purchase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The probability that the customer is back within a week.
    pub probability: f64,
    /// The number of the version; nothing for the endpoint's default.
    pub version: Option<u64>,
}

/// What a play saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Every answer in the order of the purchases.
    pub answers: Vec<Answer>,
    /// From the first request to the last reply.
    pub wall: Duration,
    /// Calls that were repeated because the service was away.
    pub repeated: u64,
}

/// What the client does next; of one instant in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Tell the labels of these purchases, in the order of [`by_label`].
    Label(usize, usize),
    /// Ask for the purchase of this index.
    Ask(usize),
    /// Send these lines, all of one minute.
    Send(usize, usize),
}

/// Apply the project and live through the log: a question at every purchase, the lines of a minute together, the
/// labels of an hour with its end. One call after another, each with an id.
///
/// # Errors
/// When the service refuses a call, answers against the contract, or stays away longer than `patience`.
pub async fn play(
    client: &Client,
    options: &Options,
    shop: &Shop,
    mut on_progress: impl FnMut(Progress),
) -> Result<Figures> {
    let labelled = by_label(&shop.purchases);
    let mut line = player::Line::new(client, options);
    let mut answers: Vec<Answer> = Vec::with_capacity(shop.purchases.len());
    let started = Instant::now();
    let first = shop.lines.first().context("there are no lines")?.at;
    line.apply(&project(), Some(first)).await?;
    for (at, step) in steps(shop, &labelled) {
        match step {
            Step::Label(from, to) => {
                let told = |index: &usize| Feedback {
                    prediction_id: shop.purchases[*index].prediction_id(),
                    value: shop.purchases[*index].label(),
                };
                let labels: Vec<Feedback> = labelled[from..to].iter().map(told).collect();
                line.label(&labels, at).await?;
            }
            Step::Ask(index) => {
                let purchase = &shop.purchases[index];
                let answer = line.ask(ENDPOINT, &purchase.prediction_id(), &purchase.request(), at).await?;
                answers.push(Answer { probability: answer.prediction, version: answer.version });
                let (done, of) = (index + 1, shop.purchases.len());
                on_progress(Progress { done, of, at, version: answer.version });
            }
            Step::Send(from, to) => {
                let events: Vec<Json> = shop.lines[from..to].iter().map(|line| line.event()).collect();
                line.send("lines", &events, at).await?;
            }
        }
    }
    Ok(Figures { answers, wall: started.elapsed(), repeated: line.repeated() })
}

/// The questions and events of a play, for computing without a service what a model was asked.
pub(crate) fn history(shop: &Shop) -> (Vec<Asked>, Vec<Sent>) {
    // A customer is asked about before the lines of the purchase are sent.
    let seen = |at: Timestamp| shop.lines.partition_point(|line| line.at < at);
    let asked =
        |purchase: &Purchase| Asked { at: purchase.at, seen: seen(purchase.at), request: purchase.request() };
    let sent = |line: &crate::data::Line| Sent { at: line.at, source: "lines", event: line.event() };
    (shop.purchases.iter().map(asked).collect(), shop.lines.iter().map(sent).collect())
}

/// When a label is told: with the end of the hour in which it is known.
pub(crate) fn told_at(purchase: &Purchase) -> Timestamp {
    let hour = TimeSpan::from_hours(1);
    let begun = purchase.known_at().floor(hour);
    if begun == purchase.known_at() { begun } else { begun + hour }
}

/// The purchases whose label is known within the log, in the order in which it is told.
pub(crate) fn by_label(purchases: &[Purchase]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..purchases.len()).filter(|index| purchases[*index].labelled).collect();
    order.sort_by_key(|index| told_at(&purchases[*index]));
    order
}

/// Everything that the client does, in order of time.
fn steps(shop: &Shop, labelled: &[usize]) -> Vec<(Timestamp, Step)> {
    let purchases = shop.purchases.iter().enumerate();
    let mut steps: Vec<_> = purchases.map(|(index, purchase)| (purchase.at, Step::Ask(index))).collect();
    let mut from = 0;
    for minute in shop.lines.chunk_by(|a, b| a.at == b.at) {
        let to = from + minute.len();
        steps.push((minute[0].at, Step::Send(from, to)));
        from = to;
    }
    from = 0;
    let hour = |index: &usize| told_at(&shop.purchases[*index]);
    for labels in labelled.chunk_by(|a, b| hour(a) == hour(b)) {
        let to = from + labels.len();
        steps.push((hour(&labels[0]), Step::Label(from, to)));
        from = to;
    }
    steps.sort_unstable();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_sent_once_and_every_label_told_after_its_question() {
        let shop = Shop::read().unwrap();
        let labelled = by_label(&shop.purchases);
        let steps = steps(&shop, &labelled);
        assert!(steps.is_sorted_by_key(|(at, _)| at));
        let (mut asked, mut sent, mut told) = (0, 0, 0);
        for (at, step) in steps {
            match step {
                Step::Ask(index) => {
                    assert_eq!((index, at), (asked, shop.purchases[asked].at));
                    asked += 1;
                }
                Step::Send(from, to) => {
                    assert_eq!(from, sent);
                    assert!(shop.lines[from..to].iter().all(|line| line.at == at));
                    sent = to;
                }
                Step::Label(from, to) => {
                    assert_eq!(from, told);
                    assert!(labelled[from..to].iter().all(|index| *index < asked));
                    told = to;
                }
            }
        }
        assert_eq!((asked, sent, told), (18_536, 406_829, 17_926));
    }
}
