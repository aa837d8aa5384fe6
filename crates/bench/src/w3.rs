//! A training set: 200,000 rows over two million events, strictly before each row, as occurred.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use perennial_features::point_in_time::{Mode, Query, replay};
use perennial_features::{EntityKey, Event, Tail, View, shard_of};
use perennial_types::{Position, Timestamp, Value};

use crate::Arguments;
use crate::data::{json_lines, labels, parse_all};
use crate::report::{Figure, Report, Stopwatch};
use crate::views::{SIX, SOURCE, WEEK, view};

const ROWS: usize = 200_000;

/// Each half of the keys on its own thread.
fn on_two_cores(view: &Arc<View>, events: &[Event<'_>], queries: &[Query]) -> Result<Vec<Vec<Value>>> {
    let half = |half: usize| {
        let own: Vec<usize> = (0..queries.len()).filter(|i| shard_of(&queries[*i].key, 2) == half).collect();
        let asked: Vec<Query> = own.iter().map(|i| queries[*i].clone()).collect();
        (own, replay(view, events, &asked, Mode::AsOccurred))
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        let mut values = vec![Vec::new(); queries.len()];
        let (own, mut read) = half(0);
        own.into_iter().zip(&mut read).for_each(|(i, read)| values[i] = std::mem::take(read));
        let (own, mut read) = other.join().map_err(|_| anyhow::anyhow!("the other half panicked"))?;
        own.into_iter().zip(&mut read).for_each(|(i, read)| values[i] = std::mem::take(read));
        Ok(values)
    })
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let payments = parse_all(&json_lines(arguments.data.as_deref(), arguments.events, 2_000_000)?)?;
    let labels = labels(&payments, ROWS);
    let rows: Vec<[Value; 2]> = payments
        .iter()
        .map(|payment| [Value::Int64(payment.user_id), Value::Double(payment.amount)])
        .collect();
    let queries: Vec<Query> = labels
        .iter()
        .map(|label| Query {
            key: EntityKey::from_values(&[Value::Int64(label.user_id)]),
            at: Timestamp::from_micros(label.ts * 1000),
            seen: Position::START,
        })
        .collect();
    for (name, tail) in [("tail exact", Tail::Exact), ("tail hop", Tail::Hop)] {
        if !name.contains(&arguments.only) {
            continue;
        }
        let view = view(&SIX, &WEEK, tail)?;
        let (mut cpu, mut wall) = (Vec::new(), Vec::new());
        for rep in 0..arguments.reps {
            let watch = Stopwatch::start();
            let mut newest = i64::MIN;
            let events: Vec<Event<'_>> = payments
                .iter()
                .zip(&rows)
                .enumerate()
                .map(|(i, (payment, row))| {
                    newest = newest.max(payment.ts);
                    Event {
                        position: Position(i as u64 + 1),
                        source: SOURCE,
                        row,
                        event_time: Timestamp::from_micros(payment.ts * 1000),
                        available_at: Timestamp::from_micros(newest * 1000),
                    }
                })
                .collect();
            let values = on_two_cores(&view, &events, &queries)?;
            let spent = watch.stop();
            cpu.push(spent.cpu.as_secs_f64());
            wall.push(spent.wall.as_secs_f64());
            if let Some(path) = arguments.dump.as_ref().filter(|_| rep == 0) {
                let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
                let mut dump = BufWriter::new(file);
                for (label, values) in labels.iter().zip(&values) {
                    let row = [label.ts as f64, label.user_id as f64];
                    let values = values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN));
                    for double in row.into_iter().chain(values) {
                        dump.write_all(&double.to_le_bytes())?;
                    }
                }
            }
        }
        let figure = |name: String, values, target| Figure { name, unit: "s", values, target, limit: None };
        report.add(figure(format!("{ROWS} rows of 24 features, {name}"), wall, Some(1.5)));
        report.add(figure(format!("{name}, CPU time"), cpu, None));
    }
    Ok(())
}
