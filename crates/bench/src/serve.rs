//! Twenty-five windowed features over HTTP: the service on one core, its client on the other.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::Arguments;
use crate::client::{Connection, get};
use crate::data::{Payment, Random, payments};
use crate::report::{Figure, Report};
use crate::service::Service;
use crate::wire::{TWENTY_FIVE, percentile, project, question, requests, send, until_now};

const EVENTS: usize = 500_000;
/// How long each case runs.
const SPAN: Duration = Duration::from_secs(4);
/// Different requests of a case.
const QUESTIONS: usize = 500;

/// A case: its name, how it asks, entities of a request, connections, and the rate and median that are wanted.
struct Case {
    name: &'static str,
    ask: fn(&[i64]) -> Vec<u8>,
    entities: usize,
    connections: usize,
    rate: Option<f64>,
    median_us: Option<f64>,
}

fn one(users: &[i64]) -> Vec<u8> {
    get(&format!("/v1/features/user?user={}", users[0]))
}

const CASES: [Case; 6] = [
    Case {
        name: "POST, 1 entity, 1 connection",
        ask: question,
        entities: 1,
        connections: 1,
        rate: None,
        median_us: Some(100.0),
    },
    Case {
        name: "POST, 1 entity, 16 connections",
        ask: question,
        entities: 1,
        connections: 16,
        rate: Some(40_000.0),
        median_us: None,
    },
    Case {
        name: "GET, 1 entity, 1 connection",
        ask: one,
        entities: 1,
        connections: 1,
        rate: None,
        median_us: Some(100.0),
    },
    Case {
        name: "GET, 1 entity, 16 connections",
        ask: one,
        entities: 1,
        connections: 16,
        rate: Some(40_000.0),
        median_us: None,
    },
    Case {
        name: "POST, 100 entities, 1 connection",
        ask: question,
        entities: 100,
        connections: 1,
        rate: None,
        median_us: None,
    },
    Case {
        name: "POST, 100 entities, 16 connections",
        ask: question,
        entities: 100,
        connections: 16,
        rate: Some(2_000.0),
        median_us: None,
    },
];

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut payments = payments(arguments.events.unwrap_or(EVENTS));
    until_now(&mut payments);
    let service = Service::start(&project("{http: {}}", TWENTY_FIVE), Some("0"), &[])?;
    let accepted = send(&mut Connection::open(service.address())?, &requests(&payments, 5_000)?)?;
    ensure!(accepted == payments.len() as u64, "{accepted} of {} rows were taken", payments.len());
    for case in CASES.iter().filter(|case| case.name.contains(&arguments.only)) {
        measure(case, arguments, &service, &payments, report)?;
    }
    service.stop()
}

fn measure(
    case: &Case,
    arguments: &Arguments,
    service: &Service,
    payments: &[Payment],
    report: &mut Report,
) -> Result<()> {
    let mut random = Random(9);
    let mut draw = || payments[random.below(payments.len() as u64) as usize].user_id;
    let questions: Vec<Vec<u8>> =
        (0..QUESTIONS).map(|_| (case.ask)(&(0..case.entities).map(|_| draw()).collect::<Vec<_>>())).collect();
    let mut figures = [const { Vec::new() }; 5];
    for _ in 0..arguments.reps {
        let before = service.cpu()?;
        let began = Instant::now();
        let waited = ask(service.address(), case.connections, &questions)?;
        let wall = began.elapsed().as_secs_f64();
        let cpu = (service.cpu()? - before).as_secs_f64();
        let count = waited.len() as f64;
        let micros = [0.5, 0.99].map(|share| percentile(&waited, share) * 1e6);
        let found = [count / cpu, count / wall, micros[0], micros[1], cpu * 1e6 / count];
        figures.iter_mut().zip(found).for_each(|(figure, value)| figure.push(value));
    }
    let [rate, wall, median, tail, cpu] = figures;
    let mut add = |what: &str, unit, values, target| {
        report.add(Figure { name: format!("{}: {what}", case.name), unit, values, target, limit: None });
    };
    add("by its CPU time", "requests/s", rate, case.rate);
    add("by wall time", "requests/s", wall, None);
    add("p50", "µs", median, case.median_us);
    add("p99", "µs", tail, None);
    add("CPU time of the service", "µs", cpu, None);
    Ok(())
}

/// Ask over connections in turn, on this thread alone: each is sent its next request once its last answer was taken.
/// Sorted, how long each took.
fn ask(address: &str, connections: usize, questions: &[Vec<u8>]) -> Result<Vec<Duration>> {
    let mut open: Vec<(Connection, Instant)> =
        (0..connections).map(|_| Ok((Connection::open(address)?, Instant::now()))).collect::<Result<_>>()?;
    let mut next = questions.iter().cycle();
    let mut waited = Vec::new();
    let until = Instant::now() + SPAN;
    for (connection, sent) in &mut open {
        *sent = Instant::now();
        connection.send(next.next().map_or(&[][..], Vec::as_slice))?;
    }
    while Instant::now() < until {
        for (connection, sent) in &mut open {
            connection.receive()?;
            waited.push(sent.elapsed());
            *sent = Instant::now();
            connection.send(next.next().map_or(&[][..], Vec::as_slice))?;
        }
    }
    for (connection, sent) in &mut open {
        connection.receive()?;
        waited.push(sent.elapsed());
    }
    waited.sort_unstable();
    Ok(waited)
}
