//! From lines of JSON over HTTP to servable features: decoded, on the disk, applied, acknowledged.

use std::thread;

use anyhow::{Result, anyhow, ensure};

use crate::Arguments;
use crate::client::Connection;
use crate::data::payments;
use crate::report::{Report, Spent, Stopwatch};
use crate::service::Service;
use crate::wire::{TEN, check_counts, project, requests, send, until_now};

const EVENTS: usize = 1_000_000;
/// Rows of a request.
const ROWS: usize = 5_000;
/// Connections that send at once.
const CONNECTIONS: usize = 4;

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut payments = payments(arguments.events.unwrap_or(EVENTS));
    until_now(&mut payments);
    let requests = requests(&payments, ROWS)?;
    let (mut together, mut served) = (Vec::new(), Vec::new());
    for _ in 0..arguments.reps {
        let service = Service::start(&project("{http: {}}", TEN), None, &[])?;
        let watch = Stopwatch::start();
        let before = service.cpu()?;
        let accepted = send_all(service.address(), &requests)?;
        let spent = watch.stop();
        let of_service = service.cpu()? - before;
        ensure!(accepted == payments.len() as u64, "{accepted} of {} rows were taken", payments.len());
        check_counts(&mut Connection::open(service.address())?, &payments)?;
        service.stop()?;
        together.push(Spent { cpu: spent.cpu + of_service, wall: spent.wall });
        served.push(Spent { cpu: of_service, wall: spent.wall });
    }
    // Two cores: what service and client use together may be spent twice as fast.
    let both: Vec<Spent> =
        together.iter().map(|spent| Spent { cpu: spent.cpu / 2, wall: spent.wall }).collect();
    let count = payments.len();
    report.rate("events, if two cores were free", "events/s", count, &both, 400_000.0);
    report.micros("CPU time of an event, client and service", count, &together);
    report.micros("CPU time of an event, service", count, &served);
    Ok(())
}

fn send_all(address: &str, requests: &[Vec<u8>]) -> Result<u64> {
    thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                scope.spawn(move || {
                    let mine = requests.iter().skip(first).step_by(CONNECTIONS);
                    send(&mut Connection::open(address)?, mine)
                })
            })
            .collect();
        let sent =
            senders.into_iter().map(|sender| sender.join().map_err(|_| anyhow!("a sender panicked"))?);
        sent.sum()
    })
}
