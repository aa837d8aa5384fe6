//! What the service tells afterwards: what happened to each model, in order.

use anyhow::{Context, Result};
use perennial_remote::Client;
use perennial_types::Timestamp;

/// What happened, as the service recorded it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// To which model.
    pub model: String,
    /// `started`, `admitted`, `refused`, `promoted`, `rolled_back` and others.
    pub verdict: String,
    /// The trigger that asked for it; nothing if none did.
    pub trigger: Option<String>,
    /// Why, in a sentence with numbers.
    pub reason: String,
}

/// Everything that changed something, in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The events of all models.
    pub events: Vec<Event>,
}

impl Told {
    /// Ask the service about some models.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn read(client: &Client, models: &[&str]) -> Result<Self> {
        let mut events = Vec::new();
        for model in models {
            let decisions =
                client.decisions(Some(model), None, None).await.context("reading the decisions")?;
            let changed = decisions.into_iter().filter(|decision| decision.verdict != "held");
            events.extend(changed.map(|decision| Event {
                at: decision.at,
                model: decision.model.unwrap_or_else(|| (*model).to_owned()),
                verdict: decision.verdict,
                trigger: decision.trigger,
                reason: decision.reason,
            }));
        }
        events.sort_by(|a, b| (a.at, &a.model).cmp(&(b.at, &b.model)));
        Ok(Self { events })
    }

    /// Those of one verdict.
    pub fn of<'a>(&'a self, verdict: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| event.verdict == verdict)
    }
}
