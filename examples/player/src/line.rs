//! The line to the service: one call after another, repeated while the service is away.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perennial_remote::{Client, Feedback, FeedbackStatus, Prediction, ProjectFile, RemoteError};
use perennial_types::{Kind, Timestamp};
use serde_json::{Map, Value as Json};

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

/// The line to the service. Everything that goes over it has an id, so that a call that got no answer is
/// repeated without effect on the outcome.
#[derive(Debug)]
pub struct Line<'a> {
    client: &'a Client,
    options: &'a Options,
    repeated: u64,
}

impl<'a> Line<'a> {
    /// A line over which nothing has gone yet.
    pub fn new(client: &'a Client, options: &'a Options) -> Self {
        Self { client, options, repeated: 0 }
    }

    /// Calls that were repeated because the service was away.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Make the declarations in `files` the goal of the service.
    ///
    /// # Errors
    /// When they are refused.
    pub async fn apply(&mut self, files: &[ProjectFile], at: Option<Timestamp>) -> Result<()> {
        let client = self.client;
        self.until_answered(|| client.apply(files, at)).await.context("applying the project")?;
        Ok(())
    }

    /// Ask an endpoint at an instant, by an id that feedback will name.
    ///
    /// # Errors
    /// When the question is refused, or another one is answered.
    pub async fn ask(
        &mut self,
        endpoint: &str,
        id: &str,
        request: &Map<String, Json>,
        at: Timestamp,
    ) -> Result<Prediction> {
        let client = self.client;
        let answer = self.until_answered(|| client.predict(endpoint, Some(id), request, Some(at))).await;
        let answer = answer.with_context(|| format!("asking {endpoint} for {id} at {at}"))?;
        ensure!(answer.id == id, "asked as {id:?}, answered as {:?}", answer.id);
        Ok(answer)
    }

    /// Tell labels at the instant at which they are known.
    ///
    /// # Errors
    /// When one of them is not taken as that of an answered prediction.
    pub async fn label(&mut self, labels: &[Feedback], at: Timestamp) -> Result<()> {
        let client = self.client;
        let results = self.until_answered(|| client.feedback(labels, Some(at))).await;
        let results = results.with_context(|| format!("telling labels at {at}"))?;
        ensure!(results.len() == labels.len(), "{} labels have {} results", labels.len(), results.len());
        for result in results {
            ensure!(
                matches!(result.status, FeedbackStatus::Accepted | FeedbackStatus::Duplicate),
                "the label of {:?} is {:?}, though it was answered",
                result.prediction_id,
                result.status
            );
        }
        Ok(())
    }

    /// Send events to a source at the instant of their arrival.
    ///
    /// # Errors
    /// When one of them is refused.
    pub async fn send(&mut self, source: &str, events: &[Json], at: Timestamp) -> Result<()> {
        let client = self.client;
        let receipt = self.until_answered(|| client.events(source, events, Some(at))).await;
        let receipt = receipt.with_context(|| format!("sending events to {source} at {at}"))?;
        ensure!(
            receipt.accepted + receipt.duplicates == events.len() as u64 && receipt.refused.is_empty(),
            "the {} events of {at} were not all taken: {receipt:?}",
            events.len()
        );
        Ok(())
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

    #[tokio::test]
    async fn a_service_that_stays_away_ends_the_play_after_its_patience() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = Client::new(&format!("http://{free}")).unwrap();
        let options = Options { patience: Duration::from_millis(25) };
        let mut line = Line::new(&client, &options);
        let error = line.apply(&[], None).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.starts_with("applying the project: PUT ") && error.contains("no answer"), "{error}");
        assert!(line.repeated() > 0);
    }
}
