//! Dead letters that are sent again, once what was wrong is right: usually after the schema has grown.

use std::sync::Arc;

use perennial_log::decode::{DeadLetter, Origin, decode_events};
use perennial_log::formats::MessageDecoder;
use perennial_log::{Appended, Durability, Order};
use perennial_types::{AvailableAt, Entry, Position, SourceSpec, StreamSpec, Timestamp};
use serde::Serialize;

use crate::audits::by_stretch;
use crate::pipeline::source_of;
use crate::progress::ProgressRecord;
use crate::sources::Schemas;
use crate::{Pipeline, PipelineError};

/// Letters that are sent again in one append.
const TOGETHER: usize = 1_000;
/// Letters that stand so near are read in one go.
const NEAR: u64 = 256;

/// A dead letter in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptLetter {
    /// Its position.
    pub position: Position,
    /// When it was refused.
    pub at: Timestamp,
    /// The letter.
    pub letter: DeadLetter,
}

/// What became of dead letters that were sent again.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Redriven {
    /// Letters that are events now.
    pub accepted: u64,
    /// Letters whose events were there already.
    pub duplicates: u64,
    /// Letters that are refused still, by position, with the reason of now.
    pub refused: Vec<(Position, String)>,
}

impl Pipeline {
    /// The dead letters of a source that are no events yet, oldest first, at most `limit` of them. Reads the log.
    ///
    /// # Errors
    /// When there is no such source, or the log cannot be read.
    pub fn dead_letters(&self, source: &str, limit: usize) -> Result<Vec<KeptLetter>, PipelineError> {
        source_of(&self.declared(), source)?;
        let outstanding = self.progress().letters(source).outstanding;
        let positions: Vec<Position> = outstanding.into_iter().take(limit).collect();
        self.letters_at(&positions)
    }

    fn letters_at(&self, positions: &[Position]) -> Result<Vec<KeptLetter>, PipelineError> {
        let mut kept = Vec::new();
        for run in positions.chunk_by(|a, b| b.0 - a.0 <= NEAR) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            for record in self.reader().read(*first, *last)? {
                let record = record?;
                if run.binary_search(&record.position).is_err() {
                    continue;
                }
                let letter = DeadLetter::of_payload(&record.entry.payload)
                    .map_err(|reason| PipelineError::record(record.position, reason))?;
                kept.push(KeptLetter { position: record.position, at: record.entry.event_time, letter });
            }
        }
        Ok(kept)
    }

    /// Send the dead letters of a source again, as the source is declared now; those that fit become events that
    /// arrive at `at`. A letter becomes an event once, however often and whenever this is interrupted.
    ///
    /// # Errors
    /// When there is no such source, its registry does not answer, or the log cannot be read or written; what was
    /// done before stays.
    pub async fn redrive(&self, source: &str, at: Timestamp) -> Result<Redriven, PipelineError> {
        let _turn = self.redriving().lock().await;
        let spec = Arc::new(source_of(&self.declared(), source)?.clone());
        let outstanding: Vec<Position> = self.progress().letters(source).outstanding.into_iter().collect();
        let mut again = Again::new(spec)?;
        for positions in outstanding.chunks(TOGETHER) {
            let (pipeline, wanted) = (self.clone(), positions.to_vec());
            let read = tokio::task::spawn_blocking(move || pipeline.letters_at(&wanted)).await;
            let letters = read.map_err(|error| PipelineError::Stopped(error.to_string()))??;
            let fit = again.decode(letters, at).await?;
            again.append(self, fit, at).await?;
        }
        Ok(again.redriven)
    }
}

/// Letters of one source on their way back.
struct Again {
    source: Arc<SourceSpec>,
    /// For letters that came as messages.
    messages: Option<(MessageDecoder, Schemas)>,
    redriven: Redriven,
}

