//! The keys of a service: a fold of the log, and how keys are made and revoked.

use std::sync::Arc;

use arc_swap::ArcSwap;
use perennial_control::{ControlRecord, KeyAdded, KeyError, KeyRevoked, Keys, NewKey};
use perennial_log::Durability;
use perennial_pipeline::{Declared, Fold, Pipeline, PipelineError, control_record};
use perennial_types::{Kind, Record, Secret, Stream, Timestamp};
use tokio::sync::Mutex;

/// Who may call, followed on the log's apply thread. It stands beside the loop's state, so that a caller is
/// let in without waiting for the loop.
#[derive(Default)]
pub struct KeyFold {
    known: Arc<ArcSwap<Keys>>,
}

/// What the service sees of the fold.
#[derive(Clone)]
pub struct KeyHandle {
    known: Arc<ArcSwap<Keys>>,
}

impl KeyFold {
    /// To be kept when the fold is handed to the pipeline.
    pub fn handle(&self) -> KeyHandle {
        KeyHandle { known: Arc::clone(&self.known) }
    }
}

impl KeyHandle {
    /// The keys, once the pipeline is open.
    pub fn ring(self, pipeline: Pipeline) -> KeyRing {
        KeyRing { pipeline, known: self.known, turn: Arc::default() }
    }
}

impl Fold for KeyFold {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn apply(&mut self, record: &Record, _: &Declared) -> Result<(), PipelineError> {
        if record.entry.stream != Stream::Control {
            return Ok(());
        }
        let record = control_record(record)?;
        if matches!(record, ControlRecord::KeyAdded(_) | ControlRecord::KeyRevoked(_)) {
            let mut keys = Keys::clone(&self.known.load());
            keys.apply(&record);
            self.known.store(Arc::new(keys));
        }
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>, PipelineError> {
        serde_json::to_vec(&**self.known.load()).map_err(PipelineError::snapshot)
    }

    fn load(&mut self, bytes: &[u8], _: &Declared) -> Result<(), PipelineError> {
        let keys: Keys = serde_json::from_slice(bytes).map_err(PipelineError::snapshot)?;
        self.known.store(Arc::new(keys));
        Ok(())
    }

    fn reset(&mut self) {
        self.known.store(Arc::default());
    }
}

/// The keys of a service. Cheap to clone.
#[derive(Clone)]
pub struct KeyRing {
    pipeline: Pipeline,
    known: Arc<ArcSwap<Keys>>,
    /// One change at a time, so that what a change was checked against is what it changes.
    turn: Arc<Mutex<()>>,
}

/// Why keys are not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The rules of keys refuse it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It cannot be written.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A secret cannot be made.
    #[error("the operating system gives no randomness for a key: {0}")]
    Randomness(getrandom::Error),
}

impl KeyRingError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Key(error) => error.kind(),
            Self::Pipeline(error) => error.kind(),
            Self::Randomness(_) => Kind::Internal,
        }
    }
}

impl KeyRing {
    /// Every key as it is known now.
    pub fn known(&self) -> Arc<Keys> {
        self.known.load_full()
    }

    /// Make a key. Its secret is in the answer and nowhere else. `now` is the wall clock's, whatever drives the
    /// project.
    ///
    /// # Errors
    /// When the key is refused or cannot be written.
    pub async fn create(&self, wanted: NewKey, now: Timestamp) -> Result<(KeyAdded, Secret), KeyRingError> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(KeyRingError::Randomness)?;
        let _turn = self.turn.lock().await;
        let (added, secret) = self.known().create(wanted, &random, now)?;
        self.append(ControlRecord::KeyAdded(added.clone())).await?;
        Ok((added, secret))
    }

    /// Take a secret that was made up elsewhere as a key with every scope, if it is not known already.
    ///
    /// # Errors
    /// When it is refused or cannot be written.
    pub async fn adopt(&self, secret: &Secret, now: Timestamp) -> Result<Option<KeyAdded>, KeyRingError> {
        let _turn = self.turn.lock().await;
        let added = self.known().adopt(secret, now)?;
        if let Some(added) = &added {
            self.append(ControlRecord::KeyAdded(added.clone())).await?;
        }
        Ok(added)
    }

    /// Take a key's power away for good.
    ///
    /// # Errors
    /// When it is refused or cannot be written.
    pub async fn revoke(&self, id: &str, now: Timestamp) -> Result<KeyRevoked, KeyRingError> {
        let _turn = self.turn.lock().await;
        let revoked = self.known().revoke(id, now)?;
        self.append(ControlRecord::KeyRevoked(revoked.clone())).await?;
        Ok(revoked)
    }

    /// Write durably, and wait until it counts. Keys are no part of the project's history: their records take
    /// the instant of the record before them and never move its clock.
    async fn append(&self, record: ControlRecord) -> Result<(), PipelineError> {
        let at = self.pipeline.last_available_at().unwrap_or_default();
        self.pipeline.append_control(&[record], at, Durability::Synced).await
    }
}
