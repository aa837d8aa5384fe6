//! Features at every event, from JSON lines: six ops over four windows up to seven days.
//!
//! `occurred` holds an event back until the watermark (half a minute behind the newest event) has passed it,
//! applies in the order of event time, and reads a millisecond after the event. `arrival` applies and reads
//! each event as it comes. `merchants` adds the approximate number of different merchants in a day. Before
//! it is measured, each is held against the definition of its values, row by row of a sample.

mod oracle;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use perennial_features::{EntityKey, Event, ReadRoom, Reading, Shard, Tail};
use perennial_types::{ContentHash, Position, Timestamp, Value};

use self::oracle::Oracle;
use crate::Arguments;
use crate::data::{JITTER_MS, Payment, json_lines, lines, parse, payments_of};
use crate::report::{Figure, Report, Stopwatch};
use crate::views::{SOURCE, comparison};

/// Lines that are decoded before their events are taken in.
const LINES: usize = 64;

/// Users who share all events, so that each has another number of them in a window.
const USERS: [u64; 3] = [1, 100, 10_000];

struct Case {
    name: &'static str,
    tail: Tail,
    occurred: bool,
    merchants: bool,
    target: f64,
}

const CASES: [Case; 6] = [
    case("occurred, tail hop", Tail::Hop, true, false, 600_000.0),
    case("occurred, tail exact", Tail::Exact, true, false, 300_000.0),
    case("occurred, tail hop, merchants", Tail::Hop, true, true, 300_000.0),
    case("arrival, tail hop", Tail::Hop, false, false, 600_000.0),
    case("arrival, tail exact", Tail::Exact, false, false, 300_000.0),
    case("arrival, tail hop, merchants", Tail::Hop, false, true, 300_000.0),
];

const fn case(name: &'static str, tail: Tail, occurred: bool, merchants: bool, target: f64) -> Case {
    Case { name, tail, occurred, merchants, target }
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let text = json_lines(arguments.data.as_deref(), arguments.events, 2_000_000)?;
    for case in CASES.iter().filter(|case| case.name.contains(&arguments.only)) {
        let dump = arguments.dump.as_ref().map(|path| {
            File::create(path).with_context(|| format!("create {}", path.display())).map(BufWriter::new)
        });
        check(case, &text, dump.transpose()?, report)?;
        measure(case, case.name, &text, arguments.reps, report)?;
    }
    for users in USERS {
        let name = format!("events of {users} users");
        if name.contains(&arguments.only) {
            let text = lines(&payments_of(arguments.events.unwrap_or(2_000_000), users))?;
            for case in &CASES[..2] {
                measure(case, &format!("{name}, {}", case.name), &text, arguments.reps, report)?;
            }
        }
    }
    Ok(())
}

/// Hold a case against the definition of its values.
fn check(case: &Case, text: &[u8], dump: Option<BufWriter<File>>, report: &mut Report) -> Result<()> {
    let mut run = Run::new(case)?;
    run.oracle = Some(Oracle::new(case.tail));
    run.dump = dump;
    run.all(case, text)?;
    if let Some(oracle) = run.oracle {
        let mut add = |name: &str, value: f64| {
            let name = format!("{}, {name}", case.name);
            report.add(Figure { name, unit: "", values: vec![value], target: None, limit: None });
        };
        add("sum of sum_7d", run.checksum);
        add("rows equal to their definition", oracle.checked as f64);
        add("largest relative difference, in 1e-15", oracle.difference * 1e15);
    }
    Ok(())
}

fn measure(case: &Case, name: &str, text: &[u8], reps: usize, report: &mut Report) -> Result<()> {
    let (mut spent, mut rows) = (Vec::new(), 0);
    for _ in 0..reps {
        let mut run = Run::new(case)?;
        let watch = Stopwatch::start();
        run.all(case, text)?;
        spent.push(watch.stop());
        rows = run.rows;
    }
    report.rate(name, "events/s", rows, &spent, case.target);
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
    oracle: Option<Oracle>,
    dump: Option<BufWriter<File>>,
}

impl Run {
    fn new(case: &Case) -> Result<Self> {
        let view = comparison(case.tail, case.merchants)?;
        let (version, shard) = (view.version(), Shard::new(vec![view]));
        Ok(Self {
            shard,
            version,
            position: 0,
            rows: 0,
            checksum: 0.0,
            room: ReadRoom::default(),
            reading: Reading::default(),
            oracle: None,
            dump: None,
        })
    }

