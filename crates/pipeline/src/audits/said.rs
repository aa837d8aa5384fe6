//! What is said about the rows of a source beside the rows themselves: how many were duplicates, how many were sent.

use std::sync::Arc;

use perennial_log::{Appended, Durability, Order, Ticket};
use perennial_types::{SourceSpec, Timestamp};

use super::STRETCH;
use crate::pipeline::source_of;
use crate::progress::{ProgressRecord, SentRows};
use crate::{Pipeline, PipelineError};

impl Pipeline {
    /// Write down how many rows of a source were events already, by the stretches of their event times.
    ///
    /// # Errors
    /// When nothing can be queued.
    pub(crate) fn note_duplicates(
        &self,
        source: &Arc<str>,
        duplicates: Vec<(Timestamp, u64)>,
        at: Timestamp,
    ) -> Result<Ticket<Vec<Appended>>, PipelineError> {
        self.say(source, &ProgressRecord { duplicates, ..ProgressRecord::default() }, at)
    }

    /// Keep what a producer says it has sent to a source: rows by the starts of stretches of ten minutes of event
    /// time. What it says of a stretch replaces what it said of it before. Resolves when that is safe.
    ///
    /// # Errors
    /// When there is no such source, an instant is no start of a stretch, or nothing can be written.
    pub async fn sent(
        &self,
        source: &str,
        producer: &str,
        counts: Vec<(Timestamp, u64)>,
        at: Timestamp,
    ) -> Result<(), PipelineError> {
        let declared = self.declared();
        let spec: &SourceSpec = source_of(&declared, source)?;
        if let Some((start, _)) = counts.iter().find(|(start, _)| start.floor(STRETCH) != *start) {
            let message = format!(
                "{start} is no start of ten minutes; the rows of {} on belong there",
                start.floor(STRETCH)
            );
            return Err(PipelineError::Invalid(message));
        }
        let sent = vec![SentRows { producer: producer.into(), counts }];
        self.say(&spec.name, &ProgressRecord { sent, ..ProgressRecord::default() }, at)?.await?;
        Ok(())
    }

    fn say(
        &self,
        source: &Arc<str>,
        said: &ProgressRecord,
        at: Timestamp,
    ) -> Result<Ticket<Vec<Appended>>, PipelineError> {
        self.append(vec![said.entry(source, at)?], Durability::Synced, Order::Clamp)
    }
}
