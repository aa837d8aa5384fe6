//! The overview page: what it shows is collected here, from the state of the loop and a few queries of lineage.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use perennial_control::{
    Experiment, Goal, ModelGoal, ModelState, PolicyGoal, Routed, Seen, State as Loop, stage_of,
};
use perennial_evaluate::{EndpointSpec, Mode};
use perennial_policy::{Action, TriggerSpec, Truth};
use perennial_project::ClockKind;
use perennial_report::{ArmShare, Traffic, TrafficStep, write};
use perennial_store::{
    ArmRole, Decision, DecisionFilter, PageRequest, Report, Rollout, Routing, Store, StoreError,
};
use perennial_types::{Position, TimeSpan, Timestamp, Value};

use crate::App;
use crate::overview::{
    DecisionPart, EndpointPart, ExperimentArm, ExperimentPart, ModelPart, Overview, PolicyPart, ProjectPart,
    ReportPart, RolloutPart, SignalPart, TriggerPart, VersionPart,
};
use crate::route::Route;
use crate::schemas::text;

/// How far back the chart of the traffic goes.
const TRAFFIC: TimeSpan = TimeSpan::from_days(30);

/// How many of the last decisions are shown, and reports of each endpoint.
const DECISIONS: u32 = 15;
const REPORTS: u32 = 5;

/// Browsers ask again after so many seconds.
const REFRESH_S: &str = "30";

pub(super) fn routes() -> Vec<Route> {
    let page = Route::get("/", page, "The overview page, for people");
    vec![page.reply_as("text/html", text("A page that needs nothing else.")).page()]
}

async fn page(State(app): State<Arc<App>>) -> impl IntoResponse {
    let mut overview = present(&app);
    if let Some(project) = &overview.project {
        let at = project.at;
        // Without lineage the page still shows what runs, and says what is missing.
        if let Err(error) = add_lineage(&mut overview, app.orchestrator.store(), at).await {
            tracing::warn!(%error, "the overview page is shown without lineage");
            overview.problems.push(format!("lineage cannot be read: {error}"));
        }
    }
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::REFRESH, REFRESH_S)], overview.to_html())
}

/// What the state of the loop says.
fn present(app: &App) -> Overview {
    let head = app.pipeline().head().0;
    let behind = head.saturating_sub(app.orchestrator.projected().0);
    let at = app.orchestrator.now();
    let clock = match app.orchestrator.clock_kind() {
        Some(ClockKind::Event) => "event clock",
        Some(ClockKind::Wall) | None => "wall clock",
    };
    let state = app.orchestrator.state().lock();
    let Some(goal) = state.goal() else {
        return Overview {
            project: None,
            head,
            behind,
            endpoints: vec![],
            decisions: vec![],
            problems: vec![],
        };
    };
    let name = Arc::clone(&goal.project);
    let project = ProjectPart { name, clock, at, done: state.done(), tick: goal.tick.to_string() };
    let endpoints = goal.endpoints.iter().filter_map(|spec| endpoint(&state, goal, spec, at)).collect();
    Overview { project: Some(project), head, behind, endpoints, decisions: vec![], problems: vec![] }
}

fn endpoint(state: &Loop, goal: &Goal, spec: &EndpointSpec, at: Timestamp) -> Option<EndpointPart> {
    let known = state.endpoint(&spec.name)?;
    let routed = known.routed();
    let models = goal.models.iter().filter(|model| model.endpoint == spec.name);
    Some(EndpointPart {
        name: Arc::clone(&spec.name),
        champion: Arc::clone(known.champion()),
        labels: known.labels().count_since(Position::START),
        routed: routed.map(|routed| routed.reason.clone()),
        from: at - TRAFFIC,
        traffic: Traffic { steps: vec![], until: at },
        models: models.filter_map(|model| model_part(state, goal, routed, model)).collect(),
        experiment: known.experiment().map(|known| experiment(known, routed)),
        rollouts: vec![],
        reports: vec![],
    })
}

