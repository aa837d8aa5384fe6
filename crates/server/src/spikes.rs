//! More than the service can take in at once: refused with 429 and when to come again, before anything of it is done.
//!
//! Two queues are bounded, in bytes: the bodies of requests that are being answered, and the records that wait to be
//! written to the log and applied. What was acknowledged was written; what is refused here was not begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, StatusCode, header};
use perennial_pipeline::Pipeline;

use crate::problem::Problem;

/// Bytes of bodies that may be on their way in together.
const MOST: u64 = 256 << 20;
/// A request takes at least so much, and one that does not say how long it is so much.
const LEAST: u64 = 4 << 10;
const UNTOLD: u64 = 1 << 20;

/// The bodies on their way in.
#[derive(Clone)]
pub(crate) struct Spikes {
    bytes: Arc<AtomicU64>,
    most: u64,
}

/// A request that is being answered; it gives its place back when it is dropped.
pub(crate) struct Turn {
    bytes: Arc<AtomicU64>,
    taken: u64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.taken, Ordering::AcqRel);
    }
}

impl Default for Spikes {
    fn default() -> Self {
        Self { bytes: Arc::default(), most: MOST }
    }
}

impl Spikes {
    /// Let a request in.
    ///
    /// # Errors
    /// 429 when too much is on its way already.
    pub(crate) fn enter(&self, headers: &HeaderMap, pipeline: &Pipeline) -> Result<Turn, Problem> {
        let told = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let bytes: u64 = told.unwrap_or(UNTOLD).max(LEAST);
        pipeline.room(bytes)?;
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        let turn = Turn { bytes: Arc::clone(&self.bytes), taken: bytes };
        // What is larger than all that may come together is let in when nothing else is.
        if before > 0 && before + bytes > self.most {
            let detail = format!(
                "requests of {before} bytes are being answered, of at most {}; send it again in a moment",
                self.most
            );
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).with("full", "requests"));
        }
        Ok(turn)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use perennial_log::LogOptions;
    use perennial_pipeline::PipelineOptions;
    use perennial_store::Blobs;

    use super::*;

    fn of_length(length: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static(length))])
    }

    #[test]
    fn a_place_is_given_back_however_a_request_ends() {
        let dir = tempfile::tempdir().unwrap();
        let options = PipelineOptions::new(dir.path());
        let log = LogOptions::new(options.log_dir());
        let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
        let pipeline = Pipeline::open(options, log, blobs, Vec::new()).unwrap();
        let spikes = Spikes { most: 10_000, ..Spikes::default() };
        let large = spikes.enter(&of_length("50000"), &pipeline).unwrap();
        let problem = spikes.enter(&of_length("1"), &pipeline).map(drop).unwrap_err();
        assert!(problem.detail().contains("50000 bytes are being answered, of at most 10000"));
        drop(large);
        let small: Vec<Turn> = (0..2).map(|_| spikes.enter(&of_length("1"), &pipeline).unwrap()).collect();
        assert!(spikes.enter(&of_length("1"), &pipeline).is_err());
        drop(small);
        assert_eq!(spikes.bytes.load(Ordering::Acquire), 0);
    }
}
