//! The state of a derived source.

use std::sync::Arc;

use perennial_types::{Position, Row, Timestamp};

use crate::FeatureError;
use crate::shard::Event;
use crate::streams::Derivation;
use crate::streams::node::{Cause, States};
use crate::streams::saved::{HEADER, SavedFlow};

/// An event of a derived source. It stands where its cause stands and became known with it.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedEvent {
    /// Its values, in the order of the source's schema.
    pub row: Row,
    /// When it happened.
    pub event_time: Timestamp,
}

/// The state of a derived source: plain data with one writer.
///
/// A position is taken once: what the flow has seen is skipped, so that applying the log again changes nothing.
#[derive(Clone, Debug)]
pub struct Flow {
    derivation: Arc<Derivation>,
    seen: Position,
    states: States,
}

impl Flow {
    /// No events yet.
    pub fn new(derivation: Arc<Derivation>) -> Self {
        let states = derivation.initial().clone();
        Self { derivation, seen: Position::START, states }
    }

    /// What it is the state of.
    pub fn derivation(&self) -> &Arc<Derivation> {
        &self.derivation
    }

    /// The last position that was taken.
    pub fn seen(&self) -> Position {
        self.seen
    }

    /// Take the next event of the log; what follows from it is added to `follows`, in order. Events of sources that
    /// are not read from are passed over. The row has the columns that [`Derivation::reads`] gives the source.
    pub fn apply(&mut self, event: &Event<'_>, follows: &mut Vec<DerivedEvent>) {
        if event.position <= self.seen {
            return;
        }
        let Some(leaf) = self.derivation.leaf(event.source) else { return };
        self.seen = event.position;
        let (time, available_at) = (event.event_time.micros(), event.available_at.micros());
        let cause = Cause { leaf, row: event.row, time, available_at };
        let happened = self.derivation.root().follow(&cause, &mut self.states);
        follows.extend(
            happened
                .into_iter()
                .map(|one| DerivedEvent { row: one.row, event_time: Timestamp::from_micros(one.time) }),
        );
    }

    /// How many rows and instants it keeps.
    pub fn kept(&self) -> usize {
        let States { joins, enriches, dedupes } = &self.states;
        let joins = joins.iter().map(|state| state.kept());
        let enriches = enriches.iter().map(|state| state.kept());
        joins.chain(enriches).chain(dedupes.iter().map(|state| state.kept())).sum()
    }

    /// The state as bytes. States that later events cannot tell apart give equal bytes.
    pub fn save(&self) -> Vec<u8> {
        let States { joins, enriches, dedupes } = &self.states;
        let saved = SavedFlow {
            seen: self.seen,
            joins: joins.iter().map(|state| state.saved()).collect(),
            enriches: enriches.iter().map(|state| state.saved()).collect(),
            dedupes: dedupes.iter().map(|state| state.saved()).collect(),
        };
        let bytes = postcard::to_extend(&saved, HEADER.to_vec());
        // A vector grows, and nothing in the state refuses to be serialised; were it so, the header alone does not
        // load, and the state is rebuilt from the log.
        bytes.unwrap_or_else(|_| HEADER.to_vec())
    }

    /// The state from saved bytes.
    ///
    /// # Errors
    /// When the bytes are no state of this derivation.
    pub fn load(derivation: Arc<Derivation>, bytes: &[u8]) -> Result<Self, FeatureError> {
        let wrong = |problem: &str| FeatureError::Snapshot(problem.to_owned());
        let body = bytes.strip_prefix(HEADER).ok_or_else(|| wrong("a flow does not begin as one does"))?;
        let (saved, rest): (SavedFlow, _) = postcard::take_from_bytes(body)
            .map_err(|error| wrong(&format!("a flow cannot be read: {error}")))?;
        let mut flow = Self::new(derivation);
        let States { joins, enriches, dedupes } = &mut flow.states;
        let lengths = (saved.joins.len(), saved.enriches.len(), saved.dedupes.len());
        if !rest.is_empty() || lengths != (joins.len(), enriches.len(), dedupes.len()) {
            return Err(wrong("a flow is that of another source"));
        }
        joins.iter_mut().zip(saved.joins).for_each(|(state, saved)| state.restore(saved));
        enriches.iter_mut().zip(saved.enriches).for_each(|(state, saved)| state.restore(saved));
        dedupes.iter_mut().zip(saved.dedupes).for_each(|(state, saved)| state.restore(saved));
        flow.seen = saved.seen;
        Ok(flow)
    }
}
