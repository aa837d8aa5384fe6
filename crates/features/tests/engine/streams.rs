//! Sources that follow from others, against what their definitions say of all rows at once.

use std::sync::Arc;

use perennial_features::streams::{Derivation, DerivedEvent, Flow, MOST_WAITING};
use perennial_features::{EntityKey, Event, Op, Shard, Tail, View, ViewSpec, shard_of};
use perennial_types::{
    DedupeSpec, DerivedSpec, EnrichSpec, JoinSpec, KeyPair, NamedExpr, Operator, Position, Schema,
    SourceSpec, StreamSpec, TimeSpan, Timestamp, UnionPart, Value,
};
use proptest::prelude::*;

use crate::setup::aggregate;

const SECOND: i64 = 1_000_000;

/// A row of `orders` or of `deliveries`; times in seconds.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    order: bool,
    key: Option<i64>,
    time: i64,
    available_at: i64,
    x: i64,
}

impl Arrived {
    fn row(&self) -> Vec<Value> {
        let key = self.key.map_or(Value::Null, Value::Int64);
        vec![key, Value::Timestamp(at(self.time)), Value::Int64(self.x)]
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * SECOND)
}

fn span(seconds: i64) -> TimeSpan {
    TimeSpan::from_secs(seconds)
}

fn orders() -> SourceSpec {
    let columns = [("id", "int64?"), ("ordered", "timestamp"), ("amount", "int64")];
    SourceSpec::new("orders", Schema::parse(&columns).unwrap(), "ordered")
}

fn deliveries() -> SourceSpec {
    let columns = [("order_id", "int64?"), ("delivered", "timestamp"), ("amount", "int64")];
    SourceSpec::new("deliveries", Schema::parse(&columns).unwrap(), "delivered")
}

fn named(name: &str, expr: &str) -> NamedExpr {
    NamedExpr { name: name.into(), expr: expr.into() }
}

fn derived(operator: Operator, inputs: Vec<SourceSpec>, event_time: &str) -> SourceSpec {
    let stream = StreamSpec::Derived(Box::new(DerivedSpec { operator, inputs }));
    SourceSpec { stream, ..SourceSpec::new("derived", Schema::default(), event_time) }
}

fn on() -> Vec<KeyPair> {
    vec![KeyPair { left: "id".into(), right: "order_id".into() }]
}

fn join(within: i64, before: i64, inputs: [SourceSpec; 2]) -> SourceSpec {
    let (within, before) = (span(within), span(before));
    let (left, right) = ("orders".into(), "deliveries".into());
    let spec = JoinSpec { left, right, on: on(), within, before, columns: None };
    derived(Operator::Join(spec), inputs.into(), "matched")
}

fn enrich(inputs: [SourceSpec; 2]) -> SourceSpec {
    let columns = Some(vec![named("last", "deliveries.amount"), named("sum", "amount + deliveries.amount")]);
    let spec = EnrichSpec { of: "orders".into(), by: "deliveries".into(), on: on(), columns };
    derived(Operator::Enrich(spec), inputs.into(), "")
}