fn model_part(state: &Loop, goal: &Goal, routed: Option<&Routed>, model: &ModelGoal) -> Option<ModelPart> {
    let known = state.model(&model.name)?;
    let share = routed.and_then(|routed| routed.shares.iter().find(|share| share.model == model.name));
    let current = known.current().map(|version| VersionPart {
        number: version.id.number,
        since: version.promoted_at,
        data_end: version.data_end_at,
    });
    let policies = goal.policies.iter().filter(|policy| policy.spec.models.contains(&model.name));
    Some(ModelPart {
        name: Arc::clone(&model.name),
        current,
        share: share.map_or(0.0, |share| share.share),
        doing: doing(known),
        policies: policies.map(|policy| policy_part(state, policy, &model.name)).collect(),
    })
}

/// The run in flight, in words.
fn doing(model: &ModelState) -> Option<String> {
    let run = model.in_flight()?;
    let action = run.request.action.name().replace('_', " ");
    Some(match &run.version {
        Some(version) => format!("candidate {} of a {action}", version.number),
        None => format!("{action} since {}", write::instant(run.request.requested_at)),
    })
}

fn policy_part(state: &Loop, policy: &PolicyGoal, model: &str) -> PolicyPart {
    let seen = state.seen(&policy.spec.name, model);
    PolicyPart {
        name: Arc::clone(&policy.spec.name),
        signals: seen.as_ref().map(signals).unwrap_or_default(),
        triggers: policy.spec.triggers.iter().map(|trigger| trigger_part(trigger, seen.as_ref())).collect(),
        last: None,
    }
}

fn signals(seen: &Seen) -> Vec<SignalPart> {
    let parts = seen.signals.values().iter().map(|(member, value)| {
        let value = match value {
            Value::Null => Err(seen.signals.unknown(member).unwrap_or("it was not measured").to_owned()),
            Value::Double(number) => Ok(write::number(*number)),
            Value::Timestamp(at) => Ok(write::instant(*at)),
            Value::Boolean(_)
            | Value::Int64(_)
            | Value::String(_)
            | Value::Duration(_)
            | Value::List(_)
            | Value::Map(_) => Ok(value.to_string()),
        };
        SignalPart { member: Arc::clone(member), value }
    });
    parts.collect()
}

fn trigger_part(trigger: &TriggerSpec, seen: Option<&Seen>) -> TriggerPart {
    let evaluation =
        seen.and_then(|seen| seen.triggers.iter().find(|evaluation| evaluation.name == trigger.name));
    let truth = evaluation.and_then(|evaluation| match evaluation.truth {
        Truth::True => Some(true),
        Truth::False => Some(false),
        Truth::Unknown => None,
    });
    let mut condition: Vec<String> =
        trigger.schedule.iter().map(|schedule| format!("at {schedule}")).collect();
    condition.extend(trigger.when.as_ref().map(|when| when.to_string()));
    condition.extend(trigger.hold.map(|hold| format!("for {hold}")));
    TriggerPart {
        name: Arc::clone(&trigger.name),
        condition: condition.join(", "),
        action: match trigger.action {
            Action::FineTune => "fine_tune",
            Action::Retrain => "retrain",
            Action::Adapt => "adapt",
        },
        truth,
        since: evaluation.and_then(|evaluation| evaluation.true_since),
        held_by: evaluation.and_then(|evaluation| Some(evaluation.held_by.as_ref()?.reason.clone())),
    }
}

/// The experiment that the traffic is split by.
fn experiment(experiment: &Experiment, routed: Option<&Routed>) -> ExperimentPart {
    let (spec, evidence, concluded) = (experiment.spec(), experiment.evidence(), experiment.concluded());
    let share = |arm: &str| {
        let shares = routed.into_iter().flat_map(|routed| &routed.shares);
        shares.filter(|share| *share.model == *arm).map(|share| share.share).sum()
    };
    let arms = evidence.arms.iter().map(|arm| ExperimentArm {
        name: Arc::clone(&arm.name),
        share: share(&arm.name),
        rewards: arm.rows,
        mean: arm.mean,
        probability_best: arm.probability_best,
    });
    ExperimentPart {
        name: Arc::clone(&spec.name),
        mode: match spec.mode {
            Mode::Shadow => "shadow",
            Mode::Ab { .. } => "ab",
            Mode::Bandit { .. } => "bandit",
        },
        began: experiment.began(),
        ended: concluded.map(|concluded| concluded.at),
        arms: arms.collect(),
        p_value: evidence.p_value,
        reason: match concluded {
            Some(concluded) => concluded.reason.clone(),
            None => routed.map(|routed| routed.reason.clone()).unwrap_or_default(),
        },
    }
}