    fn all(&mut self, case: &Case, text: &[u8]) -> Result<()> {
        let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut some: Vec<Payment> = Vec::with_capacity(LINES);
        let mut held = Held::default();
        loop {
            some.clear();
            for line in lines.by_ref().take(LINES) {
                some.push(parse(line)?);
            }
            match (some.is_empty(), case.occurred) {
                (true, _) => break,
                (false, true) => {
                    held.take_in(&some);
                    self.occurred(&mut held, false)?;
                }
                (false, false) => self.arrival(&mut held, &some)?,
            }
        }
        self.occurred(&mut held, true)
    }

    /// Apply and read what the watermark has passed, or all that is left.
    fn occurred(&mut self, held: &mut Held, all: bool) -> Result<()> {
        let released = held.release(all);
        let keys = self.touch(&released);
        let mut rest = keys.as_slice();
        for instant in released.chunk_by(|one, next| one.ts == next.ts) {
            let (keys, later) = rest.split_at(instant.len());
            rest = later;
            instant.iter().for_each(|payment| self.apply(*payment, payment.ts));
            for (payment, key) in instant.iter().zip(keys) {
                self.read(*payment, key, payment.ts + 1)?;
            }
        }
        Ok(())
    }

    fn arrival(&mut self, held: &mut Held, payments: &[Payment]) -> Result<()> {
        let keys = self.touch(payments);
        for (payment, key) in payments.iter().zip(&keys) {
            held.newest = held.newest.max(payment.ts + 1);
            self.apply(*payment, held.newest);
            self.read(*payment, key, held.newest)?;
        }
        Ok(())
    }

    /// The keys of payments that are taken in next, whose state is asked of memory for all at once.
    fn touch(&self, payments: &[Payment]) -> Vec<EntityKey> {
        let key = |payment: &Payment| EntityKey::from_values(&[Value::Int64(payment.user_id)]);
        let keys: Vec<EntityKey> = payments.iter().map(key).collect();
        self.shard.touch(self.version, &keys);
        keys
    }

    fn apply(&mut self, payment: Payment, available_ms: i64) {
        if let Some(oracle) = &mut self.oracle {
            oracle.apply(payment);
        }
        self.position += 1;
        let Payment { ts, user_id, merchant_id, amount } = payment;
        let row = [Value::Int64(user_id), Value::Double(amount), Value::Int64(merchant_id)];
        let event = Event {
            position: Position(self.position),
            source: SOURCE,
            row: &row,
            event_time: Timestamp::from_micros(ts * 1000),
            available_at: Timestamp::from_micros(available_ms * 1000),
        };
        self.shard.apply(&event, |_| true);
    }

    fn read(&mut self, payment: Payment, key: &EntityKey, at_ms: i64) -> Result<()> {
        let at = Timestamp::from_micros(at_ms * 1000);
        let Self { shard, room, reading, .. } = self;
        shard.read_into(self.version, key, at, room, reading);
        self.rows += 1;
        // The second op over the last of four windows.
        if let Some(Value::Double(sum)) = self.reading.values.get(7) {
            self.checksum += sum;
        }
        if let Some(oracle) = &mut self.oracle {
            oracle.check(payment.user_id, at_ms, &self.reading.values)?;
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

/// Time and arrival of a payment, its user, its merchant and the bits of its amount.
type Pending = (i64, u64, i64, i64, u64);

/// Events that the watermark has not passed yet.
#[derive(Default)]
struct Held {
    /// The oldest first.
    payments: BinaryHeap<Reverse<Pending>>,
    arrived: u64,
    /// The newest time, milliseconds.
    newest: i64,
}

impl Held {
    fn take_in(&mut self, payments: &[Payment]) {
        for Payment { ts, user_id, merchant_id, amount } in payments {
            self.arrived += 1;
            self.newest = self.newest.max(*ts);
            self.payments.push(Reverse((*ts, self.arrived, *user_id, *merchant_id, amount.to_bits())));
        }
    }

    /// What the watermark has passed, or all that is left, in order of time.
    fn release(&mut self, all: bool) -> Vec<Payment> {
        let passed = if all { i64::MAX } else { self.newest - JITTER_MS };
        let mut released = Vec::with_capacity(LINES);
        while let Some(Reverse((ts, ..))) = self.payments.peek()
            && *ts < passed
            && let Some(Reverse((ts, _, user_id, merchant_id, amount))) = self.payments.pop()
        {
            released.push(Payment { ts, user_id, merchant_id, amount: f64::from_bits(amount) });
        }
        released
    }
}
