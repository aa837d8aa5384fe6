//! New versions of views take over from the ones before them once the two were compared.

use std::collections::BTreeMap;
use std::time::Duration;

use perennial_control::{ControlRecord, ViewPromoted};
use perennial_pipeline::parity::{FeatureParity, Parity, Terms, Verdict};
use perennial_types::{ContentHash, Timestamp};
use serde_json::{Value as Json, json};

use crate::{Orchestrator, OrchestratorError};

/// How often comparisons are looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Orchestrator {
    /// Let new versions of views take over for as long as the service lives.
    pub async fn promote_views(&self) {
        let mut waiting = BTreeMap::new();
        loop {
            if let Err(error) = self.promote_ready_views(&mut waiting, Terms::default()).await {
                tracing::error!(%error, "a view's new version could not take over; trying again");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Let those take over that have been compared enough. `waiting` keeps since when each can be read.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub async fn promote_ready_views(
        &self,
        waiting: &mut BTreeMap<ContentHash, Timestamp>,
        terms: Terms,
    ) -> Result<(), OrchestratorError> {
        let engine = self.pipeline().engine();
        let ready: Vec<Parity> = engine
            .parities()
            .into_iter()
            .filter(|parity| engine.live(parity.new_version().version()))
            .collect();
        waiting.retain(|version, _| ready.iter().any(|parity| parity.new_version().version() == *version));
        for parity in ready {
            let (now, version) = (self.now(), parity.new_version().version());
            let since = *waiting.entry(version).or_insert(now);
            if let Verdict::Serve(reason) = parity.verdict(now.since(since), terms) {
                let promoted = ViewPromoted {
                    at: now,
                    view: parity.old().spec().name.clone(),
                    from: parity.old().version(),
                    to: version,
                    reason,
                    evidence: evidence(&parity),
                };
                self.append_between(ControlRecord::ViewPromoted(promoted), now).await?;
            }
        }
        Ok(())
    }
}

/// What was found, as lineage keeps it.
fn evidence(parity: &Parity) -> Json {
    let feature = |found: &FeatureParity| {
        json!({
            "feature": found.feature,
            "same_definition": found.same_definition,
            "differing": found.differing,
            "max_error": found.max_error,
        })
    };
    let features: Vec<Json> = parity.features().iter().map(feature).collect();
    json!({"reads": parity.reads(), "features": features})
}
