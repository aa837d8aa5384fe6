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
        // A sub-query for each part: one join of them all has more tables than the planner puts in order, and
        // would read some as a whole.
        let query = sqlx::query_scalar::<_, Json<Evidence>>(
            "SELECT JSONB_BUILD_OBJECT(
                        'version', (SELECT TO_JSONB(v) FROM version_row v WHERE v.internal = m.id),
                        'run', (SELECT TO_JSONB(r) FROM run_row r WHERE r.internal = m.run),
                        'decision', (SELECT TO_JSONB(d)
                                     FROM decision_row d
                                     WHERE d.internal = (SELECT r.decision FROM run r WHERE r.id = m.run)),
                        'dataset', (SELECT TO_JSONB(s) FROM dataset_row s WHERE s.internal = m.dataset),
                        'deployments', (SELECT COALESCE(JSONB_AGG(p ORDER BY p.internal), '[]')
                                        FROM deployment_row p
                                        WHERE p.version = m.public_id))
             FROM model_version m
             WHERE m.public_id = $1",
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