fn compiled(source: &SourceSpec) -> Arc<Derivation> {
    Derivation::compile(source).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// Rows in log order: mostly in time, some late, some dated ahead, some without a key.
fn arrivals() -> impl Strategy<Value = Vec<Arrived>> {
    let delay = prop_oneof![4 => 0..5_i64, 2 => 0..80_i64, 1 => -10..0_i64];
    let key = prop::option::weighted(0.95, 0..3_i64);
    prop::collection::vec((any::<bool>(), 0..15_i64, delay, key, 0..9_i64), 1..120).prop_map(|drawn| {
        let mut now = 1_000;
        let arrived = drawn.into_iter().map(|(order, gap, delay, key, x)| {
            now += gap;
            Arrived { order, key, time: now - delay, available_at: now, x }
        });
        arrived.collect()
    })
}

fn apply(flow: &mut Flow, position: usize, arrived: &Arrived) -> Vec<DerivedEvent> {
    let mut follows = Vec::new();
    let event = Event {
        position: Position(position as u64 + 1),
        source: if arrived.order { "orders" } else { "deliveries" },
        row: &arrived.row(),
        event_time: at(arrived.time),
        available_at: at(arrived.available_at),
    };
    flow.apply(&event, &mut follows);
    follows
}

fn follow(source: &SourceSpec, arrived: &[Arrived]) -> Vec<Vec<DerivedEvent>> {
    let mut flow = Flow::new(compiled(source));
    arrived.iter().enumerate().map(|(position, arrived)| apply(&mut flow, position, arrived)).collect()
}

/// The newest time among some rows of one of the sources.
fn newest(arrived: &[Arrived], order: bool) -> Option<i64> {
    let own = arrived.iter().filter(|row| row.order == order);
    own.map(|row| row.time.min(row.available_at)).max()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_join_has_every_pair_within_its_bound_whose_earlier_arrival_still_waits(
        arrived in arrivals(),
        (within, before) in (0..60_i64, 0..20_i64),
        (late, later) in (0..90_i64, 0..90_i64),
        retention in prop_oneof![Just(100_000), 20..200_i64],
    ) {
        let left = SourceSpec { lateness: span(late), retention: span(retention), ..orders() };
        let right = SourceSpec { lateness: span(later), retention: span(retention), ..deliveries() };
        let found = follow(&join(within, before, [left, right]), &arrived);
        for (i, new) in arrived.iter().enumerate() {
            let mut expected: Vec<(i64, usize)> = Vec::new();
            for (j, old) in arrived[..i].iter().enumerate() {
                let (order, delivery) = if new.order { (new, old) } else { (old, new) };
                let after = delivery.time - order.time;
                let pair = new.order != old.order && new.key.is_some() && new.key == old.key;
                // How long the old row waits for one of the new row's source, by that one's newest event.
                let (forward, lateness) = if old.order { (within, later) } else { (before, late) };
                let patience = lateness.max(within + before);
                let awaited = old.time + forward >= newest(&arrived[..=i], new.order).unwrap() - patience;
                let kept = old.time >= newest(&arrived[..=i], old.order).unwrap() - retention;
                if pair && (-before..=within).contains(&after) && awaited && kept {
                    expected.push((old.time, j));
                }
            }
            expected.sort_unstable();
            let rows: Vec<DerivedEvent> = expected.into_iter().map(|(_, j)| {
                let (order, delivery) = if new.order { (new, &arrived[j]) } else { (&arrived[j], new) };
                let time = at(order.time.max(delivery.time));
                let mut row = order.row();
                row.extend([delivery.row()[1].clone(), Value::Int64(delivery.x), Value::Timestamp(time)]);
                DerivedEvent { row, event_time: time }
            }).collect();
            prop_assert_eq!(&found[i], &rows, "arrival {}", i);
        }
    }

    #[test]
    fn an_enriched_row_has_the_latest_row_that_the_log_has_before_it(arrived in arrivals()) {
        let found = follow(&enrich([orders(), deliveries()]), &arrived);
        for (i, new) in arrived.iter().enumerate() {
            let known = arrived[..i].iter().filter(|old| !old.order && new.key.is_some() && old.key == new.key);
            let last = known.enumerate().max_by_key(|(j, old)| (old.time, *j)).map(|(_, old)| old.x);
            let value = |x: Option<i64>| x.map_or(Value::Null, Value::Int64);
            let mut row = new.row();
            row.extend([value(last), value(last.map(|last| last + new.x))]);
            let expected = new.order.then(|| DerivedEvent { row, event_time: at(new.time) });
            prop_assert_eq!(&found[i], &Vec::from_iter(expected), "arrival {}", i);
        }
    }

    #[test]
    fn a_row_is_passed_over_if_it_repeats_one_that_was_not(
        arrived in arrivals(),
        within in 1..60_i64,
        lateness in 0..90_i64,
        by_amount: bool,
    ) {
        let by = if by_amount { vec!["id".into(), "amount".into()] } else { vec!["id".into()] };
        let dedupe = Some(DedupeSpec { by, within: span(within) });
        let source = SourceSpec { dedupe, lateness: span(lateness), ..orders() };
        let found = follow(&source, &arrived);
        let mut passed: Vec<&Arrived> = Vec::new();
        for (i, new) in arrived.iter().enumerate().filter(|(_, new)| new.order) {
            let from = newest(&arrived[..=i], true).unwrap() - within - lateness;
            let repeats = new.key.is_some() && passed.iter().any(|old| {
                let same = old.key == new.key && (!by_amount || old.x == new.x);
                same && old.time >= from && (old.time - new.time).abs() <= within
            });
            prop_assert_eq!(found[i].len(), usize::from(!repeats), "arrival {}", i);
            if !repeats {
                passed.push(new);
            }
        }
    }

    #[test]
    fn what_is_saved_and_loaded_anywhere_goes_on_as_if_nothing_had_been(
        arrived in arrivals(),
        cut in 0.0..1.0_f64,
    ) {
        let repeated = SourceSpec { dedupe: Some(DedupeSpec { by: vec!["id".into()], within: span(5) }), ..orders() };
        let joined = join(30, 5, [repeated.clone(), deliveries()]);
        let whole = compiled(&enrich([SourceSpec { name: "orders".into(), ..repeated }, deliveries()]));
        for derivation in [compiled(&joined), whole] {
            let mut flow = Flow::new(Arc::clone(&derivation));
            let cut = (arrived.len() as f64 * cut) as usize;
            for (position, one) in arrived[..cut].iter().enumerate() {
                apply(&mut flow, position, one);
            }
            let mut loaded = Flow::load(Arc::clone(&derivation), &flow.save()).unwrap();
            prop_assert_eq!(loaded.save(), flow.save());
            // What was taken is not taken again.
            for (position, one) in arrived[..cut].iter().enumerate() {
                prop_assert_eq!(apply(&mut loaded, position, one), []);
            }
            for (position, one) in arrived.iter().enumerate().skip(cut) {
                prop_assert_eq!(apply(&mut loaded, position, one), apply(&mut flow, position, one));
            }
            prop_assert_eq!(loaded.save(), flow.save());
        }
    }

    #[test]
    fn every_row_that_follows_from_one_event_counts_whatever_the_shards_and_batches(
        arrived in arrivals(),
        shards in 1..4_usize,
        together in 1..9_usize,
    ) {
        let source = Derivation::complete(&join(60, 20, [orders(), deliveries()])).unwrap();
        let spec = ViewSpec {
            name: "v".into(),
            entity: vec!["amount".into()],
            from: "derived".into(),
            columns: vec![],
            aggregates: vec![aggregate("pairs", &[Op::Count], None, &["1d"], Tail::Hop)],
            derived: vec![],
        };
        let view = View::compile(spec, &source).unwrap();
        let mut states: Vec<Shard> = (0..shards).map(|_| Shard::new(vec![Arc::clone(&view)])).collect();
        let found = follow(&source, &arrived);
        let events: Vec<(usize, &DerivedEvent)> =
            found.iter().enumerate().flat_map(|(i, found)| found.iter().map(move |one| (i, one))).collect();
        let as_event = |(i, one): &(usize, &'_ DerivedEvent)| (Position(*i as u64 + 1), *i, one.row.clone(), one.event_time);
        let owned: Vec<_> = events.iter().map(as_event).collect();
        let events: Vec<Event<'_>> = owned.iter().map(|(position, i, row, event_time)| Event {
            position: *position,
            source: "derived",
            row,
            event_time: *event_time,
            available_at: at(arrived[*i].available_at),
        }).collect();
        // Batches end between positions, at any of them.
        let mut rest = events.as_slice();
        while !rest.is_empty() {
            let least = together.min(rest.len());
            let end = rest[least..].iter().position(|event| event.position != rest[least - 1].position);
            let (batch, after) = rest.split_at(least + end.unwrap_or(rest.len() - least));
            for (index, state) in states.iter_mut().enumerate() {
                state.apply_batch(batch, |key| shard_of(key, shards) == index);
                state.apply_batch(batch, |key| shard_of(key, shards) == index);
            }
            rest = after;
        }
        for amount in 0..9_i64 {
            let key = EntityKey::from_values(&[Value::Int64(amount)]);
            let reading = states[shard_of(&key, shards)].read(view.version(), &key, at(80_000));
            let expected = events.iter().filter(|event| event.row[2] == Value::Int64(amount)).count();
            prop_assert_eq!(reading.values, [Value::Int64(expected as i64)]);
        }
    }
}

