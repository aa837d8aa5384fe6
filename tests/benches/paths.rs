//! What the parts of the hot path cost, each beside the same work written by hand, in one run: on a shared
//! machine ratios mean something, single figures little.
//!
//! `cargo xtask bench`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use perennial_expr::Expr;
use perennial_features::{AggregateSpec, EntityKey, Event, NamedExpr, Op, Shard, Tail, View, ViewSpec};
use perennial_learn::{
    FitSpec, Fitted, InFineTune, LearnerSpec, Missing, OutputSpec, SgdSpec, Task, TransformFn, TransformSpec,
};
use perennial_log::{Batch, Durability, Log, LogOptions, Order, SystemFiles};
use perennial_types::{Entry, Position, Schema, SourceSpec, Stream, TimeSpan, Timestamp, Value, unit_draw};

fn main() -> Result<()> {
    println!("{:<44}{:>12}{:>14}{:>8}", "", "ours", "by hand", "ratio");
    expressions()?;
    features()?;
    predictions()?;
    appends()
}

/// Nanoseconds for one call, the fastest of seven rounds.
fn nanos(calls: usize, mut work: impl FnMut(usize)) -> f64 {
    let round = |work: &mut dyn FnMut(usize)| {
        let begun = Instant::now();
        (0..calls).for_each(work);
        begun.elapsed().as_nanos() as f64 / calls as f64
    };
    (0..7).map(|_| round(&mut work)).fold(f64::INFINITY, f64::min)
}

fn print(what: &str, ours: f64, by_hand: f64) {
    println!("{what:<44}{ours:>9.1} ns{by_hand:>11.1} ns{:>8.1}", ours / by_hand);
}

fn expressions() -> Result<()> {
    let schema = Schema::parse(&[("a", "double"), ("b", "double"), ("c", "int64")])?;
    let rows: Vec<Vec<Value>> = (0..1024)
        .map(|i| {
            let a = unit_draw(1, &[&i.to_string()]);
            vec![Value::Double(a), Value::Double(a * 3.0), Value::Int64(i)]
        })
        .collect();
    let plain: Vec<(f64, f64, i64)> = (0..1024)
        .map(|i| (rows[i][0].as_f64().unwrap_or(0.0), rows[i][1].as_f64().unwrap_or(0.0), i as i64))
        .collect();
    let arithmetic = Expr::compile("a * 1.5 + b / (c + 1) - a", &schema)?;
    let ours = nanos(100_000, |i| drop(black_box(arithmetic.evaluate(&rows[i & 1023]))));
    let hand = nanos(100_000, |i| {
        let (a, b, c) = plain[i & 1023];
        black_box(a * 1.5 + b / (c as f64 + 1.0) - a);
    });
    print("expression: arithmetic, one row", ours, hand);
    let case = Expr::compile("CASE WHEN a > 0.8 THEN 1 WHEN b > 1 THEN 2 ELSE c END", &schema)?;
    let ours = nanos(100_000, |i| drop(black_box(case.evaluate(&rows[i & 1023]))));
    let hand = nanos(100_000, |i| {
        let (a, b, c) = plain[i & 1023];
        black_box(if a > 0.8 {
            1
        } else if b > 1.0 {
            2
        } else {
            c
        });
    });
    print("expression: case, one row", ours, hand);
    Ok(())
}

