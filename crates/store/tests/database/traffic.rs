//! Questions about traffic, rollouts, experiments and reports.

use perennial_store::{
    ArmRole, DecisionFilter, Experiment, PageRequest, Projection, Report, ReportFile, Rollout,
    RolloutOutcome, RunState, Served, Verdict,
};
use perennial_types::{Position, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::facts::{Fact, Log, hash, hour};
use crate::server::Database;

/// What served, by looking through every routing.
fn slow_served(log: &Log, at: Timestamp) -> Vec<Served> {
    let routings = log.facts.iter().filter_map(|fact| match fact {
        Fact::Routed(routing) => Some(routing),
        _ => None,
    });
    let mut current: Option<(Vec<Served>, Timestamp)> = None;
    for routing in routings {
        if routing.at > at {
            if let Some((served, _)) = &mut current {
                served.iter_mut().for_each(|served| served.until = Some(routing.at));
            }
            break;
        }
        let served = routing.arms.iter().filter(|arm| arm.probability > 0.0).map(|arm| Served {
            model: arm.model.clone(),
            version: arm.version.clone(),
            role: arm.role,
            share: arm.probability,
            since: routing.at,
            until: None,
            reason: routing.reason.clone(),
        });
        current = Some((served.collect(), routing.at));
    }
    current.map(|(served, _)| served).unwrap_or_default()
}

#[test]
fn what_served_is_what_a_look_through_every_routing_finds() {
    let shares = prop::sample::select(vec![0.0, 0.3, 1.0]);
    let changes = prop::collection::vec((0_usize..3, 0_i64..3, shares), 0..20);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(Database::create());
    let store = &database.store;
    let checked = TestRunner::new(ProptestConfig::with_cases(10)).run(&changes, |changes| {
        runtime.block_on(async {
            let start = Projection::begin(store).await.unwrap().position();
            let endpoint = format!("bike{start}");
            let (raw, windowed) = (format!("a{start}"), format!("b{start}"));
            let mut log = Log::after(start, &endpoint, &[&raw, &windowed]);
            let versions =
                [log.train(&raw, 1, &[]), log.train(&windowed, 1, &[]), log.train(&windowed, 2, &[])];
            let mut at = 20;
            for (version, later, share) in &changes {
                at += later;
                let other = (version + 1) % versions.len();
                let mut arms = [
                    (&versions[*version], ArmRole::Current, *share),
                    (&versions[other], ArmRole::Shadow, 1.0 - *share),
                ];
                arms.sort_by_key(|(version, ..)| (version.model.clone(), version.number));
                log.route(&arms, hour(at));
            }
            log.write(store).await;
            for hours in 18..=at + 1 {
                let found = store.served(&endpoint, hour(hours)).await.unwrap();
                prop_assert_eq!(found, slow_served(&log, hour(hours)));
            }
            prop_assert!(store.served("other", hour(at)).await.unwrap().is_empty());
            Ok(())
        })
    });
    checked.unwrap();
}

#[tokio::test]
async fn traffic_of_a_stretch_begins_with_what_was_in_force() {
    let database = Database::create().await;
    let mut log = Log::new(&["a"]);
    let version = log.train("a", 1, &[]);
    let routings: Vec<_> =
        (0..5).map(|i| log.route(&[(&version, ArmRole::Current, 1.0)], hour(10 + 10 * i))).collect();
    log.write(&database.store).await;
    let page = PageRequest { page_size: 2, page_token: None };
    let first = database.store.traffic("bike", hour(25), Some(hour(50)), &page).await.unwrap();
    let page = PageRequest { page_token: first.next.clone(), ..page };
    let second = database.store.traffic("bike", hour(25), Some(hour(50)), &page).await.unwrap();
    let found: Vec<_> = first.items.into_iter().chain(second.items).collect();
    assert_eq!(found, [routings[3].clone(), routings[2].clone(), routings[1].clone()]);
    assert_eq!(second.next, None);
    let page = PageRequest { page_size: 3, page_token: None };
    let first = database.store.traffic("bike", hour(0), None, &page).await.unwrap();
    let page = PageRequest { page_token: first.next.clone(), ..page };
    let second = database.store.traffic("bike", hour(0), None, &page).await.unwrap();
    assert_eq!(first.items.len() + second.items.len(), 5, "up to now, however late it is by then");
    let filter = DecisionFilter { endpoint: Some("bike".to_owned()), ..DecisionFilter::default() };
    let in_force = database.store.decisions_at(&filter, hour(35)).await.unwrap();
    let routed = in_force.iter().find(|decision| decision.verdict == Verdict::Routed).unwrap();
    assert_eq!((&routed.key, routed.until), (&routings[2].decision, Some(hour(40))));
}

#[tokio::test]
async fn a_rollout_is_followed_from_its_first_stage_to_its_end() {
    let database = Database::create().await;
    let mut log = Log::new(&["a"]);
    let version = log.train("a", 1, &[]);
    log.judge(&version, RunState::Admitted);
    log.write(&database.store).await;
    let entered = |stage, at| Rollout {
        run: version.run.clone(),
        model: "a".to_owned(),
        version: version.id.clone(),
        policy: "keep-fresh".to_owned(),
        began: at,
        ended: None,
        stage,
        outcome: None,
        reason: format!("stage {stage}"),
        evidence: json!({"rows": stage}),
    };
    let mut position = log.end();
    let mut write = async |rollout: Rollout| {
        position = position.next();
        let mut projection = Projection::begin(&database.store).await.unwrap();
        let written = projection.rollout(&rollout, position).await;
        if written.is_ok() {
            projection.commit(position).await.unwrap();
        }
        written
    };
    write(entered(0, hour(30))).await.unwrap();
    write(entered(1, hour(54))).await.unwrap();
    let refused = Rollout {
        ended: Some(hour(90)),
        outcome: Some(RolloutOutcome::Refused),
        reason: "proven worse".to_owned(),
        ..entered(0, hour(90))
    };
    write(refused.clone()).await.unwrap();
    let page = database.store.rollouts(Some("a"), &PageRequest::default()).await.unwrap();
    assert_eq!(page.items, [Rollout { began: hour(30), stage: 1, ..refused.clone() }]);
    let error = write(refused).await.unwrap_err();
    assert!(error.to_string().contains("is over"), "{error}");
}

#[tokio::test]
async fn an_experiment_runs_once_at_a_time_and_may_run_again() {
    let database = Database::create().await;
    let began = |position, at| Experiment {
        name: "raw-or-windowed".to_owned(),
        endpoint: "bike".to_owned(),
        began: at,
        ended: None,
        champion: None,
        reason: "every arm has a version".to_owned(),
        evidence: json!({}),
        position: Position(position),
    };
    let concluded = Experiment {
        ended: Some(hour(9)),
        champion: Some("b".to_owned()),
        reason: "probability_best is 0.993".to_owned(),
        ..began(1, hour(1))
    };
    let mut projection = Projection::begin(&database.store).await.unwrap();
    projection.experiment_began(&began(1, hour(1))).await.unwrap();
    projection.experiment_concluded(&concluded, Position(2)).await.unwrap();
    projection.experiment_began(&began(3, hour(20))).await.unwrap();
    projection.commit(Position(3)).await.unwrap();
    let page = database.store.experiments(Some("raw-or-windowed"), &PageRequest::default()).await.unwrap();
    assert_eq!(page.items, [began(3, hour(20)), concluded]);
    let mut projection = Projection::begin(&database.store).await.unwrap();
    assert!(projection.experiment_began(&began(4, hour(21))).await.is_err(), "it runs already");
}

#[tokio::test]
async fn reports_are_listed_newest_first_and_found_by_id() {
    let database = Database::create().await;
    let report = |position: u64| Report {
        id: format!("report-{position}"),
        name: "weekly-drift".to_owned(),
        endpoint: "bike".to_owned(),
        at: hour(168),
        from: hour(0),
        to: hour(168),
        position: Position(position),
        on_demand: position == 2,
        alarmed: true,
        summary: "2 of 20 columns moved".to_owned(),
        files: vec![ReportFile { format: "html".to_owned(), blob: hash("page"), bytes: 4 }],
    };
    let mut projection = Projection::begin(&database.store).await.unwrap();
    projection.reported(&report(1)).await.unwrap();
    projection.reported(&report(2)).await.unwrap();
    projection.commit(Position(2)).await.unwrap();
    let page = database.store.reports(Some("bike"), &PageRequest::default()).await.unwrap();
    assert_eq!(page.items, [report(2), report(1)]);
    assert!(database.store.reports(Some("other"), &PageRequest::default()).await.unwrap().items.is_empty());
    assert_eq!(database.store.report("report-1").await.unwrap(), report(1));
    assert!(database.store.report("report-9").await.unwrap_err().to_string().contains("report-9"));
}
