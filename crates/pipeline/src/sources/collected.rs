//! Messages on their way into the log: those that are collected for one append, and those that are being appended.

use std::collections::BTreeMap;

use perennial_log::decode::{DeadLetter, Origin};
use perennial_log::{Appended, Ticket};
use perennial_types::{Entry, Timestamp};

use crate::audits::by_stretch;

/// Messages and bytes from which on an append is not made longer.
const MESSAGES: usize = 4_096;
const BYTES: usize = 1 << 20;

/// What one append will hold.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// Events and dead letters in the order of their messages.
    pub(super) entries: Vec<Entry>,
    /// Of each entry that is an event: where it comes from, if it may be refused by its order.
    pub(super) origins: Vec<Option<Origin>>,
    /// How many of them are dead letters.
    pub(super) letters: u64,
    /// The offset after the last message of each partition.
    pub(super) next: BTreeMap<i32, i64>,
    bytes: usize,
}

impl Collected {
    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    pub(super) fn full(&self) -> bool {
        self.entries.len() >= MESSAGES || self.bytes >= BYTES
    }

    /// A message that is an event; `origin` is kept if it may still be refused.
    pub(super) fn event(&mut self, entry: Entry, origin: Option<Origin>) {
        self.bytes += entry.payload.len();
        self.entries.push(entry);
        self.origins.push(origin);
    }

    /// A message that is none.
    pub(super) fn letter(&mut self, letter: &DeadLetter, source: &str, at: Timestamp) {
        // It takes the log's own time, whatever the source's times are.
        let entry = Entry { available_at: Timestamp::MIN, ..letter.entry(source, at) };
        self.bytes += entry.payload.len();
        self.entries.push(entry);
        self.origins.push(None);
        self.letters += 1;
    }
}

/// An append that is not acknowledged yet.
pub(super) struct InFlight {
    pub(super) ticket: Ticket<Vec<Appended>>,
    pub(super) next: BTreeMap<i32, i64>,
    pub(super) letters: u64,
    /// The event time of each entry.
    pub(super) times: Vec<Timestamp>,
    /// Events that may be refused by their order, by their place in the append.
    pub(super) refusable: Vec<(usize, Vec<u8>, Origin)>,
}

/// What became of the messages of an append.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    /// They by the stretches of their event times.
    pub(super) duplicated: Vec<(Timestamp, u64)>,
    pub(super) letters: u64,
    /// Events that were refused by their order.
    pub(super) out_of_order: Vec<DeadLetter>,
}

impl InFlight {
    pub(super) fn outcome(&self, appended: &[Appended]) -> Outcome {
        let mut outcome = Outcome { letters: self.letters, ..Outcome::default() };
        let mut placed = 0;
        let mut duplicated = Vec::new();
        for (index, one) in appended.iter().enumerate() {
            match one {
                Appended::At(_) => placed += 1,
                Appended::Duplicate(_) => {
                    outcome.duplicates += 1;
                    duplicated.extend(self.times.get(index));
                }
                Appended::OutOfOrder { last } => {
                    let reason =
                        format!("its time of availability lies before {last}, that of the last record");
                    let found = self.refusable.iter().find(|(place, ..)| *place == index);
                    outcome.out_of_order.extend(
                        found.map(|(_, original, origin)| DeadLetter::new(&reason, original, origin.clone())),
                    );
                }
            }
        }
        outcome.duplicated = by_stretch(duplicated.into_iter());
        // Of those that took a position one is the record of progress, and the letters are no events.
        outcome.accepted = (placed as u64).saturating_sub(1 + self.letters);
        outcome
    }
}
