//! Facts as a log would tell them.

use perennial_store::{
    ArmRole, Dataset, Decision, DeclaredModel, Deployment, DeploymentKind, EdgeKind, Parent, Project,
    Projection, Routing, RoutingArm, Run, RunEnd, RunState, StoreError, Verdict, Version,
};
use perennial_types::{ContentHash, Position, TimeSpan, Timestamp};
use serde_json::json;

/// So many hours after the beginning of the history.
pub(crate) fn hour(hours: i64) -> Timestamp {
    Timestamp::parse("2011-01-01").unwrap() + TimeSpan::from_hours(hours)
}

/// A hash of its own for each name.
pub(crate) fn hash(name: &str) -> ContentHash {
    ContentHash::of(name.as_bytes())
}

/// A fact of the log.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Applied(Project, Vec<DeclaredModel>),
    Decided(Decision),
    Requested(Run),
    Dataset(Dataset, Position),
    Ended(RunEnd),
    Version(Version),
    Deployed(Deployment),
    Routed(Routing),
}

impl Fact {
    pub(crate) fn position(&self) -> Position {
        match self {
            Self::Applied(fact, _) => fact.position,
            Self::Decided(fact) => fact.position,
            Self::Requested(fact) => fact.position,
            Self::Dataset(_, position) => *position,
            Self::Ended(fact) => fact.position,
            Self::Version(fact) => fact.position,
            Self::Deployed(fact) => fact.position,
            Self::Routed(fact) => fact.position,
        }
    }

    pub(crate) async fn write(&self, projection: &mut Projection) -> Result<(), StoreError> {
        match self {
            Self::Applied(project, models) => projection.applied(project, models).await,
            Self::Decided(fact) => projection.decided(fact).await,
            Self::Requested(fact) => projection.run_requested(fact).await,
            Self::Dataset(fact, position) => projection.dataset(fact, *position).await,
            Self::Ended(fact) => projection.run_ended(fact).await,
            Self::Version(fact) => projection.version(fact).await,
            Self::Deployed(fact) => projection.deployed(fact).await,
            Self::Routed(fact) => projection.routed(fact).await,
        }
    }
}

/// A log in the making; every record takes the next position, and an hour.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) facts: Vec<Fact>,
    endpoint: String,
    position: u64,
}

impl Log {
    /// With these models at the endpoint "bike".
    pub(crate) fn new(models: &[&str]) -> Self {
        Self::after(Position::START, "bike", models)
    }

    /// With these models at an endpoint, after the records that are there.
    pub(crate) fn after(position: Position, endpoint: &str, models: &[&str]) -> Self {
        let mut log = Self { facts: Vec::new(), endpoint: endpoint.to_owned(), position: position.0 };
        let (position, at) = log.next();
        let declare = |name: &&str| DeclaredModel { name: (*name).to_owned(), endpoint: endpoint.to_owned() };
        let models = models.iter().map(declare).collect();
        let (hash, name) = (hash("declarations"), "bike-demand".to_owned());
        let declarations = json!([{"kind": "Project", "name": "bike-demand"}]);
        log.facts.push(Fact::Applied(Project { hash, name, at, position, declarations }, models));
        log
    }

    fn next(&mut self) -> (Position, Timestamp) {
        self.position += 1;
        (Position(self.position), hour(self.position.cast_signed()))
    }

    /// A decision of the policy "keep-fresh".
    pub(crate) fn decide(&mut self, model: &str, verdict: Verdict) -> Decision {
        let (position, at) = self.next();
        let decision = Decision {
            key: format!("{model} at {position}"),
            at,
            until: None,
            position,
            about: format!("policy keep-fresh on {model}"),
            policy: Some("keep-fresh".to_owned()),
            policy_version: Some(hash("keep-fresh")),
            model: Some(model.to_owned()),
            endpoint: Some(self.endpoint.clone()),
            experiment: None,
            verdict,
            trigger: Some("degraded".to_owned()),
            reason: "quality.relative_change is 0.07, above 0.05".to_owned(),
            evaluations: json!([{"trigger": "degraded", "truth": true}]),
            signals: json!({"quality": {"relative_change": 0.07, "value": 0.1 + 0.2}}),
            run: None,
        };
        self.facts.push(Fact::Decided(decision.clone()));
        decision
    }

    /// A run that was asked for by a decision of its own, in one record.
    pub(crate) fn request(&mut self, model: &str, parent: Option<&str>) -> Run {
        let decision = self.decide(model, Verdict::Started);
        let run = Run {
            id: format!("run-{}", self.position),
            model: model.to_owned(),
            action: if parent.is_some() { "fine_tune" } else { "first_fit" }.to_owned(),
            policy: decision.policy,
            policy_version: decision.policy_version,
            trigger: decision.trigger,
            decision: decision.key,
            parent: parent.map(str::to_owned),
            requested_at: decision.at,
            position: decision.position,
            inputs: json!({"epochs": 1}),
            state: RunState::Requested,
            finished_at: None,
            metrics: None,
            gates: None,
            reason: None,
            row_visits: None,
        };
        self.facts.push(Fact::Requested(run.clone()));
        run
    }

