//! The play: two years of an endpoint's life, seen from outside.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perennial_remote::{Client, Feedback, FeedbackStatus, RemoteError};
use perennial_types::{Kind, Timestamp};

use crate::data::{FIRST_ROWS, Hour, hours, project};

/// How a play is carried out.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long one call is repeated while the service is away, before the play fails.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { patience: Duration::from_secs(60) }
    }
}

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
    let mut line = Line { client, options, repeated: 0 };
    let mut score = Score::default();
    let started = Instant::now();
    let first = hours.first().map(|hour| hour.at);
    let files = project();
    line.until_answered(|| client.apply(&files, first)).await.context("applying the project")?;
    for step in steps(&hours) {
        match step {
            Step::Truth(index) => line.tell(&hours[index]).await?,
            Step::Ask(index) => {
                let hour = &hours[index];
                let version = line.ask(hour, &mut score).await?;
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
        repeated: line.repeated,
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

/// The line to the service, and how patient it is.
struct Line<'a> {
    client: &'a Client,
    options: &'a Options,
    repeated: u64,
}

impl Line<'_> {
    /// The truth of an hour, at the instant at which it is known: as feedback, then as an event.
    async fn tell(&mut self, hour: &Hour) -> Result<()> {
        let (client, at) = (self.client, Some(hour.due()));
        let feedback = [Feedback { prediction_id: hour.prediction_id(), value: hour.cnt as f64 }];
        let context = || format!("telling the truth of {}", hour.at);
        let results = self.until_answered(|| client.feedback(&feedback, at)).await.with_context(context)?;
        let status = results.first().map(|result| result.status);
        ensure!(
            matches!(status, Some(FeedbackStatus::Accepted | FeedbackStatus::Duplicate)),
            "the feedback of {} is {status:?}, though its prediction was answered",
            hour.at
        );
        let event = [hour.event()];
        let receipt =
            self.until_answered(|| client.events("demand", &event, at)).await.with_context(context)?;
        ensure!(
            receipt.accepted + receipt.duplicates == 1 && receipt.refused.is_empty(),
            "the event of {} was not taken: {receipt:?}",
            hour.at
        );
        Ok(())
    }

    /// Ask for an hour; the number of the version that answered.
    async fn ask(&mut self, hour: &Hour, score: &mut Score) -> Result<Option<u64>> {
        let (client, id, request) = (self.client, hour.prediction_id(), hour.request());
        let answer = self.until_answered(|| client.predict("bike", Some(&id), &request, Some(hour.at))).await;
        let answer = answer.with_context(|| format!("asking for {}", hour.at))?;
        ensure!(answer.id == id, "asked as {id:?}, answered as {:?}", answer.id);
        score.add(answer.prediction, hour.cnt as f64, answer.fallback.is_some());
        Ok(answer.version)
    }

    /// Repeat a call while the service is away, with pauses from 10 ms to 500 ms.
    async fn until_answered<T, F>(&mut self, call: impl Fn() -> F) -> Result<T, RemoteError>
    where
        F: Future<Output = Result<T, RemoteError>>,
    {
        let mut away_since = None;
        let mut pause = Duration::from_millis(10);
        loop {
            let error = match call().await {
                Err(error) if error.kind() == Kind::Unavailable => error,
                outcome => return outcome,
            };
            if away_since.get_or_insert_with(Instant::now).elapsed() > self.options.patience {
                return Err(error);
            }
            self.repeated += 1;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }
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

    #[tokio::test]
    async fn a_service_that_stays_away_ends_the_play_after_its_patience() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = Client::new(&format!("http://{free}")).unwrap();
        let options = Options { patience: Duration::from_millis(25) };
        let mut asked = 0;
        let error = play(&client, &options, |_| asked += 1).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.starts_with("applying the project: PUT ") && error.contains("no answer"), "{error}");
        assert_eq!(asked, 0);
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
