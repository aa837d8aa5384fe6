//! Features at every event, from JSON lines: six ops over four windows up to seven days.
//!
//! `occurred` holds an event back until the watermark (half a minute behind the newest event) has passed it,
//! applies in the order of event time, and reads a millisecond after the event. `arrival` applies and reads
//! each event as it comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use perennial_features::{EntityKey, Event, ReadRoom, Reading, Shard, Tail};
use perennial_types::{ContentHash, Position, Timestamp, Value};

use crate::Arguments;
use crate::data::{JITTER_MS, Payment, json_lines, parse};
use crate::report::{Figure, Report, Stopwatch};
use crate::views::{SIX, SOURCE, WEEK, view};

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let text = json_lines(arguments.data.as_deref(), arguments.events, 2_000_000)?;
    let cases = [
        ("occurred, tail hop", Tail::Hop, true, 600_000.0),
        ("occurred, tail exact", Tail::Exact, true, 300_000.0),
        ("arrival, tail hop", Tail::Hop, false, 600_000.0),
        ("arrival, tail exact", Tail::Exact, false, 300_000.0),
    ];
    for (name, tail, occurred, target) in cases {
        if !name.contains(&arguments.only) {
            continue;
        }
        let (mut spent, mut rows, mut checksum) = (Vec::new(), 0, 0.0);
        for rep in 0..arguments.reps {
            let dump = arguments.dump.as_ref().filter(|_| rep == 0);
            let dump =
                dump.map(|path| File::create(path).with_context(|| format!("create {}", path.display())));
            let mut run = Run::new(tail, dump.transpose()?)?;
            let watch = Stopwatch::start();
            match occurred {
                true => run.occurred(&text)?,
                false => run.arrival(&text)?,
            }
            spent.push(watch.stop());
            (rows, checksum) = (run.rows, run.checksum);
        }
        report.rate(name, "events/s", rows, &spent, target);
        let name = format!("{name}, sum of sum_7d");
        report.add(Figure { name, unit: "", values: vec![checksum], target: None, limit: None });
    }
    Ok(())
}

struct Run {
    shard: Shard,
    version: ContentHash,
    position: u64,
    rows: usize,
    checksum: f64,
    room: ReadRoom,
    reading: Reading,
    dump: Option<BufWriter<File>>,
}

impl Run {
    fn new(tail: Tail, dump: Option<File>) -> Result<Self> {
        let view = view(&SIX, &WEEK, tail)?;
        let (version, shard) = (view.version(), Shard::new(vec![view]));
        Ok(Self {
            shard,
            version,
            position: 0,
            rows: 0,
            checksum: 0.0,
            room: ReadRoom::default(),
            reading: Reading::default(),
            dump: dump.map(BufWriter::new),
        })
    }

    fn occurred(&mut self, text: &[u8]) -> Result<()> {
        let mut held: BinaryHeap<Reverse<(i64, usize, i64, u64)>> = BinaryHeap::new();
        let mut instant: Vec<Payment> = Vec::new();
        let mut newest = i64::MIN;
        for (i, line) in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let payment = parse(line)?;
            newest = newest.max(payment.ts);
            held.push(Reverse((payment.ts, i, payment.user_id, payment.amount.to_bits())));
            while let Some(Reverse((ts, ..))) = held.peek()
                && *ts < newest - JITTER_MS
            {
                self.release(&mut held, &mut instant)?;
            }
        }
        while !held.is_empty() {
            self.release(&mut held, &mut instant)?;
        }
        self.read_instant(&mut instant)
    }

    /// Apply the oldest event that is held; those of one instant are read when the next one begins.
    fn release(
        &mut self,
        held: &mut BinaryHeap<Reverse<(i64, usize, i64, u64)>>,
        instant: &mut Vec<Payment>,
    ) -> Result<()> {
        let Some(Reverse((ts, _, user_id, amount))) = held.pop() else { return Ok(()) };
        let payment = Payment { ts, user_id, amount: f64::from_bits(amount) };
        if instant.first().is_some_and(|first| first.ts != ts) {
            self.read_instant(instant)?;
        }
        self.apply(payment, ts);
        instant.push(payment);
        Ok(())
    }

    fn read_instant(&mut self, instant: &mut Vec<Payment>) -> Result<()> {
        for payment in instant.drain(..) {
            self.read(payment, payment.ts + 1)?;
        }
        Ok(())
    }

    fn arrival(&mut self, text: &[u8]) -> Result<()> {
        let mut newest = i64::MIN;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let payment = parse(line)?;
            newest = newest.max(payment.ts + 1);
            self.apply(payment, newest);
            self.read(payment, newest)?;
        }
        Ok(())
    }

    fn apply(&mut self, payment: Payment, available_ms: i64) {
        self.position += 1;
        let row = [Value::Int64(payment.user_id), Value::Double(payment.amount)];
        let event = Event {
            position: Position(self.position),
            source: SOURCE,
            row: &row,
            event_time: Timestamp::from_micros(payment.ts * 1000),
            available_at: Timestamp::from_micros(available_ms * 1000),
        };
        self.shard.apply(&event, |_| true);
    }

    fn read(&mut self, payment: Payment, at_ms: i64) -> Result<()> {
        let key = EntityKey::from_values(&[Value::Int64(payment.user_id)]);
        let at = Timestamp::from_micros(at_ms * 1000);
        let Self { shard, room, reading, .. } = self;
        shard.read_into(self.version, &key, at, room, reading);
        self.rows += 1;
        // The second op over the last of four windows.
        if let Some(Value::Double(sum)) = self.reading.values.get(7) {
            self.checksum += sum;
        }
        let Some(dump) = &mut self.dump else { return Ok(()) };
        let row = [payment.ts as f64, payment.user_id as f64];
        let doubles =
            row.into_iter().chain(self.reading.values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)));
        for double in doubles {
            dump.write_all(&double.to_le_bytes())?;
        }
        Ok(())
    }
}
