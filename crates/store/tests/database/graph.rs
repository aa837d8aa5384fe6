//! The graph of versions, against a slow walk of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perennial_store::{PageRequest, Projection, Relatives, Store, Walk};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sqlx::{Executor, PgConnection, Row};

use crate::facts::Log;
use crate::server::Database;

/// The nodes that can be reached, with the shortest distance, found by going round all edges until nothing
/// changes.
fn reachable(edges: &[(usize, usize)], from: usize) -> Vec<(u32, usize)> {
    let mut distance = BTreeMap::from([(from, 0_u32)]);
    loop {
        let mut changed = false;
        for (a, b) in edges {
            let Some(steps) = distance.get(a).map(|steps| steps + 1) else { continue };
            if distance.get(b).is_none_or(|known| steps < *known) {
                distance.insert(*b, steps);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut found: Vec<(u32, usize)> = distance.into_iter().map(|(node, steps)| (steps, node)).collect();
    found.retain(|(steps, _)| *steps > 0);
    found.sort_unstable();
    found
}

/// Every page of an answer, one after another.
async fn all(store: &Store, down: bool, version: &str, depth: u32, page_size: u32) -> Vec<(u32, String)> {
    let mut walk = Walk { depth, page: PageRequest { page_size, page_token: None } };
    let mut found = Vec::new();
    loop {
        let Relatives { items, truncated, next } = match down {
            true => store.descendants(version, &walk).await.unwrap(),
            false => store.ancestors(version, &walk).await.unwrap(),
        };
        assert!(items.len() <= page_size as usize);
        assert_eq!(truncated, next.is_some());
        found.extend(items.into_iter().map(|relative| (relative.depth, relative.version.id)));
        match next {
            None => return found,
            Some(token) => walk.page.page_token = Some(token),
        }
    }
}

#[test]
fn relatives_are_those_of_a_slow_walk_in_pages_of_any_size() {
    let parents = prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..16);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(Database::create());
    let store = &database.store;
    let checked = TestRunner::new(ProptestConfig::with_cases(12)).run(
        &(parents, 1_u32..6, 1_u32..6),
        |(draws, depth, page_size)| {
            runtime.block_on(async {
                let start = Projection::begin(store).await.unwrap().position();
                let model = format!("m{start}");
                let mut log = Log::after(start, "bike", &[&model]);
                let id = |node: usize| format!("{model}/{}", node + 1);
                let mut edges = Vec::new();
                for (node, draws) in draws.iter().enumerate() {
                    let parents = draws.iter().filter(|_| node > 0).map(|draw| draw.index(node));
                    let parents: BTreeSet<usize> = parents.collect();
                    let names: Vec<String> = parents.iter().map(|parent| id(*parent)).collect();
                    log.train(&model, node as u64 + 1, &names);
                    edges.extend(parents.into_iter().map(|parent| (node, parent)));
                }
                log.write(store).await;
                let reversed: Vec<(usize, usize)> = edges.iter().map(|(a, b)| (*b, *a)).collect();
                for node in 0..draws.len() {
                    for (down, edges) in [(false, &edges), (true, &reversed)] {
                        let wanted =
                            reachable(edges, node).into_iter().map(|(steps, node)| (steps, id(node)));
                        let found = all(store, down, &id(node), depth, page_size).await;
                        prop_assert_eq!(found, wanted.collect::<Vec<_>>());
                    }
                }
                Ok(())
            })
        },
    );
    checked.unwrap();
}

/// Ten families of a thousand generations, as rows.
const FAMILIES: &str = "
    INSERT INTO model (name, endpoint) VALUES ('m', 'e');
    INSERT INTO artifact (sha256, bytes) VALUES (REPEAT('a', 64), 1);
    INSERT INTO dataset (public_id, model, endpoint, from_position, to_position, from_time, to_time, rows,
                         holdout_rows, streams)
    VALUES (REPEAT('d', 64), 'm', 'e', 1, 2, NOW(), NOW(), 1, 0, '[]');
    INSERT INTO decision (key, at, until, position, about, model, endpoint, verdict, reason, evaluations, signals)
    SELECT 'k' || i, NOW(), NOW(), i, 'm', 'm', 'e', 'started', '', '[]', '{}' FROM GENERATE_SERIES(1, 10000) i;
    INSERT INTO run (public_id, model, action, decision, requested_at, position, inputs)
    SELECT 'r' || i, 'm', 'fine_tune', i, NOW(), i, '{}' FROM GENERATE_SERIES(1, 10000) i;
    INSERT INTO model_version (public_id, model, number, content_hash, artifact, run, dataset, definition, inputs,
                               created_at, position, metrics)
    SELECT 'm/' || i, 'm', i, ENCODE(SHA256(i::TEXT::BYTEA), 'hex'), REPEAT('a', 64), i, 1, REPEAT('d', 64), '[]', NOW(), i,
           '{}'
    FROM GENERATE_SERIES(1, 10000) i;
    INSERT INTO edge (child, parent, kind) SELECT i, i - 10, 'fine_tune' FROM GENERATE_SERIES(11, 10000) i;
    ANALYZE";

/// How often the whole of a table was read, once all other connections have ended and told of theirs.
async fn whole_reads(connection: &mut PgConnection) -> Vec<(String, i64)> {
    let others = "SELECT COUNT(*) FROM pg_stat_activity
                  WHERE datname = CURRENT_DATABASE() AND pid <> PG_BACKEND_PID()";
    while connection.fetch_one(others).await.unwrap().get::<i64, _>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sql = "SELECT relname::TEXT, seq_scan FROM pg_stat_user_tables
               WHERE relname IN ('edge', 'model_version', 'run', 'decision')
               ORDER BY relname";
    sqlx::query_as(sql).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn a_walk_over_ten_thousand_versions_reads_no_table_as_a_whole() {
    let database = Database::create().await;
    let mut loader = database.connection().await;
    loader.execute("SELECT 1").await.unwrap();
    sqlx::raw_sql(FAMILIES).execute(&mut loader).await.unwrap();
    sqlx::Connection::close(loader).await.unwrap();
    let mut connection = database.connection().await;
    database.store.close().await;
    let before = whole_reads(&mut connection).await;
    let store = database.reconnect().await;
    // Often enough that a prepared plan for any version is considered, too.
    for _ in 0..8 {
        let walk = Walk { depth: 1_000, page: PageRequest { page_size: 200, page_token: None } };
        let page = store.ancestors("m/9991", &walk).await.unwrap();
        assert_eq!(page.items.len(), 200);
        assert_eq!(page.items[199].version.id, "m/7991");
        let page = store.descendants("m/9", &walk).await.unwrap();
        assert_eq!(page.items[199].version.id, "m/2009");
        let hash = &page.items[0].version.content_hash;
        assert_eq!(store.version(&hash.short()).await.unwrap().id, "m/19");
        store.why("m/5000").await.unwrap();
    }
    store.close().await;
    assert_eq!(whole_reads(&mut connection).await, before);
}
