//! How long an event takes from its arrival until features show it, while others come at a steady rate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value as Json;

use crate::Arguments;
use crate::client::{Connection, post};
use crate::data::{Payment, Random, payments};
use crate::report::{Figure, Report};
use crate::service::Service;
use crate::wire::{EVENTS, now_ms, percentile, project, question, requests, until_now, write_line};

/// Ten features of two windows, one of which is the amount of the last event.
const VIEW: &str = "  - {name: payments, op: count, windows: [1h, 1d]}\n  \
                    - {name: amount, op: [sum, avg, max, last], of: amount, windows: [1h, 1d]}\n";
/// Rows a second.
const RATE: usize = 50_000;
/// Connections that send them.
const CONNECTIONS: usize = 4;
/// Rows of a request.
const ROWS: usize = 100;
const DEFAULT_EVENTS: usize = 500_000;
/// A user that no other event is of.
const OWN_USER: i64 = -1;

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut payments = payments(arguments.events.unwrap_or(DEFAULT_EVENTS));
    until_now(&mut payments);
    let requests = requests(&payments, ROWS)?;
    let mut figures = [const { Vec::new() }; 5];
    for _ in 0..arguments.reps {
        let service = Service::start(&project("{http: {}}", VIEW), None, &[])?;
        let began = Instant::now();
        let before = service.cpu()?;
        let (acknowledged, visible) = flow(service.address(), &requests)?;
        let spent = (service.cpu()? - before).as_secs_f64();
        let rate = payments.len() as f64 / began.elapsed().as_secs_f64();
        service.stop()?;
        let found = [
            rate,
            percentile(&acknowledged, 0.5) * 1e3,
            percentile(&acknowledged, 0.99) * 1e3,
            percentile(&visible, 0.99) * 1e3,
            spent * 1e6 / payments.len() as f64,
        ];
        figures.iter_mut().zip(found).for_each(|(figure, value)| figure.push(value));
    }
    let [rate, median, tail, probes, cpu] = figures;
    let mut add = |name: &str, unit, values, target| {
        report.add(Figure { name: name.to_owned(), unit, values, target, limit: None });
    };
    add("rate that was kept", "events/s", rate, Some(RATE as f64));
    add("from its due time to servable, p50", "ms", median, None);
    add("from its due time to servable, p99", "ms", tail, Some(10.0));
    add("sent alone and read back, p99", "ms", probes, None);
    add("CPU time of an event, service", "µs", cpu, None);
    Ok(())
}

/// Send at the rate, each request at its due time; sorted, how long after it each was servable. Beside it single
/// events are sent and read back.
fn flow(address: &str, requests: &[Vec<u8>]) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let over = AtomicBool::new(false);
    let every = Duration::from_secs_f64((ROWS * CONNECTIONS) as f64 / RATE as f64);
    thread::scope(|scope| {
        let probing = scope.spawn(|| probe(address, &over));
        let begin = Instant::now() + Duration::from_millis(50);
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                let begin = begin + every.mul_f64(first as f64 / CONNECTIONS as f64);
                let mine = requests.iter().skip(first).step_by(CONNECTIONS);
                scope.spawn(move || pace(address, mine, begin, every))
            })
            .collect();
        let mut waited = Vec::new();
        for sender in senders {
            waited.extend(sender.join().map_err(|_| anyhow!("a sender panicked"))??);
        }
        over.store(true, Ordering::Release);
        let mut visible = probing.join().map_err(|_| anyhow!("the probe panicked"))??;
        waited.sort_unstable();
        visible.sort_unstable();
        Ok((waited, visible))
    })
}

/// Send each request at its due time, or as soon as the one before is answered.
fn pace<'a>(
    address: &str,
    requests: impl Iterator<Item = &'a Vec<u8>>,
    begin: Instant,
    every: Duration,
) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let mut waited = Vec::new();
    for (number, request) in (0..).zip(requests) {
        let due = begin + every * number;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.ask(request)?;
        waited.push(due.elapsed());
    }
    Ok(waited)
}

/// Send single events and read each back at once: what is acknowledged is servable.
fn probe(address: &str, over: &AtomicBool) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let mut random = Random(3);
    let question = question(&[OWN_USER]);
    let mut visible = Vec::new();
    while !over.load(Ordering::Acquire) {
        let amount = random.below(1_000_000) as f64;
        let mut line = Vec::new();
        // Numbers of other events are smaller.
        let payment = Payment { ts: now_ms() - 1, user_id: OWN_USER, merchant_id: 1, amount };
        write_line(&payment, 500_000_000 + visible.len(), &mut line)?;
        let request = post(EVENTS, &line);
        let began = Instant::now();
        connection.ask(&request)?;
        let answer: Json = serde_json::from_slice(connection.ask(&question)?)?;
        visible.push(began.elapsed());
        let names = answer["features"].as_array().context("names")?;
        let place = names.iter().position(|name| name == "user.amount_last_1h").context("the last amount")?;
        let found = answer["rows"][0]["values"][place].as_f64();
        ensure!(found == Some(amount), "the last amount is {found:?}, and {amount} was acknowledged");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(visible)
}
