//! A promotion that may still be taken back.

use perennial_evaluate::LabelledPrediction;
use perennial_policy::{RollbackSpec, SignalValues, Truth};
use perennial_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::VersionRef;
use crate::comparison::{Compared, Comparison, Seen};
use crate::compiled::{Compiled, Members};
use crate::terms::Terms;

/// Pairs below which a promotion is not judged.
pub const LEAST_PAIRED_ROWS: u64 = 48;

/// The current version held against the one it replaced, which stays in shadow for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    terms: Terms,
    replaced: VersionRef,
    promoted_at: Timestamp,
    comparison: Comparison,
}

impl Watch {
    /// Of a promotion, if its terms let it be taken back. What a rollout has compared goes on in it as far as it
    /// matures after the promotion.
    pub(crate) fn begin(
        terms: Terms,
        (promoted, at): (u64, Timestamp),
        replaced: VersionRef,
        rollout: Option<Comparison>,
    ) -> Option<Self> {
        terms.rollback.as_ref()?;
        let mut comparison = rollout.unwrap_or_else(|| Comparison::new(promoted, replaced.number, &terms));
        comparison.begin_anew(at);
        Some(Self { terms, replaced, promoted_at: at, comparison })
    }

    /// The terms that it was promoted under.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The version that was replaced.
    pub fn replaced(&self) -> &VersionRef {
        &self.replaced
    }

    /// When the present version was promoted.
    pub fn promoted_at(&self) -> Timestamp {
        self.promoted_at
    }

    /// Until when the promotion may be taken back.
    pub fn until(&self) -> Timestamp {
        self.rule().map_or(self.promoted_at, |rule| self.promoted_at + rule.within)
    }

    /// What the pairs say at an instant.
    pub fn compared(&self, now: Timestamp) -> Compared {
        self.comparison.compared(now)
    }

    pub(crate) fn labelled(
        &mut self,
        row: &LabelledPrediction,
        model: &str,
        matures_after: perennial_types::TimeSpan,
        compiled: &Compiled,
    ) {
        let seen = Seen { terms: &self.terms, matures_after, compiled };
        // A label whose window had closed before the promotion says nothing about it.
        if row.prediction.at + matures_after > self.promoted_at {
            self.comparison.labelled(row, model, seen);
        }
    }

    pub(crate) fn mature(&mut self, now: Timestamp) {
        self.comparison.mature(now);
    }

    /// Why the promotion is taken back at an instant, if it is.
    pub(crate) fn due(&self, at: Timestamp, compiled: &Compiled) -> Option<String> {
        let rule = self.rule()?;
        if at > self.until() {
            return None;
        }
        let compared = self.compared(at);
        let mut values = SignalValues::default();
        let few = || format!("fewer than {LEAST_PAIRED_ROWS} rows ({})", compared.rows);
        let known = compared.relative_change().filter(|_| compared.rows >= LEAST_PAIRED_ROWS);
        values.paired(known.ok_or_else(few), compared.rows);
        let (truth, explanation) = compiled.truth(Members::Paired, &rule.when, &values);
        (truth == Truth::True).then(|| format!("{explanation}; {}", compared.sentence(self.terms.metric)))
    }

    fn rule(&self) -> Option<&RollbackSpec> {
        self.terms.rollback.as_ref()
    }
}