/// What lineage says: decisions, traffic, rollouts, reports.
async fn add_lineage(overview: &mut Overview, store: &Store, at: Timestamp) -> Result<(), StoreError> {
    let last = PageRequest { page_size: DECISIONS, page_token: None };
    let recent = store.decisions(&DecisionFilter::default(), &last).await?;
    overview.decisions = recent.items.into_iter().map(decision_part).collect();
    let mut in_force: BTreeMap<(String, String), Decision> = BTreeMap::new();
    for decision in store.decisions_at(&DecisionFilter::default(), at).await? {
        if let (Some(policy), Some(model)) = (decision.policy.clone(), decision.model.clone()) {
            in_force.entry((policy, model)).or_insert(decision);
        }
    }
    let page = PageRequest { page_size: PageRequest::LARGEST, page_token: None };
    let rollouts = store.rollouts(None, &page).await?.items;
    for endpoint in &mut overview.endpoints {
        let routings = store.traffic(&endpoint.name, endpoint.from, None, &page).await?;
        add_traffic(endpoint, routings.items);
        let reports = PageRequest { page_size: REPORTS, page_token: None };
        let reports = store.reports(Some(&endpoint.name), &reports).await?.items;
        endpoint.reports = reports.into_iter().map(report_part).collect();
        for model in &mut endpoint.models {
            let going_on =
                rollouts.iter().filter(|known| known.model == *model.name && known.ended.is_none());
            endpoint.rollouts.extend(going_on.map(rollout_part));
            for policy in &mut model.policies {
                let key = (policy.name.to_string(), model.name.to_string());
                policy.last = in_force.remove(&key).map(decision_part);
            }
        }
    }
    Ok(())
}

/// The chart begins where the endpoint's first version began to answer, where the page of routings ends, or at
/// the edge of what is shown.
fn add_traffic(endpoint: &mut EndpointPart, newest_first: Vec<Routing>) {
    let mut steps: Vec<TrafficStep> = newest_first.into_iter().map(step).collect();
    steps.reverse();
    if let Some(first) = steps.first() {
        endpoint.from = endpoint.from.max(first.at);
    }
    endpoint.traffic.steps = steps;
}

fn step(routing: Routing) -> TrafficStep {
    let answering =
        routing.arms.into_iter().filter(|arm| arm.role != ArmRole::Shadow && arm.probability > 0.0);
    let shares = answering.map(|arm| ArmShare { arm: arm.version, share: arm.probability }).collect();
    TrafficStep { at: routing.at, shares }
}

fn decision_part(decision: Decision) -> DecisionPart {
    DecisionPart {
        at: decision.at,
        about: decision.about,
        verdict: decision.verdict.name(),
        reason: decision.reason,
    }
}

fn rollout_part(rollout: &Rollout) -> RolloutPart {
    RolloutPart {
        version: rollout.version.clone(),
        policy: rollout.policy.clone(),
        stage: stage_of(&rollout.evidence).unwrap_or_else(|| format!("stage {}", rollout.stage + 1)),
        began: rollout.began,
        reason: rollout.reason.clone(),
        evidence: rollout.evidence.clone(),
    }
}

fn report_part(report: Report) -> ReportPart {
    ReportPart {
        id: report.id,
        name: report.name,
        at: report.at,
        alarmed: report.alarmed,
        summary: report.summary,
        formats: report.files.into_iter().map(|file| file.format).collect(),
    }
}
