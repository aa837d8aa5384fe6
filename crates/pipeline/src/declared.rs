//! What is declared and what serves, as of a position: the part of the control stream that everybody follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_control::{ControlRecord, RunVerdict, VersionRef};
use perennial_features::View;
use perennial_project::{Compiled, CompiledModel, Fault, Project};
use perennial_types::{ContentHash, Position, Record, SourceSpec, Stream};
use serde::{Deserialize, Serialize};

use crate::PipelineError;

/// The goal state, the definitions still in use and the current version of every model.
#[derive(Clone, Default)]
pub struct Declared {
    saved: Saved,
    goal: Option<Arc<Goal>>,
    /// The definitions of what is declared and of every current version.
    definitions: BTreeMap<ContentHash, Arc<Definition>>,
    /// The views that are declared or that a definition reads, by version.
    views: BTreeMap<ContentHash, (Arc<View>, Arc<SourceSpec>)>,
    revision: u64,
}

/// What was declared last.
#[derive(Debug)]
pub struct Goal {
    /// As declared.
    pub project: Project,
    /// Resolved.
    pub compiled: Compiled,
}

/// A model under one definition, with the sources of its views.
#[derive(Debug)]
pub struct Definition {
    /// The model.
    pub model: Arc<CompiledModel>,
    /// The sources of its views.
    pub sources: Vec<Arc<SourceSpec>>,
}

/// The part that snapshots keep; the rest is made from it.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Saved {
    /// Canonical declarations as JSON text, oldest first, the last one the goal; those whose definitions are
    /// no longer in use are dropped.
    applied: Vec<String>,
    current: BTreeMap<Arc<str>, VersionRef>,
}

impl Declared {
    /// What was declared last; nothing before the first `apply`.
    pub fn goal(&self) -> Option<&Arc<Goal>> {
        self.goal.as_ref()
    }

    /// The current version of a model.
    pub fn current(&self, model: &str) -> Option<&VersionRef> {
        self.saved.current.get(model)
    }

    /// The definition of this hash, declared now or used by a current version.
    pub fn definition(&self, hash: ContentHash) -> Option<&Arc<Definition>> {
        self.definitions.get(&hash)
    }

    /// Grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Every view version that a declaration or a current version reads, with its source.
    pub fn views(&self) -> &BTreeMap<ContentHash, (Arc<View>, Arc<SourceSpec>)> {
        &self.views
    }

    /// Take one record into account; only some of the control stream matter.
    pub(crate) fn apply(&mut self, record: &Record) -> Result<(), PipelineError> {
        if record.entry.stream != Stream::Control {
            return Ok(());
        }
        match control_record(record)? {
            ControlRecord::Applied(applied) => {
                self.saved.applied.push(applied.declarations.to_string());
                self.rebuild(record.position)?;
            }
            ControlRecord::Judged(judged) => {
                if let (RunVerdict::Promoted, Some(version)) = (judged.verdict, judged.version) {
                    self.set_current(judged.model, version, record.position)?;
                }
            }
            ControlRecord::RolledBack(rolled_back) => {
                self.set_current(rolled_back.model, rolled_back.to, record.position)?;
            }
            ControlRecord::Decided(_)
            | ControlRecord::RunFinished(_)
            | ControlRecord::RolloutMoved(_)
            | ControlRecord::ExperimentMoved(_)
            | ControlRecord::Routed(_)
            | ControlRecord::Measured(_)
            | ControlRecord::Reported(_)
            | ControlRecord::KeyAdded(_)
            | ControlRecord::KeyRevoked(_)
            | ControlRecord::InstantDone { .. } => {}
        }
        Ok(())
    }

    fn set_current(
        &mut self,
        model: Arc<str>,
        version: VersionRef,
        position: Position,
    ) -> Result<(), PipelineError> {
        let changed = self.saved.current.get(&model).is_none_or(|old| old.definition != version.definition);
        self.saved.current.insert(model, version);
        self.revision += 1;
        if changed { self.rebuild(position) } else { Ok(()) }
    }

    /// Compile what is saved, and drop what is no longer in use.
    fn rebuild(&mut self, position: Position) -> Result<(), PipelineError> {
        let wrong = |reason: String| PipelineError::record(position, reason);
        let newest = self.saved.applied.len().saturating_sub(1);
        let (mut kept, mut definitions, mut views) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for (index, text) in self.saved.applied.iter().enumerate() {
            let project: Project = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
            let compiled = project.compile().map_err(|faults| wrong(listed(&faults)))?;
            let sources: Vec<Arc<SourceSpec>> = project.sources.iter().cloned().map(Arc::new).collect();
            let goal = index == newest;
            let mut used = goal;
            for model in &compiled.models {
                let current =
                    self.saved.current.values().any(|version| version.definition == model.definition);
                if goal || current {
                    used = true;
                    add_views(&mut views, model.lookups.iter().map(|lookup| &lookup.view), &sources);
                    let definition = Definition { model: Arc::clone(model), sources: sources.clone() };
                    definitions.insert(model.definition, Arc::new(definition));
                }
            }
            if used {
                kept.push(text.clone());
            }
            if goal {
                add_views(&mut views, &compiled.views, &sources);
                self.goal = Some(Arc::new(Goal { project, compiled }));
            }
        }
        self.saved.applied = kept;
        self.definitions = definitions;
        self.views = views;
        self.revision += 1;
        Ok(())
    }

    pub(crate) fn save(&self) -> Result<Vec<u8>, PipelineError> {
        postcard::to_stdvec(&self.saved).map_err(PipelineError::snapshot)
    }

    pub(crate) fn load(bytes: &[u8], position: Position) -> Result<Self, PipelineError> {
        let saved = postcard::from_bytes(bytes).map_err(PipelineError::snapshot)?;
        let mut declared = Self { saved, ..Self::default() };
        declared.rebuild(position)?;
        Ok(declared)
    }
}

fn add_views<'a>(
    views: &mut BTreeMap<ContentHash, (Arc<View>, Arc<SourceSpec>)>,
    of: impl IntoIterator<Item = &'a Arc<View>>,
    sources: &[Arc<SourceSpec>],
) {
    for view in of {
        if let Some(source) = sources.iter().find(|source| source.name == view.spec().from) {
            views.insert(view.version(), (Arc::clone(view), Arc::clone(source)));
        }
    }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Decode a record of the control stream.
///
/// # Errors
/// When the payload is not one.
pub fn control_record(record: &Record) -> Result<ControlRecord, PipelineError> {
    serde_json::from_slice(&record.entry.payload)
        .map_err(|error| PipelineError::record(record.position, error))
}
