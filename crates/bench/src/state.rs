//! Updating state alone, which is bound by memory: each event touches one of a million keys.

use anyhow::Result;
use perennial_features::{Event, Shard, Tail};
use perennial_types::{Position, Timestamp, Value};

use crate::Arguments;
use crate::data::{Random, Zipf};
use crate::report::{Report, Stopwatch};
use crate::views::{FIVE, QUARTER, SOURCE, view};

/// Events that are given to the engine at once.
const BATCH: usize = 1024;
const KEYS: usize = 1_000_000;
const SPAN: i64 = 90 * 86_400_000_000;
const START: i64 = 1_760_000_000_000_000;

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let events = arguments.events.unwrap_or(20_000_000);
    for (name, skewed, target) in [("uniform", false, 4e6), ("zipf(1)", true, 8e6)] {
        if !name.contains(&arguments.only) {
            continue;
        }
        let keys = keys(events, skewed);
        let mut spent = Vec::new();
        for _ in 0..arguments.reps {
            let view = view(&FIVE, &QUARTER, Tail::Hop)?;
            let mut shard = Shard::new(vec![view]);
            let watch = Stopwatch::start();
            apply(&mut shard, &keys);
            spent.push(watch.stop());
        }
        report.rate(&format!("{name}, 1 M keys, 6 windows, 5 ops"), "events/s", events, &spent, target);
        report.limit(1, "two to three reads of cold memory an event (about 90 ns each, overlapping in part)");
    }
    Ok(())
}

fn keys(events: usize, skewed: bool) -> Vec<u32> {
    let mut random = Random(3);
    let zipf = Zipf::new(KEYS, 1.0);
    let draw = |_| match skewed {
        true => (zipf.draw(&mut random) as u64 * 7919 % KEYS as u64) as u32,
        false => random.below(KEYS as u64) as u32,
    };
    (0..events).map(draw).collect()
}

/// One event a key of `keys`, evenly over ninety days, in batches.
fn apply(shard: &mut Shard, keys: &[u32]) {
    let step = SPAN / keys.len() as i64;
    for (batch, keys) in keys.chunks(BATCH).enumerate() {
        let row = |key: &u32| [Value::Int64(i64::from(*key)), Value::Double(f64::from(*key % 1000) + 0.25)];
        let rows: Vec<[Value; 2]> = keys.iter().map(row).collect();
        let events: Vec<Event<'_>> = (batch * BATCH..)
            .zip(&rows)
            .map(|(i, row)| {
                let time = Timestamp::from_micros(START + i as i64 * step);
                let position = Position(i as u64 + 1);
                Event { position, source: SOURCE, row, event_time: time, available_at: time }
            })
            .collect();
        shard.apply_batch(&events, |_| true);
    }
}
