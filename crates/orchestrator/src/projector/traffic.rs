//! Lineage of how traffic is moved: candidates, rollouts, experiments, routing. Every step is a decision.

use perennial_control::{
    ExperimentChange, ExperimentMoved, Judged, ModelShare, RolledBack, RolloutChange, RolloutMoved, Routed,
    RunVerdict,
};
use perennial_store::{
    ArmRole, Decision, Deployment, DeploymentKind, Experiment, Projection, Rollout, RolloutOutcome, Routing,
    RoutingArm, RunEnd, RunState, Verdict,
};
use perennial_types::{ContentHash, Position, Timestamp};
use serde_json::Value as Json;

use super::public_id;
use crate::OrchestratorError;

/// A decision that no policy's evaluation made: what it is about, and why.
struct Step<'a> {
    about: String,
    at: Timestamp,
    model: Option<&'a str>,
    endpoint: &'a str,
    policy: Option<&'a str>,
    experiment: Option<&'a str>,
    verdict: Verdict,
    reason: &'a str,
    evidence: &'a Json,
}

impl Step<'_> {
    /// The key depends on what was decided, not on where the log says so: an interrupted play has the same.
    fn decision(&self, position: Position) -> Decision {
        let (at, verdict) = (self.at.to_string(), self.verdict.name());
        let parts = [self.about.as_str(), &at, verdict, self.reason];
        Decision {
            key: ContentHash::of_parts(parts.map(str::as_bytes)).to_string(),
            at: self.at,
            until: None,
            position,
            about: self.about.clone(),
            policy: self.policy.map(str::to_owned),
            policy_version: None,
            model: self.model.map(str::to_owned),
            endpoint: Some(self.endpoint.to_owned()),
            experiment: self.experiment.map(str::to_owned),
            verdict: self.verdict,
            trigger: None,
            reason: self.reason.to_owned(),
            evaluations: Json::Null,
            signals: self.evidence.clone(),
            run: None,
        }
    }
}

/// A run was judged; what it made is promoted, refused, or goes through a rollout.
pub(super) async fn judged(
    projection: &mut Projection,
    position: Position,
    judged: &Judged,
) -> Result<(), OrchestratorError> {
    let (verdict, state) = match judged.verdict {
        RunVerdict::Promoted => (Verdict::Promoted, RunState::Promoted),
        RunVerdict::Admitted => (Verdict::Admitted, RunState::Admitted),
        RunVerdict::Refused => (Verdict::Refused, RunState::Refused),
        RunVerdict::Failed => (Verdict::Failed, RunState::Failed),
    };
    let step = Step {
        about: about_versions(&judged.model),
        at: judged.at,
        model: Some(&judged.model),
        endpoint: &judged.endpoint,
        policy: None,
        experiment: None,
        verdict,
        reason: &judged.reason,
        evidence: &Json::Null,
    };
    projection.decided(&step.decision(position)).await?;
    projection.run_ended(&run_end(&judged.run, judged.at, position, state, &judged.reason)).await?;
    if let (RunVerdict::Promoted, Some(version)) = (judged.verdict, &judged.version) {
        let deployment = Deployment {
            endpoint: judged.endpoint.to_string(),
            model: judged.model.to_string(),
            version: public_id(&judged.model, version.number),
            at: judged.at,
            position,
            kind: if judged.first { DeploymentKind::Initial } else { DeploymentKind::Promotion },
            reason: judged.reason.clone(),
            run: Some(judged.run.to_string()),
        };
        projection.deployed(&deployment).await?;
    }
    Ok(())
}

/// An earlier version serves again.
pub(super) async fn rolled_back(
    projection: &mut Projection,
    position: Position,
    back: &RolledBack,
) -> Result<(), OrchestratorError> {
    let step = Step {
        about: about_versions(&back.model),
        at: back.at,
        model: Some(&back.model),
        endpoint: &back.endpoint,
        policy: back.policy.as_deref(),
        experiment: None,
        verdict: Verdict::RolledBack,
        reason: &back.reason,
        evidence: &back.evidence,
    };
    projection.decided(&step.decision(position)).await?;
    let deployment = Deployment {
        endpoint: back.endpoint.to_string(),
        model: back.model.to_string(),
        version: public_id(&back.model, back.to.number),
        at: back.at,
        position,
        kind: DeploymentKind::Rollback,
        reason: back.reason.clone(),
        run: None,
    };
    Ok(projection.deployed(&deployment).await?)
}

