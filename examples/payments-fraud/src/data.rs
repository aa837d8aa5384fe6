//! The bundled payments, what is known of them in advance, and where their labels go wrong.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use perennial_remote::ProjectFile;
use perennial_types::{TimeSpan, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

/// The endpoint of the example.
pub const ENDPOINT: &str = "fraud";
/// Its models.
pub const MODELS: [&str; 2] = ["fraud-linfa", "fraud-sgd"];
/// When the payments begin: 2026-01-01.
pub const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
/// When the fraudsters change their ways, after a quarter of the 48 days: from large payments at new devices to
/// bursts of small ones.
pub const CONCEPT_CHANGE: Timestamp = after_hours(12 * 24);
/// When they change back, at 85 %.
pub const CONCEPT_RETURN: Timestamp = Timestamp::from_micros(START.micros() + 3_525_120_000_000);
/// When labels are told the wrong way round. The first stretch ends before the models are fine-tuned, so that
/// they learn from it and are judged on right labels; the second one lasts over the judgement.
pub const FLIPPED: [Flipped; 2] = [
    Flipped { from: after_hours(24 * 24), to: after_hours(24 * 24 + 17) },
    Flipped { from: after_hours(30 * 24), to: after_hours(32 * 24 + 6) },
];

const PAYMENTS: &[u8] = include_bytes!("../data/payments.csv.gz");

const fn after_hours(hours: i64) -> Timestamp {
    Timestamp::from_micros(START.micros() + hours * 3_600_000_000)
}

/// A stretch of time in which every label is told the wrong way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flipped {
    /// Its begin.
    pub from: Timestamp,
    /// Its end, excluded.
    pub to: Timestamp,
}

impl Flipped {
    /// Whether a label that is told at this instant is wrong.
    pub fn holds(&self, told_at: Timestamp) -> bool {
        self.from <= told_at && told_at < self.to
    }
}

/// One card payment.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    /// Its number in the generated stream.
    pub id: u64,
    /// When it was made.
    pub at: Timestamp,
    /// When its event reaches Perennial; more than once where the network delivered it again.
    pub arrivals: Vec<Timestamp>,
    /// Who pays.
    pub user: String,
    /// Who is paid.
    pub merchant: String,
    /// `web`, `app` or `pos`.
    pub channel: String,
    /// How much.
    pub amount: f64,
    /// Whether the account's device is a new one: 0 or 1.
    pub device_new: i64,
    /// The truth.
    pub fraud: bool,
    /// When the truth is known: a fraud after about a day, everything else after three.
    pub known_at: Timestamp,
}

impl Payment {
    /// The id of its prediction request.
    pub fn prediction_id(&self) -> String {
        format!("payment-{}", self.id)
    }

    /// The prediction request.
    pub fn request(&self) -> Map<String, Json> {
        let hour = self.at.since(self.at.floor(TimeSpan::from_days(1))).micros() / 3_600_000_000;
        let mut request = Map::new();
        request.insert("user_id".to_owned(), self.user.as_str().into());
        request.insert("merchant_id".to_owned(), self.merchant.as_str().into());
        request.insert("channel".to_owned(), self.channel.as_str().into());
        request.insert("amount".to_owned(), self.amount.into());
        request.insert("device_new".to_owned(), self.device_new.into());
        request.insert("hour".to_owned(), hour.into());
        request
    }

    /// The event of source `payments`.
    pub fn event(&self) -> Json {
        json!({
            "payment_id": self.id,
            "paid_at": self.at.to_string(),
            "user_id": self.user,
            "merchant_id": self.merchant,
            "amount": self.amount,
        })
    }

    /// When its label is told: settlement files come every full hour.
    pub fn told_at(&self) -> Timestamp {
        let hour = TimeSpan::from_hours(1);
        let begun = self.known_at.floor(hour);
        if begun == self.known_at { begun } else { begun + hour }
    }

    /// Its label as the settlement file tells it.
    pub fn told_label(&self) -> f64 {
        let wrong = FLIPPED.iter().any(|stretch| stretch.holds(self.told_at()));
        f64::from(u8::from(self.fraud != wrong))
    }
}

/// A line of the file: one delivery of a payment's event.
#[derive(Deserialize)]
struct Line {
    event_id: u64,
    event_ms: i64,
    arrival_ms: i64,
    user_id: String,
    merchant_id: String,
    channel: String,
    amount: f64,
    device_new: i64,
    label: u8,
    label_ms: i64,
}

/// All payments in the order in which they were made.
///
/// # Errors
/// When the bundled file is damaged.
pub fn payments() -> Result<Vec<Payment>> {
    let mut by_id: BTreeMap<u64, Payment> = BTreeMap::new();
    for line in csv::Reader::from_reader(GzDecoder::new(PAYMENTS)).deserialize() {
        let line: Line = line.context("the bundled payments.csv.gz")?;
        let instant = |ms: i64| Timestamp::from_micros(ms * 1_000);
        let payment = by_id.entry(line.event_id).or_insert_with(|| Payment {
            id: line.event_id,
            at: instant(line.event_ms),
            arrivals: Vec::new(),
            user: line.user_id,
            merchant: line.merchant_id,
            channel: line.channel,
            amount: line.amount,
            device_new: line.device_new,
            fraud: line.label == 1,
            known_at: instant(line.label_ms),
        });
        payment.arrivals.push(instant(line.arrival_ms));
    }
    // The generator numbers payments in the order in which they are made.
    Ok(by_id.into_values().collect())
}

/// The declarations of the example.
pub fn project() -> Vec<ProjectFile> {
    let files = [
        ("project.yaml", include_str!("../project/project.yaml")),
        ("models.yaml", include_str!("../project/models.yaml")),
        ("experiment.yaml", include_str!("../project/experiment.yaml")),
        ("policy.yaml", include_str!("../project/policy.yaml")),
    ];
    files.map(|(name, text)| ProjectFile { name: name.to_owned(), text: text.to_owned() }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_payments_are_in_order_and_some_arrive_late_or_twice() {
        let payments = payments().unwrap();
        assert_eq!(payments.len(), 26_142);
        assert!(payments.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert!(payments[0].at >= START);
        assert_eq!(payments.iter().filter(|payment| payment.fraud).count(), 3_776);
        assert_eq!(payments.iter().filter(|payment| payment.arrivals.len() > 1).count(), 24);
        let late = |payment: &&Payment| payment.arrivals[0].since(payment.at) > TimeSpan::from_hours(1);
        assert!(payments.iter().filter(late).count() > 0);
    }

    #[test]
    fn every_label_is_told_within_an_hour_of_being_known_and_three_days_of_the_payment() {
        for payment in payments().unwrap() {
            let told = payment.told_at();
            assert!(told >= payment.known_at && told.since(payment.known_at) < TimeSpan::from_hours(1));
            assert!(payment.known_at.since(payment.at) <= TimeSpan::from_days(3));
        }
    }

    #[test]
    fn labels_are_wrong_in_the_two_stretches_only() {
        for payment in payments().unwrap() {
            let wrong = (payment.told_label() == 1.0) != payment.fraud;
            let day = payment.told_at().since(START).micros() as f64 / 86_400e6;
            assert_eq!(wrong, (24.0..24.0 + 17.0 / 24.0).contains(&day) || (30.0..32.25).contains(&day));
        }
    }

    #[test]
    fn the_declarations_have_no_fault() {
        player::Declared::read(&project()).unwrap();
    }
}
