//! Writing how traffic was moved, and what was reported.

use perennial_types::Position;
use sqlx::types::Json;

use super::Projection;
use crate::{Experiment, Report, Rollout, Routing, StoreError};

impl Projection {
    /// An endpoint's traffic is split in another way; its decision is a fact of its own, written before.
    ///
    /// # Errors
    /// When the decision or a version is unknown, or the database is away.
    pub async fn routed(&mut self, routing: &Routing) -> Result<(), StoreError> {
        if self.stored(routing.position) {
            return Ok(());
        }
        let query = sqlx::query(
            "WITH written AS (
                 INSERT INTO routing (endpoint, at, position, decision, epoch, experiment, champion, cause)
                 SELECT f.endpoint, f.at, f.position, d.id, f.epoch, f.experiment, f.champion, f.cause
                 FROM JSONB_TO_RECORD($1) AS f (
                     endpoint TEXT, at TIMESTAMPTZ, position BIGINT, decision TEXT, epoch TIMESTAMPTZ,
                     experiment TEXT, champion TEXT, cause TEXT)
                 JOIN decision d ON d.key = f.decision
                 RETURNING id
             )
             INSERT INTO routing_arm (routing, version, role, probability)
             SELECT w.id, v.id, a.role, a.probability
             FROM written w
             CROSS JOIN JSONB_TO_RECORDSET($1->'arms') AS a (version TEXT, role TEXT, probability DOUBLE PRECISION)
             JOIN model_version v ON v.public_id = a.version",
        );
        let written = self.write("a routing", query.bind(Json(routing))).await?.rows_affected();
        if written == routing.arms.len() as u64 {
            return Ok(());
        }
        let reason = format!(
            "the routing of {:?} has an unknown decision {:?} or version among {:?}",
            routing.endpoint, routing.decision, routing.arms
        );
        Err(StoreError::Fact { position: routing.position.0, reason })
    }

    /// A candidate entered a stage of its rollout, or left the rollout.
    ///
    /// # Errors
    /// When the run or the version is unknown, the rollout is over, or the database is away.
    pub async fn rollout(&mut self, rollout: &Rollout, position: Position) -> Result<(), StoreError> {
        if self.stored(position) {
            return Ok(());
        }
        let query = sqlx::query(
            "INSERT INTO rollout AS o (run, model, version, policy, began, ended, stage, outcome, reason, evidence)
             SELECT r.id, f.model, v.id, f.policy, f.began, f.ended, f.stage, f.outcome, f.reason,
                    COALESCE(f.evidence, '{}')
             FROM JSONB_TO_RECORD($1) AS f (
                 run TEXT, model TEXT, version TEXT, policy TEXT, began TIMESTAMPTZ, ended TIMESTAMPTZ,
                 stage BIGINT, outcome TEXT, reason TEXT, evidence JSONB)
             JOIN run r ON r.public_id = f.run
             JOIN model_version v ON v.public_id = f.version
             ON CONFLICT (run) DO UPDATE
             SET ended = EXCLUDED.ended, stage = GREATEST(o.stage, EXCLUDED.stage), outcome = EXCLUDED.outcome,
                 reason = EXCLUDED.reason, evidence = EXCLUDED.evidence
             WHERE o.ended IS NULL",
        );
        let reason = || {
            format!(
                "the rollout of run {:?} is over, or its version {:?} is unknown",
                rollout.run, rollout.version
            )
        };
        self.write_one("a step of a rollout", query.bind(Json(rollout)), position, reason).await
    }

    /// An experiment began.
    ///
    /// # Errors
    /// When it runs already, or the database is away.
    pub async fn experiment_began(&mut self, experiment: &Experiment) -> Result<(), StoreError> {
        if self.stored(experiment.position) {
            return Ok(());
        }
        let query = sqlx::query(
            "INSERT INTO experiment (name, endpoint, began, reason, evidence, position)
             SELECT f.name, f.endpoint, f.began, f.reason, COALESCE(f.evidence, '{}'), f.position
             FROM JSONB_TO_RECORD($1) AS f (
                 name TEXT, endpoint TEXT, began TIMESTAMPTZ, reason TEXT, evidence JSONB, position BIGINT)",
        );
        self.write("an experiment", query.bind(Json(experiment))).await.map(|_| ())
    }

    /// An experiment is over; `experiment` says how.
    ///
    /// # Errors
    /// When it does not run, or the database is away.
    pub async fn experiment_concluded(
        &mut self,
        experiment: &Experiment,
        position: Position,
    ) -> Result<(), StoreError> {
        if self.stored(position) {
            return Ok(());
        }
        let query = sqlx::query(
            "UPDATE experiment e
             SET ended = f.ended, champion = f.champion, reason = f.reason,
                 evidence = COALESCE(f.evidence, '{}')
             FROM JSONB_TO_RECORD($1) AS f (
                 name TEXT, ended TIMESTAMPTZ, champion TEXT, reason TEXT, evidence JSONB)
             WHERE e.name = f.name AND e.ended IS NULL",
        );
        let reason = || format!("experiment {:?} does not run", experiment.name);
        self.write_one("the end of an experiment", query.bind(Json(experiment)), position, reason).await
    }

    /// A report was written.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn reported(&mut self, report: &Report) -> Result<(), StoreError> {
        if self.stored(report.position) {
            return Ok(());
        }
        let query = sqlx::query(
            "INSERT INTO report (public_id, name, endpoint, at, from_time, to_time, position, on_demand, alarmed,
                                 summary, files)
             SELECT f.id, f.name, f.endpoint, f.at, f.\"from\", f.\"to\", f.position, f.on_demand, f.alarmed,
                    f.summary, f.files
             FROM JSONB_TO_RECORD($1) AS f (
                 id TEXT, name TEXT, endpoint TEXT, at TIMESTAMPTZ, \"from\" TIMESTAMPTZ, \"to\" TIMESTAMPTZ,
                 position BIGINT, on_demand BOOLEAN, alarmed BOOLEAN, summary TEXT, files JSONB)",
        );
        self.write("a report", query.bind(Json(report))).await.map(|_| ())
    }
}
