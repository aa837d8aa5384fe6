//! Leases: one worker a run, whatever happens to it.

use std::collections::BTreeMap;

use perennial_store::{Claimant, RunEnd, RunFilter, RunState};
use perennial_types::Kind;

use crate::facts::{Fact, Log, hour};
use crate::server::Database;

fn claimant(owner: &str, now: i64) -> Claimant {
    Claimant { owner: owner.to_owned(), pid: Some(4_711), now: hour(now), until: hour(now + 1) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_claimers_share_the_runs_and_none_is_claimed_twice() {
    let database = Database::create().await;
    let mut log = Log::new(&["bike-raw"]);
    let runs: Vec<String> = (0..40).map(|_| log.request("bike-raw", None).id).collect();
    log.write(&database.store).await;
    let mut claimers = Vec::new();
    for number in 0..8 {
        let store = database.store.clone();
        claimers.push(tokio::spawn(async move {
            let mut claimed = Vec::new();
            while let Some(lease) =
                store.claim(None, &claimant(&format!("worker-{number}"), 100)).await.unwrap()
            {
                claimed.push(lease);
            }
            claimed
        }));
    }
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for claimer in claimers {
        for lease in claimer.await.unwrap() {
            assert_eq!(lease.attempt, 1);
            owners.entry(lease.run).or_default().push(lease.owner);
        }
    }
    assert_eq!(owners.len(), runs.len());
    assert!(owners.values().all(|owners| owners.len() == 1), "{owners:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_who_claim_one_run_after_its_lease_has_ended_one_gets_it() {
    let database = Database::create().await;
    let mut log = Log::new(&["bike-raw"]);
    let run = log.request("bike-raw", None).id;
    log.write(&database.store).await;
    database.store.claim(Some(&run), &claimant("first", 100)).await.unwrap().unwrap();
    let mut claimers = Vec::new();
    for number in 0..8 {
        let (store, run) = (database.store.clone(), run.clone());
        claimers.push(tokio::spawn(async move {
            store.claim(Some(&run), &claimant(&format!("worker-{number}"), 102)).await.unwrap()
        }));
    }
    let mut won = Vec::new();
    for claimer in claimers {
        won.extend(claimer.await.unwrap());
    }
    assert_eq!(won.len(), 1);
    assert_eq!(won[0].attempt, 2);
}

#[tokio::test]
async fn a_lease_is_renewed_lost_released_and_voided() {
    let database = Database::create().await;
    let store = &database.store;
    let mut log = Log::new(&["bike-raw"]);
    let run = log.request("bike-raw", None).id;
    log.write(store).await;

    let first = store.claim(None, &claimant("first", 100)).await.unwrap().unwrap();
    assert_eq!(store.run(&run).await.unwrap().state, RunState::Running);
    assert_eq!(store.claim(None, &claimant("second", 100)).await.unwrap(), None);
    let renewed = store.heartbeat(&first, Some(7), hour(101), hour(103)).await.unwrap();
    assert_eq!((renewed.pid, renewed.leased_until), (Some(7), hour(103)));
    assert_eq!(store.claim(None, &claimant("second", 102)).await.unwrap(), None);

    let second = store.claim(None, &claimant("second", 104)).await.unwrap().unwrap();
    assert_eq!((second.attempt, second.run.as_str()), (2, run.as_str()));
    let lost = store.heartbeat(&first, None, hour(104), hour(105)).await.unwrap_err();
    assert_eq!(lost.kind(), Kind::Conflict);
    assert_eq!(
        lost.to_string(),
        format!("the lease of run {run:?} is lost (attempt 1; the run is running), not held")
    );
    assert_eq!(store.release(&first).await.unwrap_err().kind(), Kind::Conflict);

    store.release(&second).await.unwrap();
    let third = store.claim(Some(&run), &claimant("third", 104)).await.unwrap().unwrap();
    assert_eq!(store.void_all().await.unwrap(), [third]);
    assert_eq!(store.void_all().await.unwrap(), []);
    assert_eq!(store.run(&run).await.unwrap().state, RunState::Requested);
}

#[tokio::test]
async fn a_run_that_ended_cannot_be_claimed_or_renewed() {
    let database = Database::create().await;
    let store = &database.store;
    let mut log = Log::new(&["bike-raw"]);
    let run = log.request("bike-raw", None).id;
    log.write(store).await;
    let lease = store.claim(None, &claimant("first", 100)).await.unwrap().unwrap();
    let position = log.end().next();
    let end = RunEnd {
        run,
        at: hour(100),
        position,
        state: RunState::Failed,
        metrics: None,
        gates: None,
        reason: Some("the loss is not finite".to_owned()),
        row_visits: None,
    };
    let mut projection = perennial_store::Projection::begin(store).await.unwrap();
    Fact::Ended(end).write(&mut projection).await.unwrap();
    projection.commit(position).await.unwrap();
    assert!(store.heartbeat(&lease, None, hour(100), hour(101)).await.is_err());
    assert_eq!(store.claim(None, &claimant("second", 200)).await.unwrap(), None);
    assert_eq!(store.void_all().await.unwrap(), []);
    let failed = RunFilter { state: Some(RunState::Failed), model: Some("bike-raw".to_owned()) };
    assert_eq!(store.runs(&failed, &Default::default()).await.unwrap().items.len(), 1);
}