impl Again {
    fn new(source: Arc<SourceSpec>) -> Result<Self, PipelineError> {
        let messages = match &source.stream {
            StreamSpec::Http {} | StreamSpec::Derived(_) => None,
            StreamSpec::Kafka(stream) => {
                let schemas =
                    Schemas::of(stream).map_err(|error| PipelineError::Invalid(error.to_string()))?;
                Some((MessageDecoder::new(&source, stream), schemas))
            }
        };
        Ok(Self { source, messages, redriven: Redriven::default() })
    }

    /// The letters that fit by now, as events.
    async fn decode(
        &mut self,
        letters: Vec<KeptLetter>,
        at: Timestamp,
    ) -> Result<Vec<(KeptLetter, Entry)>, PipelineError> {
        let mut fit = Vec::new();
        for kept in letters {
            match self.decode_one(&kept.letter, at).await? {
                Ok(entry) => fit.push((kept, entry)),
                Err(reason) => self.redriven.refused.push((kept.position, reason)),
            }
        }
        Ok(fit)
    }

    async fn decode_one(
        &mut self,
        letter: &DeadLetter,
        at: Timestamp,
    ) -> Result<Result<Entry, String>, PipelineError> {
        if !letter.whole {
            return Ok(Err("only the beginning of it was kept".to_owned()));
        }
        match (&letter.from, &mut self.messages) {
            (Origin::Request { .. }, _) => {
                let mut rows = decode_events(&self.source, &letter.original, at);
                let row = rows.pop().filter(|_| rows.is_empty());
                Ok(row.map_or_else(
                    || Err("it is not one row".to_owned()),
                    |row| row.map_err(|letter| letter.reason),
                ))
            }
            (Origin::Message { timestamp, .. }, Some((decoder, schemas))) => {
                let unanswered =
                    |error: perennial_remote::RemoteError| PipelineError::Stopped(error.to_string());
                schemas.teach(decoder, &letter.original).await.map_err(unanswered)?;
                Ok(decoder.decode(&letter.original, *timestamp, at).map_err(|error| error.to_string()))
            }
            (Origin::Message { topic, .. }, None) => {
                Ok(Err(format!("it came from topic {topic:?}, and the source reads no topic any more")))
            }
        }
    }

    /// Append events in one piece with the note that their letters are done.
    async fn append(
        &mut self,
        pipeline: &Pipeline,
        fit: Vec<(KeptLetter, Entry)>,
        at: Timestamp,
    ) -> Result<(), PipelineError> {
        if fit.is_empty() {
            return Ok(());
        }
        let order = match self.source.available_at {
            AvailableAt::Arrival => Order::Clamp,
            AvailableAt::Column(_) => Order::Refuse,
        };
        let (letters, mut entries): (Vec<KeptLetter>, Vec<Entry>) = fit.into_iter().unzip();
        let redriven = letters.iter().map(|kept| kept.position).collect();
        let times: Vec<Timestamp> = entries.iter().map(|entry| entry.event_time).collect();
        let again = by_stretch(times.iter().copied());
        let progress = ProgressRecord { redriven, again, ..ProgressRecord::default() };
        entries.push(progress.entry(&self.source.name, at)?);
        let appended = pipeline.append(entries, Durability::Synced, order)?.await?;
        let (mut refused, mut duplicated) = (Vec::new(), Vec::new());
        for ((kept, time), appended) in letters.into_iter().zip(times).zip(appended) {
            match appended {
                Appended::At(_) => self.redriven.accepted += 1,
                Appended::Duplicate(_) => {
                    self.redriven.duplicates += 1;
                    duplicated.push(time);
                }
                Appended::OutOfOrder { last } => {
                    let reason =
                        format!("its time of availability lies before {last}, that of the last record");
                    self.redriven.refused.push((kept.position, reason.clone()));
                    refused.push(DeadLetter { reason, ..kept.letter }.entry(&self.source.name, at));
                }
            }
        }
        if !refused.is_empty() {
            pipeline.append(refused, Durability::Synced, Order::Clamp)?.await?;
        }
        if !duplicated.is_empty() {
            let duplicates = by_stretch(duplicated.into_iter());
            pipeline.note_duplicates(&self.source.name, duplicates, at)?.await?;
        }
        Ok(())
    }
}
