//! The play: two years of an endpoint's life, seen from outside.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use perennial_remote::{Client, Feedback};
use perennial_types::Timestamp;
use player::{Line, Options};

use crate::data::{FIRST_ROWS, Hour, hours, project};

/// How far a play is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Hours asked for.
    pub done: usize,
    /// Hours in all.
    pub of: usize,
    /// The hour that was asked for last.
    pub at: Timestamp,
    /// Mean absolute error of the answers after the first 1,737 hours; nothing before.
    pub mae: Option<f64>,
    /// The number of the version that answered last; nothing for the endpoint's default.
    pub version: Option<u64>,
}

/// What a play saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Mean absolute error of the answers after the first 1,737 hours.
    pub mae: f64,
    /// Answers after the first 1,737 hours that were the endpoint's default.
    pub defaults: usize,
    /// Every answer in the order of the hours.
    pub answers: Vec<f64>,
    /// From the first request to the last reply.
    pub wall: Duration,
    /// Calls that were repeated because the service was away.
    pub repeated: u64,
}

/// What the client does next, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Tell the truth of the hour of this index, at the instant it is due.
    Truth(usize),
    /// Ask for the hour of this index.
    Ask(usize),
}

/// Apply the project and live through its two years: for each hour first the truth that is due, as feedback
/// and as an event, then the question. One call after another, each with an id, so that a call that got no
/// answer is repeated without effect on the outcome.
///
/// # Errors
/// When the service refuses a call, answers against the contract, or stays away longer than `patience`.
pub async fn play(
    client: &Client,
    options: &Options,
    mut on_progress: impl FnMut(Progress),
) -> Result<Figures> {
    let hours = hours()?;
    let mut line = Line::new(client, options);
    let mut score = Score::default();
    let started = Instant::now();
    let first = hours.first().map(|hour| hour.at);
    line.apply(&project(), first).await?;
    for step in steps(&hours) {
        match step {
            Step::Truth(index) => tell(&mut line, &hours[index]).await?,
            Step::Ask(index) => {
                let hour = &hours[index];
                let version = ask(&mut line, hour, &mut score).await?;
                let done = index + 1;
                on_progress(Progress { done, of: hours.len(), at: hour.at, mae: score.mae(), version });
            }
        }
    }
    Ok(Figures {
        mae: score.mae().context("no hour was scored")?,
        defaults: score.defaults,
        answers: score.answers,
        wall: started.elapsed(),
        repeated: line.repeated(),
    })
}

/// Truths and questions merged by time; what is due at the instant of a question comes before it.
fn steps(hours: &[Hour]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(2 * hours.len());
    let mut told = 0;
    for (asked, hour) in hours.iter().enumerate() {
        while hours[told].due() <= hour.at {
            steps.push(Step::Truth(told));
            told += 1;
        }
        steps.push(Step::Ask(asked));
    }
    steps.extend((told..hours.len()).map(Step::Truth));
    steps
}

/// The answers so far.
#[derive(Debug, Default)]
struct Score {
    answers: Vec<f64>,
    error: f64,
    scored: usize,
    defaults: usize,
}

impl Score {
    fn add(&mut self, answer: f64, truth: f64, default: bool) {
        if self.answers.len() >= FIRST_ROWS {
            self.error += (answer - truth).abs();
            self.scored += 1;
            self.defaults += usize::from(default);
        }
        self.answers.push(answer);
    }

    fn mae(&self) -> Option<f64> {
        (self.scored > 0).then(|| self.error / self.scored as f64)
    }
}

/// The truth of an hour, at the instant at which it is known: as feedback, then as an event.
async fn tell(line: &mut Line<'_>, hour: &Hour) -> Result<()> {
    let feedback = [Feedback { prediction_id: hour.prediction_id(), value: hour.cnt as f64 }];
    line.label(&feedback, hour.due()).await?;
    line.send("demand", &[hour.event()], hour.due()).await
}

/// Ask for an hour; the number of the version that answered.
async fn ask(line: &mut Line<'_>, hour: &Hour, score: &mut Score) -> Result<Option<u64>> {
    let answer = line.ask("bike", &hour.prediction_id(), &hour.request(), hour.at).await?;
    score.add(answer.prediction, hour.cnt as f64, answer.fallback.is_some());
    Ok(answer.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hour_is_asked_for_before_its_truth_and_time_never_goes_back() {
        let hours = hours().unwrap();
        let steps = steps(&hours);
        assert_eq!(steps.len(), 2 * hours.len());
        let mut now = hours[0].at;
        let (mut asked, mut told) = (0, 0);
        for step in steps {
            let at = match step {
                Step::Ask(index) => {
                    assert_eq!(index, asked);
                    asked += 1;
                    hours[index].at
                }
                Step::Truth(index) => {
                    assert_eq!(index, told);
                    assert!(index < asked, "{index}");
                    told += 1;
                    hours[index].due()
                }
            };
            assert!(now <= at, "{at} after {now}");
            now = at;
        }
    }

    #[test]
    fn only_answers_after_the_first_tenth_are_scored() {
        let mut score = Score::default();
        for _ in 0..FIRST_ROWS {
            score.add(1_000.0, 0.0, true);
        }
        assert_eq!((score.mae(), score.defaults), (None, 0));
        score.add(0.0, 8.0, true);
        score.add(5.0, 1.0, false);
        assert_eq!((score.mae(), score.defaults), (Some(6.0), 1));
    }
}
