//! The loss audit: rows that came are in the log, and what is in the log is in the features.

use perennial_types::Timestamp;
use serde::Serialize;

use super::{Arrived, Audits, Figures, Happened, STRETCH};
use crate::Receipts;

/// The rows of a source that arrived in ten minutes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArrivedLoss {
    /// When these begin.
    pub start: Timestamp,
    /// What became of them. The events among them were applied to the features.
    #[serde(flatten)]
    pub arrived: ArrivedRows,
    /// Events in the log by reading it again; nothing before the audits have read all of the ten minutes.
    pub in_log: Option<u64>,
}

/// What became of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ArrivedRows {
    /// Rows that came in: the next three, less those that were sent again.
    pub received: u64,
    /// Rows that became events.
    pub appended: u64,
    /// Rows that were events already.
    pub duplicates: u64,
    /// Rows that were refused.
    pub dead_letters: u64,
    /// Dead letters that were sent again.
    pub redriven: u64,
}

/// The rows of a source that happened in ten minutes, where a producer says how many there were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HappenedLoss {
    /// When these begin.
    pub start: Timestamp,
    /// Rows that producers say they sent.
    pub sent: u64,
    /// Rows received.
    pub received: u64,
    /// Rows that never came.
    pub lost: u64,
}

/// The loss audit of one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SourceLoss {
    /// What became of every row so far.
    pub total: ArrivedRows,
    /// Rows that were sent and never came.
    pub lost: u64,
    /// Events that are in the log and not in the features, or the other way round.
    pub unapplied: u64,
    /// By arrival, newest first.
    pub arrived: Vec<ArrivedLoss>,
    /// By event time, newest first.
    pub happened: Vec<HappenedLoss>,
}

impl From<&Arrived> for ArrivedRows {
    fn from(arrived: &Arrived) -> Self {
        Self {
            received: arrived.received(),
            appended: arrived.appended,
            duplicates: arrived.duplicates,
            dead_letters: arrived.dead_letters,
            redriven: arrived.redriven,
        }
    }
}

impl ArrivedLoss {
    /// Events that are in the log and not in the features, or the other way round.
    pub fn unapplied(&self) -> u64 {
        self.in_log.map_or(0, |in_log| in_log.abs_diff(self.arrived.appended))
    }
}

impl Audits {
    /// What became of the rows of a source that arrived, or happened, in a window; nothing of a source without any.
    /// The window reaches back to a multiple of ten minutes.
    pub fn loss(&self, source: &str, from: Timestamp, to: Timestamp) -> Option<SourceLoss> {
        self.look(|figures| loss(figures, self.inner.pipeline.receipts(), source, (from, to)))
    }
}

fn loss(
    figures: &Figures,
    receipts: &Receipts,
    source: &str,
    (from, to): (Timestamp, Timestamp),
) -> Option<SourceLoss> {
    let counted = figures.sources.get(source).map(|found| &found.appended);
    receipts.of(source, |through, known| {
        // Both know all of a stretch that the audits have left behind; where they have come to the same record,
        // of every one.
        let whole = |start: Timestamp| through == figures.through || start < figures.at.floor(STRETCH);
        let window = |start: &Timestamp| (from.floor(STRETCH)..to).contains(start);
        let arrived = known.arrived.stretches().rev().filter(|(start, _)| window(start));
        let arrived: Vec<ArrivedLoss> = arrived
            .map(|(start, arrived)| {
                let in_log = || counted.map_or(0, |counted| counted.over(start, start + STRETCH));
                ArrivedLoss { start, arrived: arrived.into(), in_log: whole(start).then(in_log) }
            })
            .collect();
        let happened = known.happened.stretches().rev().filter(|(start, _)| window(start));
        let happened: Vec<HappenedLoss> =
            happened.filter_map(|(start, happened)| HappenedLoss::of(start, happened)).collect();
        SourceLoss {
            total: (&known.arrived.total()).into(),
            lost: happened.iter().map(|one| one.lost).sum(),
            unapplied: arrived.iter().map(ArrivedLoss::unapplied).sum(),
            arrived,
            happened,
        }
    })
}

impl HappenedLoss {
    fn of(start: Timestamp, happened: &Happened) -> Option<Self> {
        let (sent, lost) = (happened.sent()?, happened.lost()?);
        Some(Self { start, sent, received: happened.received, lost })
    }
}
