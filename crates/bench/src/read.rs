//! Thirty features of one entity: five ops over six windows.

use std::hint::black_box;

use anyhow::Result;
use perennial_features::{EntityKey, Event, ReadRoom, Reading, Shard, Tail};
use perennial_types::{Position, Timestamp, Value};

use crate::Arguments;
use crate::data::Random;
use crate::report::{Figure, Report, Stopwatch};
use crate::views::{FIVE, QUARTER, SOURCE, view};

const SPAN: i64 = 90 * 86_400_000_000;
const START: i64 = 1_760_000_000_000_000;

/// Keys, and events that each has in ninety days.
const CASES: [(&str, usize, usize); 3] = [
    ("30 events a key", 100_000, 30),
    ("3,000 events a key", 2_000, 3_000),
    ("1 M events a key", 3, 1_000_000),
];

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    for (name, keys, each) in CASES {
        if !name.contains(&arguments.only) {
            continue;
        }
        let view = view(&FIVE, &QUARTER, Tail::Hop)?;
        let mut shard = Shard::new(vec![view.clone()]);
        let mut random = Random(5);
        let events = keys * each;
        for i in 0..events {
            let time = Timestamp::from_micros(START + (SPAN / events as i64) * i as i64);
            let key = Value::Int64(random.below(keys as u64) as i64);
            let row = [key.clone(), Value::Double(random.unit())];
            let position = Position(i as u64 + 1);
            let event = Event { position, source: SOURCE, row: &row, event_time: time, available_at: time };
            shard.apply(&event, |_| true);
            // The keys are in use: what is read while events come keeps its merges.
            if i > events / 10 * 9 {
                black_box(shard.read(view.version(), &EntityKey::from_values(&[key]), time));
            }
        }
        let mut room = ReadRoom::default();
        let mut reading = Reading::default();
        let reads = 200_000.min(keys * 20_000);
        let mut values = Vec::new();
        for _ in 0..arguments.reps {
            let watch = Stopwatch::start();
            for i in 0..reads {
                let key = EntityKey::from_values(&[Value::Int64(random.below(keys as u64) as i64)]);
                let at = Timestamp::from_micros(START + SPAN + i as i64);
                shard.read_into(view.version(), &key, at, &mut room, &mut reading);
                black_box(&reading);
            }
            values.push(watch.stop().cpu.as_secs_f64() * 1e6 / reads as f64);
        }
        let name = format!("30 features of an entity, {name}");
        report.add(Figure { name, unit: "µs", values, target: Some(3.0), limit: None });
    }
    Ok(())
}
