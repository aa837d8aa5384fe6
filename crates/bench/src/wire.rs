//! What the benchmarks of the service share: a source of payments, its view, and how they are sent and read.

use std::io::Write;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;

use crate::client::{Connection, post};
use crate::data::Payment;

/// Where rows are sent.
pub(crate) const EVENTS: &str = "/v1/events/payments";
/// Where features are read.
pub(crate) const FEATURES: &str = "/v1/features";

/// A project with one source and a view of it with the given aggregates.
pub(crate) fn project(stream: &str, aggregates: &str) -> String {
    format!(
        "kind: Project\nname: bench\n---\nkind: Source\nname: payments\n\
         schema: {{event_id: string, at: timestamp, user: int64, amount: double}}\n\
         id: event_id\nevent_time: at\navailable_at: arrival\nstream: {stream}\nretention: 90d\n---\n\
         kind: FeatureView\nname: user\nentity: [user]\nfrom: payments\naggregates:\n{aggregates}"
    )
}

/// Ten aggregates.
pub(crate) const TEN: &str = "  - {name: payments, op: count, windows: [1h, 1d]}\n  \
                              - {name: amount, op: [sum, avg, min, max], of: amount, windows: [1h, 1d]}\n";
/// Twenty-five.
pub(crate) const TWENTY_FIVE: &str = "  - {name: payments, op: count, windows: [10m, 1h, 1d, 7d, 30d]}\n  \
     - {name: amount, op: [sum, avg, min, max], of: amount, windows: [10m, 1h, 1d, 7d, 30d]}\n";

/// Milliseconds since 1970, now.
pub(crate) fn now_ms() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64)
}

/// Move payments in time, so that the last of them happens now.
pub(crate) fn until_now(payments: &mut [Payment]) {
    let last = payments.iter().map(|payment| payment.ts).max().unwrap_or(0);
    let moved = now_ms() - last;
    payments.iter_mut().for_each(|payment| payment.ts += moved);
}

/// Write a payment as a line of JSON, with a number that no other has.
pub(crate) fn write_line(payment: &Payment, number: usize, text: &mut Vec<u8>) -> Result<()> {
    let Payment { ts, user_id, amount, .. } = payment;
    let at = instant(*ts);
    writeln!(text, r#"{{"event_id":"e{number:09}","at":"{at}","user":{user_id},"amount":{amount}}}"#)?;
    Ok(())
}

/// RFC 3339 (Hinnant, chrono-compatible low-level date algorithms: `civil_from_days`).
fn instant(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Requests that send all payments, so many rows in each.
pub(crate) fn requests(payments: &[Payment], rows: usize) -> Result<Vec<Vec<u8>>> {
    let chunks = payments.chunks(rows).enumerate().map(|(chunk, payments)| {
        let mut body = Vec::new();
        for (number, payment) in payments.iter().enumerate() {
            write_line(payment, chunk * rows + number, &mut body)?;
        }
        Ok(post(EVENTS, &body))
    });
    chunks.collect()
}

/// Send everything over one connection; how many rows were taken.
pub(crate) fn send<'a>(
    connection: &mut Connection,
    requests: impl IntoIterator<Item = &'a Vec<u8>>,
) -> Result<u64> {
    let mut accepted = 0;
    for request in requests {
        let receipt: Json = serde_json::from_slice(connection.ask(request)?)?;
        accepted += receipt["accepted"].as_u64().context("a receipt")?;
    }
    Ok(accepted)
}

/// A request for every feature of users.
pub(crate) fn question(users: &[i64]) -> Vec<u8> {
    let entities: Vec<Json> = users.iter().map(|user| serde_json::json!({"user": user})).collect();
    let body = serde_json::json!({"features": ["user.*"], "entities": entities});
    post(FEATURES, body.to_string().as_bytes())
}

/// Check that the service counts the payments of the last day as they were sent; so that what was measured is right.
/// Users whose count is about to change at an end of the window are passed over.
pub(crate) fn check_counts(connection: &mut Connection, payments: &[Payment]) -> Result<()> {
    const DAY: i64 = 86_400_000;
    let last = payments.iter().map(|payment| payment.ts).max().unwrap_or(0);
    let mut users: Vec<i64> = payments.iter().rev().take(500).map(|payment| payment.user_id).collect();
    users.sort_unstable();
    users.dedup();
    let answer: Json = serde_json::from_slice(connection.ask(&question(&users))?)?;
    let names = answer["features"].as_array().context("names")?;
    let place = names.iter().position(|name| name == "user.payments_1d").context("the count of a day")?;
    let mut checked = 0;
    for (user, row) in users.iter().zip(answer["rows"].as_array().context("rows")?) {
        let of_user = || payments.iter().filter(|payment| payment.user_id == *user);
        // The window ends now and may reach a sixtieth further back than a day; the present has moved on, too.
        let unsure = of_user().any(|payment| {
            let age = last - payment.ts;
            age <= DAY && age > DAY - 3_600_000 || age > DAY && age < DAY + DAY / 60 + 3_600_000
        });
        if unsure {
            continue;
        }
        let expected = of_user().filter(|payment| last - payment.ts < DAY).count();
        let found = row["values"][place].as_u64();
        ensure!(found == Some(expected as u64), "user {user}: {found:?} payments, {expected} were sent");
        checked += 1;
    }
    ensure!(checked > 0, "no user could be checked");
    Ok(())
}

/// The value below which a share of the values lies.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(f64::NAN, Duration::as_secs_f64)
}
