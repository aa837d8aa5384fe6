//! An audit as bytes, to go on after a restart where it was.

use std::cell::RefCell;
use std::sync::Arc;

use perennial_features::Shard;
use perennial_types::{ContentHash, Position};
use serde::{Deserialize, Serialize};

use super::sample::Sample;
use super::{AuditOptions, Auditor, Query, Replayed};
use crate::audits::Figures;
use crate::feed::Feed;
use crate::{Declared, PipelineError};

/// What is kept. What is held is read again, but not what its predictions were served.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// Another number begins anew.
    shards: usize,
    declared: Vec<u8>,
    views: Vec<SavedView>,
    noted: Position,
    /// As JSON, which features are: those that wait for what they saw, and for their declaration.
    queries: Vec<u8>,
    records: u64,
    events: u64,
    figures: Figures,
}

/// A view's version, its shards, the feed of its source and its sample.
type SavedView = (ContentHash, Vec<Vec<u8>>, Vec<u8>, Sample);

/// The queries of an audit in their order: by what they saw and their number, and those of no view.
type Queries<'a> = (Vec<(Position, u64, Waiting<'a>)>, Vec<(Position, Waiting<'a>)>);
type Waiting<'a> = std::borrow::Cow<'a, Query>;

impl Auditor {
    /// Its state after the last record that was applied.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn save(&self) -> Result<Vec<u8>, PipelineError> {
        let views = self.views.iter().map(|(version, replayed)| {
            let shards = replayed.shards.iter().map(Shard::save).collect();
            (*version, shards, replayed.feed.save(), replayed.sample.borrow().clone())
        });
        let waiting = |query| Waiting::Borrowed(query);
        let by_seen = self.queries.iter().map(|((seen, number), query)| (*seen, *number, waiting(query)));
        let undeclared = self.undeclared.iter().map(|(seen, query)| (*seen, waiting(query)));
        let queries: Queries<'_> = (by_seen.collect(), undeclared.collect());
        let saved = Saved {
            shards: self.options.shards,
            declared: self.declared.save()?,
            views: views.collect(),
            noted: self.noted,
            queries: serde_json::to_vec(&queries).map_err(PipelineError::snapshot)?,
            records: self.records,
            events: self.events,
            figures: self.figures.clone(),
        };
        postcard::to_stdvec(&saved).map_err(PipelineError::snapshot)
    }

    /// Go on from what was saved. A view version that nothing declares any more is left out.
    ///
    /// # Errors
    /// When the bytes are not from [`Auditor::save`] of this version with these options.
    pub(crate) fn load(options: AuditOptions, bytes: &[u8]) -> Result<Self, PipelineError> {
        let saved: Saved = postcard::from_bytes(bytes).map_err(PipelineError::snapshot)?;
        if saved.shards != options.shards {
            return Err(PipelineError::Snapshot(format!("the audit was by {} shards", saved.shards)));
        }
        let declared = Declared::load(&saved.declared, saved.figures.through)?;
        let mut auditor = Self { records: saved.records, events: saved.events, ..Self::endless(options) };
        for (version, shards, feed, sample) in saved.views {
            let Some((view, source)) = declared.views().get(&version) else { continue };
            let load = |bytes: &Vec<u8>| Shard::load(vec![Arc::clone(view)], bytes);
            let shards = shards.iter().map(load).collect::<Result<_, _>>()?;
            let (view, feed) = (Arc::clone(view), Feed::load(source, &feed)?);
            auditor.views.insert(version, Replayed { view, feed, shards, sample: RefCell::new(sample) });
        }
        let (by_seen, undeclared): Queries<'_> =
            serde_json::from_slice(&saved.queries).map_err(PipelineError::snapshot)?;
        auditor.next = by_seen.iter().map(|(_, number, _)| number + 1).max().unwrap_or_default();
        let by_seen = by_seen.into_iter().map(|(seen, number, query)| ((seen, number), query.into_owned()));
        auditor.queries = by_seen.collect();
        auditor.undeclared = undeclared.into_iter().map(|(seen, query)| (seen, query.into_owned())).collect();
        auditor.noted = saved.noted;
        auditor.declared = declared;
        auditor.figures = saved.figures;
        auditor.note_sources();
        Ok(auditor)
    }
}
