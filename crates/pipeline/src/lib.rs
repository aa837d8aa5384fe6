//! Sources to log, log to features: everything that is derived from a project's log, live and in replay.
//!
//! It decides in which order records are taken into account and that live and replayed state are made by one
//! piece of code: [`Pipeline`] appends, follows and recovers; [`Sources`] reads topics of Kafka; [`Engine`] holds the features; [`Builder`] makes
//! training sets and the samples that drift is measured against; [`Auditor`] looks for skew,
//! [`Audits`] does so in the background and looks for loss and for the quality of columns. It never decides what is trained or served.
//!
//! Feature state stays within [`PipelineOptions::memory_bytes`]: of the view that holds most, entities that were not
//! used for a while are on disk alone, and come back with their next event, bit for bit. A large view is kept in
//! files of its own, of which a snapshot writes what changed. A view whose records or files cannot be read answers
//! nothing and says why ([`Engine::trouble`]); the others go on.
//!
//! ```
//! use perennial_log::LogOptions;
//! use perennial_pipeline::{Pipeline, PipelineOptions};
//! use perennial_store::Blobs;
//! use perennial_types::Timestamp;
//!
//! let dir = tempfile::tempdir().unwrap();
//! let options = PipelineOptions::new(dir.path());
//! let log = LogOptions::new(options.log_dir());
//! let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
//! let pipeline = Pipeline::open(options, log, blobs, Vec::new()).unwrap();
//! let refused = pipeline.ingest("rides", b"{}", Timestamp::from_micros(0)).err().unwrap();
//! assert_eq!(
//!     refused.to_string(),
//!     "no source \"rides\": no project is applied yet; apply one with `perennial apply DIR`"
//! );
//! ```

mod audits;
mod content;
mod declared;
mod engine;
mod error;
mod example;
mod feed;
mod fold;
mod history;
mod pace;
mod pipeline;
mod progress;
mod redrive;
mod reference;
mod served;
mod skew;
mod snapshot;
mod source_times;
mod sources;
mod spine;
mod training_set;

pub use audits::{
    Arrived, ArrivedLoss, ArrivedRows, Audits, Buckets, ColumnCounts, ColumnFigures, Figures, Freshness,
    Happened, HappenedLoss, Merge, Receipts, STRETCH, SourceFigures, SourceLoss, SourceReceipts,
};
pub use declared::{Declared, Definition, Goal, control_record};
pub use engine::{BackfillStatus, Engine, MemoryState, ViewState};
pub use error::PipelineError;
pub use example::Asked;
pub use fold::Fold;
pub use history::HistoryTaken;
pub use perennial_features::parity;
/// Which events a table's values are of.
pub use perennial_features::point_in_time::Mode;
pub use pipeline::{Ingested, Ingesting, Pipeline, PipelineOptions, RefusedRow};
pub use progress::{Letters, Progress, ProgressRecord, SentRows};
pub use redrive::{KeptLetter, Redriven};
pub use reference::{REFERENCE_ROWS, RawColumns, ReferencePart};
pub use served::{
    ArmProbability, Fallback, FeedbackRecord, PredictionRecord, ServedVersion, ServedView, ShadowScore,
    key_schema,
};
pub use skew::{Against, Audit, AuditOptions, Auditor, FeatureSkew, Skewed};
pub use source_times::SourceTimes;
pub use sources::{SourceStatus, Sources};
pub use spine::{Filled, ReplayOptions, Spine, SpineReplay, SpineSummary, ViewVersion, Wanted};
pub use training_set::{Builder, Rows, TrainingSet, feedback};
