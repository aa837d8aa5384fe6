//! Versions whose artifacts are loaded, each once.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_control::VersionRef;
use perennial_learn::Fitted;
use perennial_pipeline::ServedVersion;
use perennial_store::Blobs;
use perennial_types::ContentHash;

use crate::GatewayError;
use crate::features::{Prepared, Unanswered};

/// A version that can answer.
pub(crate) struct Version {
    pub(crate) served: ServedVersion,
    /// The definition that it was trained under.
    pub(crate) definition: ContentHash,
    fitted: Fitted,
}

impl Version {
    /// What it says of a request, or why it says nothing.
    pub(crate) fn predict(&self, prepared: &Prepared) -> Result<f64, Unanswered> {
        self.fitted.predict(prepared.row(self.definition)?).map_err(Unanswered::error)
    }
}

/// The versions in use, by model and number.
#[derive(Clone, Default)]
pub(crate) struct Versions(BTreeMap<(Arc<str>, u64), Arc<Version>>);

/// Gathers the versions in use: what was loaded before is taken over.
pub(crate) struct Loader<'a> {
    blobs: &'a Blobs,
    before: &'a Versions,
    loaded: Versions,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(blobs: &'a Blobs, before: &'a Versions) -> Self {
        Self { blobs, before, loaded: Versions::default() }
    }

    /// The version, its artifact loaded if nobody has loaded it yet.
    pub(crate) fn load(
        &mut self,
        model: &Arc<str>,
        version: &VersionRef,
    ) -> Result<Arc<Version>, GatewayError> {
        let key = (Arc::clone(model), version.number);
        let known = self.loaded.0.get(&key).or_else(|| self.before.0.get(&key));
        let same = known.filter(|known| known.served.content_hash == version.content_hash).cloned();
        let version = match same {
            Some(version) => version,
            None => Arc::new(self.read(model, version)?),
        };
        self.loaded.0.insert(key, Arc::clone(&version));
        Ok(version)
    }

    pub(crate) fn finish(self) -> Versions {
        self.loaded
    }

    fn read(&self, model: &Arc<str>, version: &VersionRef) -> Result<Version, GatewayError> {
        let VersionRef { number, content_hash, artifact, definition } = *version;
        let unusable = |error: &dyn std::fmt::Display| {
            GatewayError::Internal(format!("version {number} of model {model:?}: {error}"))
        };
        let bytes = self.blobs.get(&artifact).map_err(|error| unusable(&error))?;
        let fitted = Fitted::load(&bytes).map_err(|error| unusable(&error))?;
        let served = ServedVersion { model: Arc::clone(model), number, content_hash };
        Ok(Version { served, definition, fitted })
    }
}
