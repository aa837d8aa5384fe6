//! What a million sparse keys take.

use anyhow::Result;
use perennial_features::{Event, Op, Shard, Tail};
use perennial_types::{Position, Timestamp, Value};

use crate::Arguments;
use crate::data::Random;
use crate::report::{Figure, Report, resident_bytes};
use crate::views::{QUARTER, SOURCE, view};

const SPAN: i64 = 90 * 86_400_000_000;
const START: i64 = 1_760_000_000_000_000;
const EACH: usize = 30;

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let events = arguments.events.unwrap_or(30_000_000);
    let keys = events / EACH;
    let mut random = Random(9);
    let before = resident_bytes()?;
    let ops = [Op::Count, Op::Sum, Op::Min, Op::Max];
    let view = view(&ops, &QUARTER, Tail::Hop)?;
    let mut shard = Shard::new(vec![view.clone()]);
    for i in 0..events {
        // Every key has one event in each thirtieth of the time, at another instant in each.
        let round = (i / keys) as u64;
        let key = (i as u64 * 7919 + round * 104_729) % keys as u64;
        let time = START + (SPAN / events as i64) * i as i64;
        let row = [Value::Int64(key as i64), Value::Double(random.unit())];
        let event = Event {
            position: Position(i as u64 + 1),
            source: SOURCE,
            row: &row,
            event_time: Timestamp::from_micros(time),
            available_at: Timestamp::from_micros(time),
        };
        shard.apply(&event, |_| true);
    }
    let bytes = resident_bytes()? - before;
    let a_key = bytes as f64 / shard.keys(view.version()) as f64;
    let figure = |name: &str, unit, value, target: Option<f64>| Figure {
        name: name.to_owned(),
        unit,
        values: vec![value],
        target,
        limit: None,
    };
    let target = (keys == 1_000_000).then_some(1000.0);
    report.add(figure("resident memory of the state", "MB", bytes as f64 / 1e6, target));
    report.add(figure("a key of 30 events, 6 windows, 4 ops", "bytes", a_key, Some(1000.0)));
    report.limit(0, format!("{} bytes are 30 events of a time and a value", 30 * 16));
    let saved = shard.save().len() as f64;
    report.add(figure("snapshot", "MB", saved / 1e6, None));
    Ok(())
}
