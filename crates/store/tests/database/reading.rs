//! Questions about versions, decisions and what served.

use perennial_store::{DecisionFilter, PageRequest, RunFilter, RunState, StoreError, Verdict};
use perennial_types::Kind;

use crate::facts::{Fact, Log, hash, hour};
use crate::server::Database;

#[tokio::test]
async fn a_version_is_found_by_id_hash_and_unique_beginning() {
    let database = Database::create().await;
    let store = &database.store;
    let mut log = Log::new(&["bike-raw", "bike-windowed"]);
    let version = log.train("bike-raw", 1, &[]);
    let mut twin = log.train("bike-windowed", 1, &[]);
    if let Some(Fact::Version(fact)) = log.facts.last_mut() {
        fact.content_hash = hash("something else");
        twin = fact.clone();
    }
    log.write(store).await;
    let text = version.content_hash.to_string();
    for name in ["bike-raw/1", &text, &text[..8], &text[..12].to_uppercase()] {
        assert_eq!(store.version(name).await.unwrap().id, "bike-raw/1", "{name}");
    }
    assert_eq!(store.version(&twin.content_hash.short()).await.unwrap().id, "bike-windowed/1");
    for name in ["bike-raw/2", &text[..7], "", "00000000"] {
        let error = store.version(name).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{name}");
    }
    assert_eq!(
        store.version("bike-raw/2").await.unwrap_err().to_string(),
        "there is no model version \"bike-raw/2\"; name one as model/number, or by at least 8 digits of its \
         content hash"
    );
    let error = store.versions("bike-rwa", &PageRequest::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no model \"bike-rwa\"; did you mean \"bike-raw\"?");
}

#[tokio::test]
async fn a_hash_of_two_versions_is_refused_with_their_names() {
    let database = Database::create().await;
    let mut log = Log::new(&["bike-raw"]);
    log.train("bike-raw", 1, &[]);
    log.train("bike-raw", 2, &[]);
    if let Some(Fact::Version(second)) = log.facts.last_mut() {
        second.content_hash = hash("bike-raw/1");
    }
    log.write(&database.store).await;
    let error = database.store.version(&hash("bike-raw/1").short()).await.unwrap_err();
    let StoreError::Ambiguous { candidates, .. } = error else { panic!("{error}") };
    assert_eq!(candidates, ["bike-raw/1", "bike-raw/2"]);
}

#[tokio::test]
async fn why_a_version_exists_is_a_sentence_with_its_evidence() {
    let database = Database::create().await;
    let mut log = Log::new(&["bike-windowed"]);
    let first = log.train("bike-windowed", 1, &[]);
    log.judge(&first, RunState::Promoted);
    let second = log.train("bike-windowed", 2, std::slice::from_ref(&first.id));
    log.judge(&second, RunState::Promoted);
    log.write(&database.store).await;
    let why = database.store.why("bike-windowed/2").await.unwrap();
    assert_eq!(
        why.sentence,
        "bike-windowed/2 was fine-tuned from bike-windowed/1 at 2011-01-01T05:00:00Z because trigger \"degraded\" \
         of policy \"keep-fresh\" fired: quality.relative_change is 0.07, above 0.05. It saw 72 rows, from \
         position 1 to 5, and 48 were held out. It was promoted: not proven worse: 1.1 % within the margin of 5 %."
    );
    assert_eq!(why.decision.signals["quality"]["value"], 0.1 + 0.2);
    assert_eq!(why.decision.run, Some(why.run.id.clone()));
    assert_eq!(why.run.parent, Some(first.id));
    assert_eq!(why.run.gates, Some(serde_json::json!([{"passed": true}])));
    assert_eq!(why.dataset.id, second.dataset);
    assert_eq!(why.deployments.len(), 1);
    let page = database.store.versions_of_dataset(&second.dataset, &PageRequest::default()).await.unwrap();
    assert_eq!(page.items, [why.version]);
}

fn about(model: &str, policy: Option<&str>) -> DecisionFilter {
    DecisionFilter {
        model: Some(model.to_owned()),
        policy: policy.map(str::to_owned),
        ..DecisionFilter::default()
    }
}

#[tokio::test]
async fn a_decision_is_in_force_until_the_next_one_about_its_model() {
    let database = Database::create().await;
    let store = &database.store;
    let mut log = Log::new(&["a", "b"]);
    let decisions = [
        log.decide("a", Verdict::Changed),
        log.decide("b", Verdict::Held),
        log.decide("a", Verdict::Held),
        log.decide("a", Verdict::Started),
    ];
    log.write(store).await;
    for at in 0..8 {
        let latest = decisions
            .iter()
            .rfind(|decision| decision.model.as_deref() == Some("a") && decision.at <= hour(at));
        let found = store.decisions_at(&about("a", Some("keep-fresh")), hour(at)).await.unwrap();
        let keys = |key: &str| found.iter().map(|found| found.key.clone()).eq([key.to_owned()]);
        assert!(latest.map_or(found.is_empty(), |latest| keys(&latest.key)), "at {at}: {found:?}");
    }
    assert!(store.decisions_at(&about("a", Some("other")), hour(5)).await.unwrap().is_empty());
    assert_eq!(store.decisions_at(&about("b", None), hour(5)).await.unwrap()[0].until, None);
    let counts = store.decision_counts().await.unwrap();
    assert_eq!((counts[0].started, counts[0].held, counts[0].changed), (1, 1, 1));
    assert_eq!((counts[1].started, counts[1].held, counts[1].changed), (0, 1, 0));
    let held = DecisionFilter { verdict: Some(Verdict::Held), ..DecisionFilter::default() };
    let page = store.decisions(&held, &PageRequest::default()).await.unwrap();
    let models: Vec<_> = page.items.iter().map(|item| item.model.as_deref().unwrap()).collect();
    assert_eq!(models, ["a", "b"]);
    assert_eq!(page.items[0].until, Some(decisions[3].at));
}

#[tokio::test]
async fn pages_join_to_the_whole_list() {
    let database = Database::create().await;
    let store = &database.store;
    let mut log = Log::new(&["a", "b", "c"]);
    let mut wanted: Vec<String> = (0..7).map(|i| log.request(["a", "b"][i % 2], None).id).collect();
    wanted.reverse();
    log.write(store).await;
    let mut page = PageRequest { page_size: 3, page_token: None };
    let mut found = Vec::new();
    loop {
        let answer = store.runs(&RunFilter::default(), &page).await.unwrap();
        found.extend(answer.items.into_iter().map(|run| run.id));
        let Some(next) = answer.next else { break };
        page.page_token = Some(next);
    }
    assert_eq!(found, wanted);
    let page = PageRequest { page_size: 2, page_token: None };
    let first = store.models(&page).await.unwrap();
    let second = store.models(&PageRequest { page_token: first.next, ..page }).await.unwrap();
    assert_eq!(second.items[0].name, "c");
    assert_eq!(second.next, None);
}