    /// A run that made a version from these parents; all in two records.
    pub(crate) fn train(&mut self, model: &str, number: u64, parents: &[String]) -> Version {
        let run = self.request(model, parents.last().map(String::as_str));
        let (position, at) = self.next();
        let id = format!("{model}/{number}");
        let dataset = Dataset {
            id: hash(&format!("rows of {id}")),
            model: model.to_owned(),
            endpoint: self.endpoint.clone(),
            from_position: Position(1),
            to_position: run.position,
            from_time: hour(0),
            to_time: run.requested_at,
            rows: 72,
            holdout_rows: 48,
            streams: vec!["prediction".to_owned(), "feedback".to_owned()],
        };
        let version = Version {
            model: model.to_owned(),
            number,
            content_hash: hash(&id),
            artifact: hash(&format!("artifact of {id}")),
            artifact_bytes: 1_234,
            run: run.id.clone(),
            dataset: dataset.id,
            definition: hash(model),
            inputs: vec!["temp".to_owned(), "slot_demand.rides_avg_7d".to_owned()],
            parents: parents
                .iter()
                .map(|parent| Parent { version: parent.clone(), kind: EdgeKind::FineTune })
                .collect(),
            created_at: at,
            position,
            metrics: json!({"mae": 0.1 + 0.2}),
            id,
        };
        self.facts.push(Fact::Dataset(dataset, position));
        self.facts.push(Fact::Ended(RunEnd {
            run: run.id,
            at,
            position,
            state: RunState::Succeeded,
            metrics: Some(version.metrics.clone()),
            gates: Some(json!([{"passed": true}])),
            reason: None,
            row_visits: Some(72),
        }));
        self.facts.push(Fact::Version(version.clone()));
        version
    }

    /// The version of a run goes into service, or is refused.
    pub(crate) fn judge(&mut self, version: &Version, state: RunState) {
        let (position, at) = self.next();
        let reason = Some("not proven worse: 1.1 % within the margin of 5 %.".to_owned());
        let run = version.run.clone();
        let (metrics, gates, row_visits) = (None, None, None);
        self.facts.push(Fact::Ended(RunEnd { run, at, position, state, metrics, gates, reason, row_visits }));
        if state == RunState::Promoted {
            self.position -= 1;
            let kind = if version.number == 1 { DeploymentKind::Initial } else { DeploymentKind::Promotion };
            self.deploy(version, at, kind);
        }
    }

    /// A version goes into service at an instant.
    pub(crate) fn deploy(&mut self, version: &Version, at: Timestamp, kind: DeploymentKind) {
        let (position, _) = self.next();
        self.facts.push(Fact::Deployed(Deployment {
            endpoint: self.endpoint.clone(),
            model: version.model.clone(),
            version: version.id.clone(),
            at,
            position,
            kind,
            reason: "not proven worse".to_owned(),
            run: Some(version.run.clone()),
        }));
    }

    /// The requests of the endpoint are split like this from an instant on.
    pub(crate) fn route(&mut self, arms: &[(&Version, ArmRole, f64)], at: Timestamp) -> Routing {
        let (position, _) = self.next();
        let decision = Decision {
            key: format!("traffic at {position}"),
            at,
            until: None,
            position,
            about: format!("traffic of {}", self.endpoint),
            policy: None,
            policy_version: None,
            model: None,
            endpoint: Some(self.endpoint.clone()),
            experiment: Some("raw-or-windowed".to_owned()),
            verdict: Verdict::Routed,
            trigger: None,
            reason: format!("the split of position {position}"),
            evaluations: json!([]),
            signals: json!({"probability_best": [0.25, 0.75]}),
            run: None,
        };
        let arm = |(version, role, probability): &(&Version, ArmRole, f64)| RoutingArm {
            version: version.id.clone(),
            model: version.model.clone(),
            role: *role,
            probability: *probability,
        };
        let routing = Routing {
            endpoint: self.endpoint.clone(),
            at,
            position,
            decision: decision.key.clone(),
            epoch: at,
            experiment: decision.experiment.clone(),
            champion: "a".to_owned(),
            cause: "epoch".to_owned(),
            reason: decision.reason.clone(),
            evidence: decision.signals.clone(),
            arms: arms.iter().map(arm).collect(),
        };
        self.facts.push(Fact::Decided(decision));
        self.facts.push(Fact::Routed(routing.clone()));
        routing
    }

    /// The position of the last record.
    pub(crate) fn end(&self) -> Position {
        Position(self.position)
    }

    /// Write everything in one transaction.
    pub(crate) async fn write(&self, store: &perennial_store::Store) {
        let mut projection = Projection::begin(store).await.unwrap();
        for fact in &self.facts {
            fact.write(&mut projection).await.unwrap_or_else(|error| panic!("{fact:?}: {error}"));
        }
        projection.commit(self.end()).await.unwrap();
    }
}
