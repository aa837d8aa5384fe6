//! The requests of an endpoint over a window of time.

use std::collections::BinaryHeap;
use std::sync::Arc;

use perennial_log::LogReader;
use perennial_pipeline::{PipelineError, PredictionRecord, REFERENCE_ROWS};
use perennial_types::{Position, Stream, Timestamp, hash64};

use crate::OrchestratorError;

/// Tells this choice of requests from other draws by their ids.
const SAMPLE: u64 = 0x7361_6d70_6c65;

/// Requests of a window.
pub(crate) struct Window {
    /// At most as many requests as a reference has rows, in the order of the log. Of more, which ones depends on
    /// their ids alone, so that every request is as likely to be there as any other.
    pub(crate) sample: Vec<(Position, PredictionRecord)>,
}

impl Window {
    /// Read the requests with times from `from` on and before `to`, as far as the log had them at `to`.
    pub(crate) fn read(
        reader: &LogReader,
        endpoint: &Arc<str>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Self, OrchestratorError> {
        Self::read_most(reader, endpoint, (from, to), REFERENCE_ROWS)
    }

    /// The same with at most so many requests.
    pub(crate) fn read_most(
        reader: &LogReader,
        endpoint: &Arc<str>,
        (from, to): (Timestamp, Timestamp),
        most: usize,
    ) -> Result<Self, OrchestratorError> {
        let (first, end) = (reader.first_at_or_after(from)?, reader.first_at_or_after(to)?);
        // The largest hash is on top: what is drawn are the smallest.
        let mut drawn: BinaryHeap<(u64, Position, Vec<u8>)> = BinaryHeap::new();
        let last = Position(end.0.saturating_sub(1));
        if first > last {
            return Ok(Self { sample: Vec::new() });
        }
        for record in reader.read(first.max(Position(1)), last)? {
            let record = record?;
            let wanted = record.entry.stream == Stream::Prediction
                && record.entry.source == *endpoint
                && (from..to).contains(&record.entry.event_time);
            if !wanted {
                continue;
            }
            let hash = hash64(SAMPLE, &[&record.entry.id]);
            if drawn.len() < most {
                drawn.push((hash, record.position, record.entry.payload));
            } else if let Some(mut largest) = drawn.peek_mut()
                && (hash, record.position) < (largest.0, largest.1)
            {
                *largest = (hash, record.position, record.entry.payload);
            }
        }
        let mut drawn: Vec<(Position, Vec<u8>)> =
            drawn.into_iter().map(|(_, position, payload)| (position, payload)).collect();
        drawn.sort_unstable_by_key(|(position, _)| *position);
        let mut sample = Vec::with_capacity(drawn.len());
        for (position, payload) in drawn {
            let record =
                serde_json::from_slice(&payload).map_err(|error| PipelineError::record(position, error))?;
            sample.push((position, record));
        }
        Ok(Self { sample })
    }
}
