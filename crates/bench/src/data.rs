//! Events by one law: seeded, in the order in which they arrive, up to half a minute out of order.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

const DAY_MS: u64 = 86_400_000;
/// The first instant, milliseconds since 1970; a multiple of five minutes.
const START_MS: u64 = 1_760_000_100_000;
/// Days that the events span, so that a window of seven really slides.
const DAYS: u64 = 10;
/// The furthest that an event arrives after it happened.
pub(crate) const JITTER_MS: i64 = 30_000;
const USERS: usize = 100_000;
const MERCHANTS: usize = 5_000;

/// One payment.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Payment {
    /// Milliseconds since 1970.
    pub(crate) ts: i64,
    pub(crate) user_id: i64,
    pub(crate) merchant_id: i64,
    pub(crate) amount: f64,
}

/// A row whose features are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Label {
    pub(crate) user_id: i64,
    /// Milliseconds since 1970.
    pub(crate) ts: i64,
}

/// A generator of 64-bit numbers (Steele, Lea, Flood 2014: SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.unit(), self.unit());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// Ranks from 0 with probability proportional to `(rank + 1)^-s`.
pub(crate) struct Zipf(Vec<f64>);

impl Zipf {
    pub(crate) fn new(n: usize, s: f64) -> Self {
        let mut sum = 0.0;
        let mut cumulated: Vec<f64> = (1..=n)
            .map(|rank| {
                sum += (rank as f64).powf(-s);
                sum
            })
            .collect();
        cumulated.iter_mut().for_each(|p| *p /= sum);
        Self(cumulated)
    }

    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let u = random.unit();
        self.0.partition_point(|p| *p <= u).min(self.0.len() - 1)
    }
}

/// Payments in the order of their arrival: ten days, users by zipf 1.1, merchants by zipf 0.8, amounts log-normal in
/// cents.
pub(crate) fn payments(n: usize) -> Vec<Payment> {
    let users = Zipf::new(USERS, 1.1);
    // Hot users are spread over the range of ids.
    payments_by(n, |random| (users.draw(random) * 7919 % USERS) as i64)
}

/// Such payments of so many users, each of whom has as many.
pub(crate) fn payments_of(n: usize, users: u64) -> Vec<Payment> {
    payments_by(n, |random| random.below(users) as i64)
}

fn payments_by(n: usize, user: impl Fn(&mut Random) -> i64) -> Vec<Payment> {
    let mut random = Random(7);
    let merchants = Zipf::new(MERCHANTS, 0.8);
    let mut drawn: Vec<(u64, Payment)> = (0..n)
        .map(|_| {
            let ts = START_MS + random.below(DAYS * DAY_MS);
            let arrival = ts + random.below(JITTER_MS.unsigned_abs());
            let user_id = user(&mut random);
            let merchant_id = merchants.draw(&mut random) as i64;
            let amount = ((3.0 + random.normal()).exp() * 100.0).round() / 100.0;
            (arrival, Payment { ts: ts as i64, user_id, merchant_id, amount })
        })
        .collect();
    drawn.sort_by_key(|(arrival, _)| *arrival);
    drawn.into_iter().map(|(_, payment)| payment).collect()
}

/// Labels: users drawn as the events have them, times over the last eight days.
pub(crate) fn labels(payments: &[Payment], n: usize) -> Vec<Label> {
    let mut random = Random(11);
    (0..n)
        .map(|_| {
            let user_id = payments[random.below(payments.len() as u64) as usize].user_id;
            let ts = (START_MS + 2 * DAY_MS + random.below((DAYS - 2) * DAY_MS)) as i64;
            Label { user_id, ts }
        })
        .collect()
}

/// The payments as lines of JSON.
pub(crate) fn lines(payments: &[Payment]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for Payment { ts, user_id, merchant_id, amount } in payments {
        writeln!(
            text,
            r#"{{"ts":{ts},"user_id":{user_id},"merchant_id":{merchant_id},"amount":{amount},"country":"DE"}}"#
        )?;
    }
    Ok(text)
}

/// One line of JSON.
pub(crate) fn parse(line: &[u8]) -> Result<Payment> {
    serde_json::from_slice(line).with_context(|| format!("read {:?}", String::from_utf8_lossy(line)))
}

/// The lines of a given file, or else of `default` generated events (or as many as were asked for).
pub(crate) fn json_lines(file: Option<&Path>, events: Option<usize>, default: usize) -> Result<Vec<u8>> {
    match file {
        Some(path) => fs::read(path).with_context(|| format!("read {}", path.display())),
        None => lines(&payments(events.unwrap_or(default))),
    }
}

/// Every payment of some lines.
pub(crate) fn parse_all(text: &[u8]) -> Result<Vec<Payment>> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(parse).collect()
}
