//! Why a version exists: a sentence, and everything it rests on.

use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::version::no_version;
use crate::{Dataset, Decision, Deployment, EdgeKind, Run, Store, StoreError, Version};

/// Why a version exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The answer in words.
    pub sentence: String,
    /// The version.
    pub version: Version,
    /// The run that made it, with what its gates found.
    pub run: Run,
    /// The decision that started the run, with the signals it saw.
    pub decision: Decision,
    /// What it was trained on.
    pub dataset: Dataset,
    /// When it came into service, oldest first.
    pub deployments: Vec<Deployment>,
}

#[derive(Deserialize)]
struct Evidence {
    version: Version,
    run: Run,
    decision: Decision,
    dataset: Dataset,
    deployments: Vec<Deployment>,
}

impl Store {
    /// Why a version exists; named as for [`Store::version`].
    ///
    /// # Errors
    /// When there is no such version, or the database is away.
    pub async fn why(&self, version: &str) -> Result<Why, StoreError> {
        let id = self.version(version).await?.id;
        let query = sqlx::query_scalar::<_, Json<Evidence>>(
            "SELECT JSONB_BUILD_OBJECT(
                        'version', TO_JSONB(v), 'run', TO_JSONB(r), 'decision', TO_JSONB(d),
                        'dataset', TO_JSONB(s),
                        'deployments', (SELECT COALESCE(JSONB_AGG(p ORDER BY p.internal), '[]')
                                        FROM deployment_row p
                                        WHERE p.version = v.id))
             FROM version_row v
             JOIN run_row r ON r.id = v.run
             JOIN decision_row d ON d.key = r.decision
             JOIN dataset_row s ON s.id = v.dataset
             WHERE v.id = $1",
        );
        let found = query.bind(&id).fetch_optional(self.pool()).await;
        let found = found.map_err(StoreError::asked(format!("explain version {id:?}")))?;
        let Some(Json(evidence)) = found else { return Err(no_version(&id)) };
        let Evidence { version, run, decision, dataset, deployments } = evidence;
        let sentence = sentence(&version, &run, &decision, &dataset);
        Ok(Why { sentence, version, run, decision, dataset, deployments })
    }
}

fn sentence(version: &Version, run: &Run, decision: &Decision, dataset: &Dataset) -> String {
    let origin = match version.parents.last() {
        None => "was fitted from nothing".to_owned(),
        Some(parent) => match parent.kind {
            EdgeKind::FineTune => format!("was fine-tuned from {}", parent.version),
            EdgeKind::Retrain => format!("was retrained from nothing beside {}", parent.version),
        },
    };
    let cause = match (&decision.policy, &decision.trigger) {
        (Some(policy), Some(trigger)) => format!("trigger {trigger:?} of policy {policy:?} fired"),
        (Some(policy), None) => format!("policy {policy:?} asked for it"),
        (None, _) => "the model had no version".to_owned(),
    };
    let mut sentence = format!(
        "{} {origin} at {} because {cause}: {}. It saw {} rows, from position {} to {}",
        version.id,
        run.requested_at,
        without_stop(&decision.reason),
        dataset.rows,
        dataset.from_position,
        dataset.to_position
    );
    if dataset.holdout_rows > 0 {
        sentence += &format!(", and {} were held out", dataset.holdout_rows);
    }
    sentence += &match &run.reason {
        Some(reason) => format!(". It was {}: {}.", run.state, without_stop(reason)),
        None => ".".to_owned(),
    };
    sentence
}

fn without_stop(text: &str) -> &str {
    text.trim_end().trim_end_matches('.')
}
