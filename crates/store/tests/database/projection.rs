//! Writing: together, once, and never over.

use perennial_store::{
    ArmRole, DecisionFilter, PageRequest, Projection, RunFilter, RunState, Store, StoreError, Verdict,
};
use perennial_types::{Kind, Position};
use sqlx::{AssertSqlSafe, Executor};

use crate::facts::{Fact, Log, hour};
use crate::server::Database;

/// Two versions of one model, the second fine-tuned from the first, and a held trigger.
fn history() -> Log {
    let mut log = Log::new(&["bike-windowed"]);
    let first = log.train("bike-windowed", 1, &[]);
    log.judge(&first, RunState::Promoted);
    log.decide("bike-windowed", Verdict::Held);
    let second = log.train("bike-windowed", 2, std::slice::from_ref(&first.id));
    log.judge(&second, RunState::Refused);
    log.route(&[(&first, ArmRole::Current, 1.0), (&second, ArmRole::Shadow, 0.0)], hour(20));
    log
}

/// Everything that can be read, as text.
async fn contents(store: &Store) -> String {
    let page = PageRequest::default();
    let mut text = format!("{:?}", store.projects(&page).await.unwrap());
    text += &format!("{:?}", store.models(&page).await.unwrap());
    text += &format!("{:?}", store.runs(&RunFilter::default(), &page).await.unwrap());
    text += &format!("{:?}", store.decisions(&DecisionFilter::default(), &page).await.unwrap());
    text += &format!("{:?}", store.deployments("bike", &page).await.unwrap());
    if text.contains("bike-windowed") {
        text += &format!("{:?}", store.versions("bike-windowed", &page).await.unwrap());
    }
    text
}

async fn position(store: &Store) -> Position {
    Projection::begin(store).await.unwrap().position()
}

#[tokio::test]
async fn a_crash_between_any_two_facts_leaves_nothing_and_a_replay_completes_it_once() {
    let log = history();
    let undisturbed = Database::create().await;
    log.write(&undisturbed.store).await;
    let wanted = contents(&undisturbed.store).await;

    let database = Database::create().await;
    let store = &database.store;
    for crash_after in 0..log.facts.len() {
        let before = contents(store).await;
        let stored = position(store).await;
        // A process that reads the log from its start, and dies after so many facts.
        let mut projection = Projection::begin(store).await.unwrap();
        for fact in &log.facts[..=crash_after] {
            fact.write(&mut projection).await.unwrap();
        }
        drop(projection);
        assert_eq!(contents(store).await, before);
        assert_eq!(position(store).await, stored);
        // The next one gets to the end of that record, and commits.
        let end = log.facts[crash_after].position();
        let mut projection = Projection::begin(store).await.unwrap();
        for fact in log.facts.iter().filter(|fact| fact.position() <= end) {
            fact.write(&mut projection).await.unwrap();
        }
        projection.commit(end).await.unwrap();
    }
    assert_eq!(contents(store).await, wanted);
    log.write(store).await;
    assert_eq!(contents(store).await, wanted);
    assert_eq!(position(store).await, log.end());
}

#[tokio::test]
async fn facts_are_read_as_they_were_written() {
    let database = Database::create().await;
    let log = history();
    log.write(&database.store).await;
    for fact in &log.facts {
        match fact {
            Fact::Version(version) => {
                assert_eq!(&database.store.version(&version.id).await.unwrap(), version)
            }
            Fact::Dataset(dataset, _) => {
                assert_eq!(&database.store.dataset(&dataset.id).await.unwrap(), dataset);
            }
            Fact::Requested(run) => {
                let read = database.store.run(&run.id).await.unwrap();
                let later = perennial_store::Run {
                    state: read.state,
                    finished_at: read.finished_at,
                    metrics: read.metrics.clone(),
                    gates: read.gates.clone(),
                    reason: read.reason.clone(),
                    row_visits: read.row_visits,
                    ..run.clone()
                };
                assert_eq!(read, later);
                assert!(read.finished_at > Some(run.requested_at));
            }
            Fact::Deployed(deployment) => {
                let page = database.store.deployments("bike", &PageRequest::default()).await.unwrap();
                assert!(page.items.contains(deployment));
            }
            Fact::Applied(project, _) => {
                let page = database.store.projects(&PageRequest::default()).await.unwrap();
                assert_eq!(&page.items, std::slice::from_ref(project));
            }
            Fact::Routed(routing) => {
                let page = PageRequest::default();
                let page = database.store.traffic("bike", hour(0), None, &page).await.unwrap();
                assert!(page.items.contains(routing));
            }
            Fact::Decided(_) | Fact::Ended(_) => {}
        }
    }
}

#[tokio::test]
async fn a_fact_about_something_unknown_is_refused_with_its_position() {
    let database = Database::create().await;
    let mut log = Log::new(&["bike-windowed"]);
    let version = log.train("bike-windowed", 1, &["bike-windowed/0".to_owned()]);
    let mut projection = Projection::begin(&database.store).await.unwrap();
    let mut refused = None;
    for fact in &log.facts {
        if let Err(error) = fact.write(&mut projection).await {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.unwrap();
    assert!(matches!(refused, StoreError::Fact { .. }));
    assert_eq!(
        refused.to_string(),
        format!(
            "the fact at position 2 cannot be projected: run {:?} has an unknown decision \"bike-windowed at 2\" \
             or parent Some(\"bike-windowed/0\")",
            version.run
        )
    );
}

#[tokio::test]
async fn a_judged_run_cannot_end_again() {
    let database = Database::create().await;
    let mut log = history();
    log.write(&database.store).await;
    let Some(Fact::Version(version)) =
        log.facts.iter().rev().find(|fact| matches!(fact, Fact::Version(_))).cloned()
    else {
        panic!("no version");
    };
    log.judge(&version, RunState::Promoted);
    let mut projection = Projection::begin(&database.store).await.unwrap();
    let again = log.facts.iter().rfind(|fact| matches!(fact, Fact::Ended(_))).unwrap();
    let error = again.write(&mut projection).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    assert!(error.to_string().contains("cannot become promoted from its state"), "{error}");
}

#[tokio::test]
async fn facts_cannot_be_changed_or_removed() {
    let database = Database::create().await;
    history().write(&database.store).await;
    let mut connection = database.connection().await;
    let tables = [
        ("project", "name"),
        ("dataset", "rows"),
        ("artifact", "bytes"),
        ("model_version", "number"),
        ("edge", "kind"),
        ("deployment", "kind"),
        ("routing", "cause"),
        ("routing_arm", "role"),
    ];
    for (table, column) in tables {
        for sql in [
            format!("UPDATE {table} SET {column} = {column}"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table} CASCADE"),
        ] {
            let message = connection.execute(AssertSqlSafe(sql.clone())).await.unwrap_err().to_string();
            assert!(message.contains("are never changed or removed"), "{sql}: {message}");
        }
    }
}
