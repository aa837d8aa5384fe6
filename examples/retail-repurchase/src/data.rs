//! The bundled log of the shop: its lines, the purchases among them, and whether the customer came back.

use std::collections::HashMap;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use perennial_remote::ProjectFile;
use perennial_types::{TimeSpan, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

/// The endpoint of the example.
pub const ENDPOINT: &str = "repurchase";
/// Its model.
pub const MODEL: &str = "back-within-a-week";
/// Within how long a customer must buy again.
pub const LABEL_WINDOW: TimeSpan = TimeSpan::from_days(7);

const LOG: &[u8] = include_bytes!("../data/retail.csv.gz");

/// One line of an invoice, as the shop's log has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its number in the log.
    pub id: u64,
    /// When it was sold, to the minute.
    pub at: Timestamp,
    /// Which line of its invoice it is, from 1.
    pub number: u64,
    /// How many pieces; negative where they came back.
    pub quantity: i64,
    /// Price of a piece, in pounds.
    pub unit_price: f64,
    /// The customer.
    pub customer: i64,
}

impl Line {
    /// The event of source `lines`.
    pub fn event(&self) -> Json {
        json!({
            "line_id": self.id,
            "sold_at": self.at.to_string(),
            "customer_id": self.customer,
            "number": self.number,
            "quantity": self.quantity,
            "unit_price": self.unit_price,
        })
    }
}

/// An invoice that is no cancellation.
#[derive(Clone, Debug, PartialEq)]
pub struct Purchase {
    /// Its number.
    pub invoice: String,
    /// When its first line was sold.
    pub at: Timestamp,
    /// The customer.
    pub customer: i64,
    /// How many lines it has.
    pub lines: i64,
    /// What it comes to, in pounds.
    pub total: f64,
    /// Whether the customer lives in the United Kingdom.
    pub domestic: bool,
    /// When the customer buys again, if that is within the log.
    pub next: Option<Timestamp>,
    /// Whether the log is long enough to know the label.
    pub labelled: bool,
}

impl Purchase {
    /// The id of its prediction request.
    pub fn prediction_id(&self) -> String {
        format!("purchase-{}", self.invoice)
    }

    /// The prediction request.
    pub fn request(&self) -> Map<String, Json> {
        let day = TimeSpan::from_days(1);
        let hour = self.at.since(self.at.floor(day)).micros() / 3_600_000_000;
        // 1970-01-01 was a Thursday.
        let weekday = (self.at.micros().div_euclid(day.micros()) + 4).rem_euclid(7);
        let mut request = Map::new();
        request.insert("customer_id".to_owned(), self.customer.into());
        request.insert("asked_at".to_owned(), self.at.to_string().into());
        request.insert("lines".to_owned(), self.lines.into());
        request.insert("total".to_owned(), self.total.into());
        request.insert("hour".to_owned(), hour.into());
        request.insert("weekday".to_owned(), weekday.into());
        request.insert("domestic".to_owned(), i64::from(self.domestic).into());
        request
    }

    /// The truth: whether the customer bought again within seven days.
    pub fn label(&self) -> f64 {
        let back = self.next.is_some_and(|next| next.since(self.at) <= LABEL_WINDOW);
        f64::from(u8::from(back))
    }

    /// When the truth is known: with the next purchase, or after seven days.
    pub fn known_at(&self) -> Timestamp {
        let latest = self.at + LABEL_WINDOW;
        self.next.map_or(latest, |next| next.min(latest))
    }
}

/// The log of the shop.
#[derive(Clone, Debug, PartialEq)]
pub struct Shop {
    /// The lines that name a customer, in the order of the log.
    pub lines: Vec<Line>,
    /// The purchases, in the order of the log.
    pub purchases: Vec<Purchase>,
}

/// A row of the file; columns that are not named here are never read.
#[derive(Deserialize)]
struct Row {
    event_id: u64,
    event_time: String,
    invoice: String,
    quantity: i64,
    unit_price: f64,
    customer_id: Option<i64>,
    country: String,
}