#[test]
fn a_union_has_the_columns_that_each_source_gives() {
    let columns = |user: &str, amount: &str| Some(vec![named("user", user), named("amount", amount)]);
    let parts = vec![
        UnionPart { source: "orders".into(), columns: columns("id", "amount") },
        UnionPart { source: "deliveries".into(), columns: columns("order_id", "-amount") },
    ];
    let union = derived(Operator::Union(parts), vec![orders(), deliveries()], "at");
    let schema = Derivation::complete(&union).unwrap().schema;
    assert_eq!(schema.names().collect::<Vec<_>>(), ["user", "amount", "at"]);
    let arrived =
        [true, false].map(|order| Arrived { order, key: Some(4), time: 10, available_at: 11, x: 3 });
    let rows: Vec<Vec<Value>> = follow(&union, &arrived).concat().into_iter().map(|one| one.row).collect();
    let row = |amount| vec![Value::Int64(4), Value::Int64(amount), Value::Timestamp(at(10))];
    assert_eq!(rows, [row(3), row(-3)]);
    // All columns by their names: what a source does not have is NULL.
    let parts = ["orders", "deliveries"].map(|source| UnionPart { source: source.into(), columns: None });
    let union = derived(Operator::Union(parts.into()), vec![orders(), deliveries()], "at");
    let schema = Derivation::complete(&union).unwrap().schema;
    assert_eq!(
        schema.names().collect::<Vec<_>>(),
        ["id", "ordered", "amount", "order_id", "delivered", "at"]
    );
    let rows: Vec<Vec<Value>> = follow(&union, &arrived).concat().into_iter().map(|one| one.row).collect();
    assert_eq!((&rows[0][3], &rows[1][0], &rows[1][2]), (&Value::Null, &Value::Null, &Value::Int64(3)));
}