/// A view of three aggregates over two windows, ten thousand keys, a day of events.
fn features() -> Result<()> {
    let schema = Schema::parse(&[("at", "timestamp"), ("user", "int64"), ("amount", "double")])?;
    let source = SourceSpec::new("payments", schema, "at");
    let spec = ViewSpec {
        name: "spending".into(),
        entity: vec!["user".into()],
        from: "payments".into(),
        columns: vec![NamedExpr { name: "cents".into(), expr: "amount * 100".into() }],
        aggregates: vec![AggregateSpec {
            name: "cents".into(),
            ops: vec![Op::Count, Op::Sum, Op::Max],
            op_in_name: true,
            of: Some("cents".into()),
            with: None,
            by: None,
            edges: vec![],
            filter: None,
            windows: vec![TimeSpan::from_hours(1).into(), TimeSpan::from_days(7).into()],
            tail: Tail::Hop,
        }],
        derived: Vec::new(),
    };
    let view = View::compile(spec, &source)?;
    let events: Vec<(Timestamp, Vec<Value>)> = (0..200_000)
        .map(|i| {
            let at = Timestamp::from_micros(1_600_000_000_000_000 + i * 432_000);
            let user = (unit_draw(2, &[&i.to_string()]) * 10_000.0) as i64;
            (at, vec![Value::Timestamp(at), Value::Int64(user), Value::Double(i as f64 % 97.0)])
        })
        .collect();
    let mut best = f64::INFINITY;
    let mut shard = Shard::new(vec![Arc::clone(&view)]);
    for _ in 0..3 {
        shard = Shard::new(vec![Arc::clone(&view)]);
        let begun = Instant::now();
        for (i, (at, row)) in events.iter().enumerate() {
            let position = Position(i as u64 + 1);
            let event = Event { position, source: "payments", row, event_time: *at, available_at: *at };
            shard.apply(&event, |_| true);
        }
        best = best.min(begun.elapsed().as_nanos() as f64 / events.len() as f64);
    }
    let mut sums = std::collections::HashMap::<i64, (u64, f64, f64)>::new();
    let hand = nanos(events.len(), |i| {
        if let (Value::Int64(user), Value::Double(amount)) = (&events[i].1[1], &events[i].1[2]) {
            let state = sums.entry(*user).or_default();
            *state = (state.0 + 1, state.1 + amount * 100.0, state.2.max(amount * 100.0));
        }
    });
    print("features: apply an event (by hand: no windows)", best, hand);
    let last = events.last().map(|(at, _)| *at).unwrap_or_default() + TimeSpan::from_secs(1);
    let keys: Vec<EntityKey> =
        (0..1024).map(|user| EntityKey::from_values(&[Value::Int64(user * 7 % 10_000)])).collect();
    let ours = nanos(20_000, |i| drop(black_box(shard.read(view.version(), &keys[i & 1023], last))));
    let hand = nanos(20_000, |i| {
        black_box(sums.get(&(i as i64 * 7 % 10_000)).copied());
    });
    print("features: read six (by hand: one look-up)", ours, hand);
    Ok(())
}

/// A linear model of ten standardized inputs and a one-hot of 48.
fn predictions() -> Result<()> {
    let inputs: Vec<Arc<str>> = (0..10).map(|i| format!("x{i}").into()).chain(["slot".into()]).collect();
    let standardize =
        TransformFn::Standardize { clip: 5.0, missing: Missing::Mean, in_fine_tune: InFineTune::Moving };
    let one_hot = TransformFn::OneHot { unknown: perennial_learn::UnknownCategory::Other };
    let spec = FitSpec {
        task: Task::Regression,
        inputs: inputs.clone(),
        transforms: vec![
            TransformSpec { of: inputs[..10].to_vec(), function: standardize },
            TransformSpec { of: inputs[10..].to_vec(), function: one_hot },
        ],
        learner: LearnerSpec::Linear(SgdSpec { learning_rate: 0.01, l2: 1e-5, epochs: 5 }),
        output: OutputSpec::default(),
    };
    let rows: Vec<Vec<Value>> = (0..4096_i64)
        .map(|i| {
            let x = |column: i64| Value::Double(unit_draw(3, &[&i.to_string(), &column.to_string()]));
            (0..10).map(x).chain([Value::Int64(i % 48)]).collect()
        })
        .collect();
    let labels: Vec<f64> = (0..rows.len()).map(|i| i as f64 % 13.0).collect();
    let begun = Instant::now();
    let fitted = Fitted::fit(&spec, &rows, &labels)?;
    let visit = begun.elapsed().as_nanos() as f64 / (rows.len() * 5) as f64;
    let dense: Vec<[f64; 58]> = (0..1024).map(|i| std::array::from_fn(|j| (i * j) as f64)).collect();
    let weights: [f64; 58] = std::array::from_fn(|j| j as f64);
    let dot = nanos(100_000, |i| {
        black_box(dense[i & 1023].iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>());
    });
    print("learn: one row visit of a fit (by hand: a dot)", visit, dot);
    let ours = nanos(100_000, |i| drop(black_box(fitted.predict(&rows[i & 4095]))));
    print("learn: predict one row (by hand: a dot)", ours, dot);
    Ok(())
}

/// Batches of a hundred events, each synced before the next, beside writes and syncs of a plain file.
fn appends() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = Log::open(Arc::new(SystemFiles), LogOptions::new(dir.path().join("log")), Box::new(|_| {}))?;
    let entry = Entry {
        stream: Stream::Event,
        source: "payments".into(),
        key: "".into(),
        event_time: Timestamp::default(),
        available_at: Timestamp::default(),
        id: "".into(),
        payload: vec![b'x'; 200],
    };
    let batches = 200;
    let ours = nanos(batches, |_| {
        let entries = vec![entry.clone(); 100];
        let batch = Batch { entries, durability: Durability::Synced, order: Order::Clamp };
        drop(black_box(log.append(batch).wait()));
    });
    let mut file = std::fs::File::create(dir.path().join("plain"))?;
    let bytes = vec![b'x'; 100 * 250];
    let mut failed = None;
    let hand = nanos(batches, |_| {
        use std::io::Write;
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            failed = Some(error);
        }
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    print("log: append an event, synced by hundreds", ours / 100.0, hand / 100.0);
    log.close();
    Ok(())
}