impl Shop {
    /// Read the bundled log.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn read() -> Result<Self> {
        let mut lines = Vec::new();
        let mut purchases: Vec<Purchase> = Vec::new();
        let mut of_invoice: HashMap<String, (u64, Option<usize>)> = HashMap::new();
        for row in csv::Reader::from_reader(GzDecoder::new(LOG)).deserialize() {
            let row: Row = row.context("the bundled retail.csv.gz")?;
            let Some(customer) = row.customer_id else { continue };
            let at = Timestamp::parse(&row.event_time).with_context(|| format!("event {}", row.event_id))?;
            let (number, purchase) = of_invoice.entry(row.invoice.clone()).or_insert_with(|| {
                // Invoices that begin with a C are cancellations.
                let purchase = (!row.invoice.starts_with('C')).then_some(purchases.len());
                if purchase.is_some() {
                    purchases.push(Purchase {
                        invoice: row.invoice.clone(),
                        at,
                        customer,
                        lines: 0,
                        total: 0.0,
                        domestic: row.country == "United Kingdom",
                        next: None,
                        labelled: false,
                    });
                }
                (0, purchase)
            });
            *number += 1;
            if let Some(index) = *purchase {
                purchases[index].lines += 1;
                purchases[index].total += row.quantity as f64 * row.unit_price;
            }
            let (quantity, unit_price) = (row.quantity, row.unit_price);
            lines.push(Line { id: row.event_id, at, number: *number, quantity, unit_price, customer });
        }
        let end = lines.last().context("the log is empty")?.at;
        find_next(&mut purchases, end);
        Ok(Self { lines, purchases })
    }
}

/// Each purchase's next one by the same customer, later than it; several of one minute have the same next.
fn find_next(purchases: &mut [Purchase], end: Timestamp) {
    let mut later: HashMap<i64, Timestamp> = HashMap::new();
    let mut latest: HashMap<i64, Timestamp> = HashMap::new();
    for purchase in purchases.iter_mut().rev() {
        if let Some(at) = latest.insert(purchase.customer, purchase.at)
            && at > purchase.at
        {
            later.insert(purchase.customer, at);
        }
        purchase.next = later.get(&purchase.customer).copied();
        purchase.labelled = purchase.at + LABEL_WINDOW <= end;
    }
}

/// The declarations of the example.
pub fn project() -> Vec<ProjectFile> {
    let files = [
        ("project.yaml", include_str!("../project/project.yaml")),
        ("model.yaml", include_str!("../project/model.yaml")),
        ("policy.yaml", include_str!("../project/policy.yaml")),
    ];
    files.map(|(name, text)| ProjectFile { name: name.to_owned(), text: text.to_owned() }).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_log_has_its_purchases_in_order_with_every_id_once() {
        let shop = Shop::read().unwrap();
        assert!(shop.lines.is_sorted_by_key(|line| line.at));
        assert!(shop.purchases.is_sorted_by_key(|purchase| purchase.at));
        let invoices: HashSet<&str> = shop.purchases.iter().map(|purchase| &*purchase.invoice).collect();
        assert_eq!(invoices.len(), shop.purchases.len());
        let first = &shop.purchases[0];
        assert_eq!((first.lines, (first.total * 100.0).round()), (7, 13_912.0));
        let of_invoice = |line: &&Line| line.at == first.at && line.customer == first.customer;
        let numbers: Vec<u64> = shop.lines.iter().filter(of_invoice).map(|line| line.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(first.request()["weekday"], 3);
        assert_eq!(first.request()["hour"], 8);
    }

    #[test]
    fn a_customer_is_back_with_the_next_purchase_of_a_later_minute_within_a_week() {
        let shop = Shop::read().unwrap();
        let labelled: Vec<&Purchase> = shop.purchases.iter().filter(|purchase| purchase.labelled).collect();
        assert_eq!(labelled.len(), 17_926);
        let rate = labelled.iter().map(|purchase| purchase.label()).sum::<f64>() / labelled.len() as f64;
        assert!((0.197..0.199).contains(&rate), "{rate}");
        for (index, purchase) in shop.purchases.iter().enumerate().step_by(977) {
            let same = |other: &&Purchase| other.customer == purchase.customer && other.at > purchase.at;
            let next = shop.purchases[index..].iter().find(same).map(|other| other.at);
            assert_eq!(purchase.next, next, "{}", purchase.invoice);
            assert!(purchase.known_at() > purchase.at);
            assert!(purchase.known_at() <= purchase.at + LABEL_WINDOW);
        }
    }

    #[test]
    fn the_declarations_have_no_fault() {
        player::Declared::read(&project()).unwrap();
    }
}
