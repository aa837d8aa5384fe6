//! Rebuilding state: by replay of decoded events, and from a snapshot.

use anyhow::Result;
use perennial_features::{Event, Shard, Tail};
use perennial_types::{Position, Timestamp, Value};

use crate::Arguments;
use crate::data::{Payment, json_lines, parse_all};
use crate::report::{Report, Stopwatch};
use crate::views::{SIX, SOURCE, WEEK, view};

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let payments = parse_all(&json_lines(arguments.data.as_deref(), arguments.events, 2_000_000)?)?;
    let view = view(&SIX, &WEEK, Tail::Hop)?;
    let (mut replayed, mut loaded) = (Vec::new(), Vec::new());
    for _ in 0..arguments.reps {
        let mut shard = Shard::new(vec![view.clone()]);
        let watch = Stopwatch::start();
        apply(&mut shard, &payments);
        replayed.push(watch.stop());
        let bytes = shard.save();
        let watch = Stopwatch::start();
        let again = Shard::load(vec![view.clone()], &bytes)?;
        loaded.push(watch.stop());
        anyhow::ensure!(again.keys(view.version()) == shard.keys(view.version()), "keys were lost");
    }
    report.rate("replay of decoded events", "events/s", payments.len(), &replayed, 3e6);
    report.rate("snapshot, in events that it stands for", "events/s", payments.len(), &loaded, 3e6);
    Ok(())
}

/// Apply payments as they arrived, in batches.
fn apply(shard: &mut Shard, payments: &[Payment]) {
    let (mut newest, mut position) = (i64::MIN, 0);
    for payments in payments.chunks(1024) {
        let row = |payment: &Payment| [Value::Int64(payment.user_id), Value::Double(payment.amount)];
        let rows: Vec<[Value; 2]> = payments.iter().map(row).collect();
        let mut events = Vec::with_capacity(payments.len());
        for (payment, row) in payments.iter().zip(&rows) {
            newest = newest.max(payment.ts + 1);
            position += 1;
            events.push(Event {
                position: Position(position),
                source: SOURCE,
                row,
                event_time: Timestamp::from_micros(payment.ts * 1000),
                available_at: Timestamp::from_micros(newest * 1000),
            });
        }
        shard.apply_batch(&events, |_| true);
    }
}