#[test]
fn a_source_that_enriches_itself_sees_its_row_before() {
    let on = vec![KeyPair { left: "id".into(), right: "id".into() }];
    let columns = Some(vec![named("before", "orders.amount")]);
    let spec = EnrichSpec { of: "orders".into(), by: "orders".into(), on, columns };
    let source = derived(Operator::Enrich(spec), vec![orders(), orders()], "");
    let arrived: Vec<Arrived> =
        (0..3).map(|x| Arrived { order: true, key: Some(1), time: x, available_at: x, x }).collect();
    let before: Vec<Value> =
        follow(&source, &arrived).concat().iter().map(|one| one.row[3].clone()).collect();
    assert_eq!(before, [Value::Null, Value::Int64(0), Value::Int64(1)]);
}

#[test]
fn what_waits_and_what_was_seen_is_bounded() {
    let (mut joined, mut seen) = (
        Flow::new(compiled(&join(60, 0, [orders(), deliveries()]))),
        Flow::new(compiled(&SourceSpec {
            dedupe: Some(DedupeSpec { by: vec!["id".into()], within: span(60) }),
            ..orders()
        })),
    );
    for i in 0..40_000_i64 {
        let arrived = Arrived { order: i % 2 == 0, key: Some(i), time: i, available_at: i, x: 0 };
        apply(&mut joined, i as usize, &arrived);
        apply(&mut seen, i as usize, &Arrived { order: true, ..arrived });
    }
    // Of the last two minutes, before what is not needed is looked for.
    assert!(joined.kept() < 3_000 && seen.kept() < 2_000, "{} and {}", joined.kept(), seen.kept());
    // Of one key a thousand wait, and the earliest gives way.
    let mut hot = Flow::new(compiled(&join(100_000, 0, [orders(), deliveries()])));
    for i in 0..MOST_WAITING as i64 + 10 {
        let arrived = Arrived { order: true, key: Some(1), time: i, available_at: i, x: i };
        apply(&mut hot, i as usize, &arrived);
    }
    let delivery = Arrived { order: false, key: Some(1), time: 5_000, available_at: 5_000, x: 0 };
    let pairs = apply(&mut hot, 10_000, &delivery);
    assert_eq!((pairs.len(), &pairs[0].row[2]), (MOST_WAITING, &Value::Int64(10)));
}