/// A candidate entered a stage of its rollout, or left the rollout.
pub(super) async fn rollout_moved(
    projection: &mut Projection,
    position: Position,
    moved: &RolloutMoved,
) -> Result<(), OrchestratorError> {
    let (verdict, stage, outcome) = match moved.change {
        RolloutChange::Entered(stage) => (Verdict::Advanced, stage as u64, None),
        RolloutChange::Promoted => (Verdict::Promoted, 0, Some(RolloutOutcome::Promoted)),
        RolloutChange::Refused => (Verdict::Refused, 0, Some(RolloutOutcome::Refused)),
    };
    let step = Step {
        about: about_versions(&moved.model),
        at: moved.at,
        model: Some(&moved.model),
        endpoint: &moved.endpoint,
        policy: Some(&moved.policy),
        experiment: None,
        verdict,
        reason: &moved.reason,
        evidence: &moved.evidence,
    };
    projection.decided(&step.decision(position)).await?;
    let version = public_id(&moved.model, moved.version.number);
    let rollout = Rollout {
        run: moved.run.to_string(),
        model: moved.model.to_string(),
        version: version.clone(),
        policy: moved.policy.to_string(),
        began: moved.at,
        ended: outcome.map(|_| moved.at),
        stage,
        outcome,
        reason: moved.reason.clone(),
        evidence: moved.evidence.clone(),
    };
    projection.rollout(&rollout, position).await?;
    let state = match outcome {
        None => return Ok(()),
        Some(RolloutOutcome::Promoted) => RunState::Promoted,
        Some(RolloutOutcome::Refused) => RunState::Refused,
    };
    projection.run_ended(&run_end(&moved.run, moved.at, position, state, &moved.reason)).await?;
    if outcome == Some(RolloutOutcome::Promoted) {
        let deployment = Deployment {
            endpoint: moved.endpoint.to_string(),
            model: moved.model.to_string(),
            version,
            at: moved.at,
            position,
            kind: DeploymentKind::Promotion,
            reason: moved.reason.clone(),
            run: Some(moved.run.to_string()),
        };
        projection.deployed(&deployment).await?;
    }
    Ok(())
}

/// An experiment began, lost an arm, or was concluded.
pub(super) async fn experiment_moved(
    projection: &mut Projection,
    position: Position,
    moved: &ExperimentMoved,
) -> Result<(), OrchestratorError> {
    let verdict = match moved.change {
        ExperimentChange::Began => Verdict::Began,
        ExperimentChange::ArmRemoved(_) => Verdict::Removed,
        ExperimentChange::Concluded { .. } => Verdict::Concluded,
    };
    let step = Step {
        about: format!("experiment {}", moved.experiment),
        at: moved.at,
        model: None,
        endpoint: &moved.endpoint,
        policy: None,
        experiment: Some(&moved.experiment),
        verdict,
        reason: &moved.reason,
        evidence: &moved.evidence,
    };
    projection.decided(&step.decision(position)).await?;
    let experiment = Experiment {
        name: moved.experiment.to_string(),
        endpoint: moved.endpoint.to_string(),
        began: moved.at,
        ended: None,
        champion: None,
        reason: moved.reason.clone(),
        evidence: moved.evidence.clone(),
        position,
    };
    match &moved.change {
        ExperimentChange::Began => projection.experiment_began(&experiment).await?,
        ExperimentChange::ArmRemoved(_) => {}
        ExperimentChange::Concluded { champion } => {
            let (ended, champion) = (Some(moved.at), Some(champion.to_string()));
            projection.experiment_concluded(&Experiment { ended, champion, ..experiment }, position).await?;
        }
    }
    Ok(())
}

/// An endpoint's traffic is split in another way.
pub(super) async fn routed(
    projection: &mut Projection,
    position: Position,
    routed: &Routed,
) -> Result<(), OrchestratorError> {
    let step = Step {
        about: format!("traffic of {}", routed.endpoint),
        at: routed.at,
        model: None,
        endpoint: &routed.endpoint,
        policy: None,
        experiment: routed.experiment.as_deref(),
        verdict: Verdict::Routed,
        reason: &routed.reason,
        evidence: &routed.evidence,
    };
    let mut decision = step.decision(position);
    let arms = arms(routed);
    // The same sentence may be said of two splits of one instant.
    let split = format!("{arms:?}");
    decision.key = ContentHash::of_parts([decision.key.as_bytes(), split.as_bytes()]).to_string();
    projection.decided(&decision).await?;
    let routing = Routing {
        endpoint: routed.endpoint.to_string(),
        at: routed.at,
        position,
        decision: decision.key,
        epoch: routed.epoch,
        experiment: routed.experiment.as_ref().map(ToString::to_string),
        champion: routed.champion.to_string(),
        cause: routed.cause.name().to_owned(),
        reason: routed.reason.clone(),
        evidence: routed.evidence.clone(),
        arms,
    };
    Ok(projection.routed(&routing).await?)
}

/// Every version once: what answers with its probability, and what only scores.
fn arms(routed: &Routed) -> Vec<RoutingArm> {
    let mut arms: Vec<RoutingArm> = routed.shares.iter().flat_map(arms_of).collect();
    for shadow in &routed.shadows {
        let version = public_id(&shadow.model, shadow.version.number);
        if arms.iter().all(|arm| arm.version != version) {
            let model = shadow.model.to_string();
            arms.push(RoutingArm { version, model, role: ArmRole::Shadow, probability: 0.0 });
        }
    }
    arms
}

fn arms_of(share: &ModelShare) -> Vec<RoutingArm> {
    let part = share.candidate.as_ref().map_or(0.0, |(_, part)| *part);
    let arm = |number, role, probability| RoutingArm {
        version: public_id(&share.model, number),
        model: share.model.to_string(),
        role,
        probability,
    };
    let mut arms = vec![arm(share.current.number, ArmRole::Current, share.share * (1.0 - part))];
    if let Some((candidate, part)) = &share.candidate {
        arms.push(arm(candidate.number, ArmRole::Candidate, share.share * part));
    }
    arms
}

/// What a decision is about that changes which version of a model serves, or may.
pub(super) fn about_versions(model: &str) -> String {
    format!("versions of {model}")
}

fn run_end(run: &str, at: Timestamp, position: Position, state: RunState, reason: &str) -> RunEnd {
    RunEnd {
        run: run.to_owned(),
        at,
        position,
        state,
        metrics: None,
        gates: None,
        reason: Some(reason.to_owned()),
        row_visits: None,
    }
}