#[test]
fn faults_name_the_field_and_what_would_help() {
    let faults = |source: &SourceSpec| -> Vec<String> {
        let faults = Derivation::compile(source).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect()
    };
    let text = SourceSpec {
        schema: Schema::parse(&[("order_id", "string"), ("delivered", "timestamp")]).unwrap(),
        ..deliveries()
    };
    assert_eq!(
        faults(&SourceSpec { event_time: "".into(), ..join(1, 0, [orders(), text]) }),
        [
            "source \"derived\", stream.join.on[0]: \"id\" of \"orders\" is int64 and \"order_id\" of \
             \"deliveries\" is string, which are never equal",
            "source \"derived\", event_time: a pair of rows happens when the later one did; name the column that \
             takes it, as event_time: matched_at",
        ]
    );
    let columns = Some(vec![named("amount", "deliveries.amount"), named("x", "deliveries.amonut")]);
    let on = vec![KeyPair { left: "idd".into(), right: "order_id".into() }];
    let spec = EnrichSpec { of: "orders".into(), by: "deliveries".into(), on, columns };
    let wrong = derived(Operator::Enrich(spec), vec![orders(), deliveries()], "at");
    assert_eq!(
        faults(&wrong),
        [
            "source \"derived\", stream.enrich.on[0]: source \"orders\" has no column \"idd\"; did you mean \"id\"?",
            "source \"derived\", stream.enrich.columns.amount: there is a column \"amount\" already; list others by \
             columns",
            "source \"derived\", stream.enrich.columns.x: unknown column \"deliveries.amonut\"; did you mean \
             \"deliveries.amount\"? (line 1, column 1)",
            "source \"derived\", event_time: its rows happen when those of \"orders\" do; leave event_time out",
        ]
    );
}

#[test]
fn a_view_is_another_if_what_its_source_follows_from_is() {
    let version = |source: &SourceSpec| {
        let spec = ViewSpec {
            name: "v".into(),
            entity: vec!["id".into()],
            from: source.name.clone(),
            columns: vec![],
            aggregates: vec![aggregate("n", &[Op::Count], None, &["1d"], Tail::Hop)],
            derived: vec![],
        };
        View::compile(spec, &Derivation::complete(source).unwrap()).unwrap().version()
    };
    let joined = join(60, 0, [orders(), deliveries()]);
    let lateness = |lateness| SourceSpec { lateness, ..deliveries() };
    assert_ne!(version(&joined), version(&join(61, 0, [orders(), deliveries()])));
    assert_ne!(version(&joined), version(&join(60, 0, [orders(), lateness(span(600))])));
    let enriched = |by: SourceSpec| version(&enrich([orders(), by]));
    assert_eq!(enriched(deliveries()), enriched(lateness(span(600))), "the last row does not depend on it");
    assert_eq!(version(&orders()), version(&SourceSpec { lateness: span(5), ..orders() }));
    let dedupe = Some(DedupeSpec { by: vec!["id".into()], within: span(1) });
    assert_ne!(version(&orders()), version(&SourceSpec { dedupe, ..orders() }));
    // A column more, which the view does not read.
    let columns =
        [("order_id", "int64?"), ("delivered", "timestamp"), ("amount", "int64"), ("note", "string?")];
    let wider = SourceSpec { schema: Schema::parse(&columns).unwrap(), ..deliveries() };
    assert_eq!(version(&joined), version(&join(60, 0, [orders(), wider])));
}
