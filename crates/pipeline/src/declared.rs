//! What is declared and what serves, as of a position: the part of the control stream that everybody follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use perennial_control::{ControlRecord, RolloutChange, Routed, RunVerdict, VersionRef};
use perennial_features::View;
use perennial_log::LogReader;
use perennial_project::{ClockKind, Compiled, CompiledModel, Fault, Project};
use perennial_types::{ContentHash, Position, Record, Schema, SourceSpec, Stream, Timestamp};
use serde::{Deserialize, Serialize};

use crate::PipelineError;

/// The goal state, who serves, and the definitions still in use. Cheap to clone.
#[derive(Clone, Default)]
pub struct Declared {
    saved: Saved,
    goal: Option<Arc<Goal>>,
    /// The definitions of what is declared, of every current version and of every version that an endpoint's
    /// traffic or shadow reaches.
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
    /// Canonical declarations as JSON text, oldest first, the last one the goal; the others are kept for the
    /// definitions that a version was made under and that no newer ones have.
    applied: Vec<Arc<str>>,
    /// The definitions that runs were asked to train under. Their versions may serve again at any time.
    trained: BTreeSet<ContentHash>,
    current: BTreeMap<Arc<str>, VersionRef>,
    /// The traffic of each endpoint.
    routed: BTreeMap<Arc<str>, Arc<Routed>>,
    /// The version that is read by the name of each declared view.
    #[serde(default)]
    serving: BTreeMap<Arc<str>, ContentHash>,
}

impl Saved {
    /// The definitions of the versions that serve or look on.
    fn in_service(&self) -> BTreeSet<ContentHash> {
        let routed = self.routed.values().flat_map(|routed| routed.versions());
        self.current.values().chain(routed.map(|(_, version)| version)).map(|one| one.definition).collect()
    }
}

impl Declared {
    /// What was declared last; nothing before the first `apply`.
    pub fn goal(&self) -> Option<&Arc<Goal>> {
        self.goal.as_ref()
    }

    /// Whether what happened to a source at this instant was taken from files of its history, so that the stream's
    /// rows of that time are there already.
    pub fn in_history(&self, source: &str, event_time: Timestamp) -> bool {
        let history = self.goal.as_ref().and_then(|goal| goal.project.histories.get(source));
        history.and_then(|history| history.until).is_some_and(|until| event_time < until)
    }

    /// The current version of a model.
    pub fn current(&self, model: &str) -> Option<&VersionRef> {
        self.saved.current.get(model)
    }

    /// How the traffic of an endpoint is split; nothing before its first version.
    pub fn routing(&self, endpoint: &str) -> Option<&Arc<Routed>> {
        self.saved.routed.get(endpoint)
    }

    /// The definition of this hash, declared now or used by a version that serves or looks on.
    pub fn definition(&self, hash: ContentHash) -> Option<&Arc<Definition>> {
        self.definitions.get(&hash)
    }

    /// Grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The version of every declared view that is read by its name, in the order of declaration: the declared one,
    /// or the one before it while the two are compared.
    pub fn serving_views(&self) -> Vec<Arc<View>> {
        let goal = self.goal.iter().flat_map(|goal| &goal.compiled.views);
        let serving = |view: &Arc<View>| {
            let serving =
                self.saved.serving.get(&view.spec().name).and_then(|version| self.views.get(version));
            serving.map_or_else(|| Arc::clone(view), |(view, _)| Arc::clone(view))
        };
        goal.map(serving).collect()
    }

    /// The views that wait for a comparison: the version that serves, and the declared one.
    pub fn replacements(&self) -> Vec<(Arc<View>, Arc<View>)> {
        let goal = self.goal.iter().flat_map(|goal| &goal.compiled.views).cloned();
        let pairs = self.serving_views().into_iter().zip(goal);
        pairs.filter(|(serving, declared)| serving.version() != declared.version()).collect()
    }

    /// The view versions that the versions in service read.
    pub fn views_in_service(&self) -> BTreeSet<ContentHash> {
        let definitions = self.saved.in_service();
        let models = definitions.iter().filter_map(|hash| self.definitions.get(hash));
        let lookups = models.flat_map(|definition| &definition.model.lookups);
        lookups.map(|lookup| lookup.view.version()).collect()
    }

    /// Every view version that a declaration or a version in use reads, with its source.
    pub fn views(&self) -> &BTreeMap<ContentHash, (Arc<View>, Arc<SourceSpec>)> {
        &self.views
    }

    /// What a log declares up to a position, from its records alone.
    ///
    /// # Errors
    /// When the log cannot be read or understood.
    pub fn of_log(reader: &LogReader, up_to: Position) -> Result<Self, PipelineError> {
        let mut declared = Self::default();
        for record in reader.read(Position(1), up_to)? {
            declared.apply(&record?)?;
        }
        Ok(declared)
    }

    /// Take one record into account; only some of the control stream matter.
    pub(crate) fn apply(&mut self, record: &Record) -> Result<(), PipelineError> {
        if record.entry.stream != Stream::Control {
            return Ok(());
        }
        match control_record(record)? {
            ControlRecord::Applied(applied) => {
                self.saved.applied.push(applied.declarations.to_string().into());
                self.rebuild(record.position)
            }
            ControlRecord::Decided(decided) => {
                for run in decided.decisions.iter().filter_map(|decision| decision.run.as_ref()) {
                    self.revision += u64::from(self.saved.trained.insert(run.definition));
                }
                Ok(())
            }
            ControlRecord::Judged(judged) => match (judged.verdict, judged.version) {
                (RunVerdict::Promoted, Some(version)) => {
                    self.set_current(judged.model, version, record.position)
                }
                (
                    RunVerdict::Promoted | RunVerdict::Admitted | RunVerdict::Refused | RunVerdict::Failed,
                    _,
                ) => Ok(()),
            },
            ControlRecord::RolloutMoved(moved) => match moved.change {
                RolloutChange::Promoted => self.set_current(moved.model, moved.version, record.position),
                RolloutChange::Entered(_) | RolloutChange::Refused => Ok(()),
            },
            ControlRecord::RolledBack(rolled_back) => {
                self.set_current(rolled_back.model, rolled_back.to, record.position)
            }
            ControlRecord::Routed(routed) => {
                let before = self.saved.in_service();
                self.saved.routed.insert(Arc::clone(&routed.endpoint), Arc::new(routed));
                self.changed_from(&before, record.position)
            }
            ControlRecord::ViewPromoted(promoted) => {
                let goal = self.goal.as_ref().and_then(|goal| goal.compiled.view(&promoted.view));
                if goal.is_some_and(|view| view.version() == promoted.to) {
                    self.saved.serving.insert(promoted.view, promoted.to);
                    self.rebuild(record.position)?;
                }
                Ok(())
            }
            ControlRecord::RunFinished(_)
            | ControlRecord::ExperimentMoved(_)
            | ControlRecord::Measured(_)
            | ControlRecord::Reported(_)
            | ControlRecord::DatasetMade(_)
            | ControlRecord::KeyAdded(_)
            | ControlRecord::KeyRevoked(_)
            | ControlRecord::InstantDone { .. } => Ok(()),
        }
    }

    fn set_current(
        &mut self,
        model: Arc<str>,
        version: VersionRef,
        position: Position,
    ) -> Result<(), PipelineError> {
        let before = self.saved.in_service();
        self.saved.trained.insert(version.definition);
        self.saved.current.insert(model, version);
        self.changed_from(&before, position)
    }

    /// Who serves has changed: compile again only if other definitions are in use now.
    fn changed_from(
        &mut self,
        before: &BTreeSet<ContentHash>,
        position: Position,
    ) -> Result<(), PipelineError> {
        self.revision += 1;
        if self.saved.in_service() == *before { Ok(()) } else { self.rebuild(position) }
    }

    /// Compile what is saved, and drop what nobody can need again. Of declarations that have a definition in
    /// common the newest stand for it.
    fn rebuild(&mut self, position: Position) -> Result<(), PipelineError> {
        let wrong = |reason: String| PipelineError::record(position, reason);
        let in_service = self.saved.in_service();
        let newest = self.saved.applied.len().saturating_sub(1);
        let (mut kept, mut found) = (Vec::new(), BTreeSet::new());
        let (mut definitions, mut views) = (BTreeMap::new(), BTreeMap::new());
        let (mut declared_sources, mut outgrown) = (Vec::new(), Vec::new());
        for (index, text) in self.saved.applied.iter().enumerate().rev() {
            let project: Project = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
            let compiled = project.compile().map_err(|faults| wrong(listed(&faults)))?;
            let sources: Vec<Arc<SourceSpec>> = project.sources.iter().cloned().map(Arc::new).collect();
            let goal = index == newest;
            let mut used = goal;
            if goal {
                follow_views(&mut self.saved.serving, &compiled.views, project.clock);
            }
            for model in &compiled.models {
                let (hash, serves) = (model.definition, in_service.contains(&model.definition));
                if !(goal || serves || self.saved.trained.contains(&hash)) || !found.insert(hash) {
                    continue;
                }
                used = true;
                if goal || serves {
                    add_views(&mut views, model.lookups.iter().map(|lookup| &lookup.view), &sources);
                    let definition = Definition { model: Arc::clone(model), sources: sources.clone() };
                    definitions.insert(hash, Arc::new(definition));
                }
            }
            if goal {
                declared_sources.clone_from(&sources);
            }
            let serves = |view: &View| self.saved.serving.get(&view.spec().name) == Some(&view.version());
            for view in compiled.views.iter().filter(|view| serves(view)) {
                // Rows that only the new schema allows cannot be read by the old one; added columns are passed over.
                if !reads(rows_of(view, &sources), rows_of(view, &declared_sources)) {
                    outgrown.push(Arc::clone(&view.spec().name));
                } else if !views.contains_key(&view.version()) {
                    used = true;
                    add_views(&mut views, [view], &sources);
                }
            }
            if used {
                kept.push(Arc::clone(text));
            }
            if goal {
                add_views(&mut views, &compiled.views, &sources);
                self.goal = Some(Arc::new(Goal { project, compiled }));
            }
        }
        for view in self.goal.iter().flat_map(|goal| &goal.compiled.views) {
            if outgrown.contains(&view.spec().name) {
                self.saved.serving.insert(Arc::clone(&view.spec().name), view.version());
            }
        }
        kept.reverse();
        self.saved.applied = kept;
        self.definitions = definitions;
        self.views = views;
        self.revision += 1;
        Ok(())
    }

    pub(crate) fn save(&self) -> Result<Vec<u8>, PipelineError> {
        // Evidence of routing is JSON, which only a self-describing format can hold.
        serde_json::to_vec(&self.saved).map_err(PipelineError::snapshot)
    }

    pub(crate) fn load(bytes: &[u8], position: Position) -> Result<Self, PipelineError> {
        let saved = serde_json::from_slice(bytes).map_err(PipelineError::snapshot)?;
        let mut declared = Self { saved, ..Self::default() };
        declared.rebuild(position)?;
        Ok(declared)
    }
}

/// A new view serves at once, one that is no longer declared no more. A new version of a view waits until it was
/// compared with the one that it replaces; under the event clock it serves from its declaration on, since what was
/// read when is no part of a history.
fn follow_views(serving: &mut BTreeMap<Arc<str>, ContentHash>, views: &[Arc<View>], clock: ClockKind) {
    serving.retain(|name, _| views.iter().any(|view| view.spec().name == *name));
    for view in views {
        let version = serving.entry(Arc::clone(&view.spec().name)).or_insert_with(|| view.version());
        if clock == ClockKind::Event {
            *version = view.version();
        }
    }
}

/// The schema of a view's source, as some declarations have it.
fn rows_of<'a>(view: &View, sources: &'a [Arc<SourceSpec>]) -> Option<&'a Schema> {
    sources.iter().find(|source| source.name == view.spec().from).map(|source| &source.schema)
}

/// Whether rows of a later schema can be read by an earlier one: it has the same columns, and perhaps more.
fn reads(earlier: Option<&Schema>, later: Option<&Schema>) -> bool {
    let Some((earlier, later)) = earlier.zip(later) else { return earlier.is_none() && later.is_none() };
    earlier.columns().iter().all(|column| later.column(&column.name) == Some(column))
}

/// Add the views that are not there yet: what is added first is of the newest declarations.
fn add_views<'a>(
    views: &mut BTreeMap<ContentHash, (Arc<View>, Arc<SourceSpec>)>,
    of: impl IntoIterator<Item = &'a Arc<View>>,
    sources: &[Arc<SourceSpec>],
) {
    for view in of {
        if let Some(source) = sources.iter().find(|source| source.name == view.spec().from) {
            views.entry(view.version()).or_insert_with(|| (Arc::clone(view), Arc::clone(source)));
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

#[cfg(test)]
mod tests {
    use perennial_control::{
        Applied, Judged, ModelShare, RolledBack, RolloutMoved, RoutedVersion, RoutingCause,
    };
    use perennial_evaluate::UnitSpec;
    use perennial_types::{Entry, Timestamp};
    use serde_json::json;

    use super::*;

    /// A project whose model has a definition of its own for each window.
    fn project(window: &str, tick: &str) -> Project {
        let yaml = format!(
            "kind: Project\nname: taxi\ntick: {tick}\n---\n\
             kind: Source\nname: rides\nschema: {{at: timestamp, zone: string, fare: double}}\nevent_time: at\n---\n\
             kind: FeatureView\nname: zone\nentity: [zone]\nfrom: rides\n\
             aggregates: [{{name: fare, op: avg, of: fare, windows: [{window}]}}]\n---\n\
             kind: Model\nname: one\ntask: regression\nrequest: {{zone: string}}\nfeatures: [zone.*]\n\
             transforms: [{{of: [zone.*], fn: standardize}}]\nlearner: {{kind: linear}}\n---\n\
             kind: Endpoint\nname: fare\nmodels: [one]\nlabel: {{name: paid, matures_after: 2h}}\n"
        );
        Project::parse(&[("taxi.yaml".into(), yaml)]).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    struct Log {
        declared: Declared,
        position: Position,
    }

    impl Log {
        fn new() -> Self {
            Self { declared: Declared::default(), position: Position::START }
        }

        fn append(&mut self, record: &ControlRecord) {
            self.position = self.position.next();
            let (empty, at): (Arc<str>, _) = ("".into(), Timestamp::default());
            let entry = Entry {
                stream: Stream::Control,
                source: Arc::clone(&empty),
                key: Arc::clone(&empty),
                event_time: at,
                available_at: at,
                id: empty,
                payload: serde_json::to_vec(record).unwrap(),
            };
            self.declared.apply(&Record { position: self.position, entry }).unwrap();
        }

        /// The definition of the model.
        fn apply(&mut self, project: &Project) -> ContentHash {
            let compiled = project.compile().unwrap();
            let definition = compiled.models[0].definition;
            let (at, hash, goal) = (Timestamp::default(), project.hash(), compiled.goal);
            let declarations = serde_json::to_value(project).unwrap();
            self.append(&ControlRecord::Applied(Applied { at, hash, goal, declarations }));
            definition
        }

        fn promote(&mut self, version: &VersionRef) {
            self.append(&ControlRecord::Judged(Judged {
                run: format!("run_{}", version.number).into(),
                model: "one".into(),
                at: Timestamp::default(),
                verdict: RunVerdict::Promoted,
                reason: String::new(),
                version: Some(version.clone()),
                first: false,
                endpoint: "fare".into(),
            }));
        }

        fn route(&mut self, current: &VersionRef, candidate: Option<&VersionRef>, shadows: &[&VersionRef]) {
            let shadow =
                |version: &&VersionRef| RoutedVersion { model: "one".into(), version: (*version).clone() };
            self.append(&ControlRecord::Routed(Routed {
                endpoint: "fare".into(),
                at: Timestamp::default(),
                experiment: None,
                epoch: Timestamp::default(),
                unit: UnitSpec::Request,
                salt: "fare".into(),
                champion: "one".into(),
                shares: vec![ModelShare {
                    model: "one".into(),
                    share: 1.0,
                    current: current.clone(),
                    candidate: candidate.map(|version| (version.clone(), 1.0 / 3.0)),
                }],
                shadows: shadows.iter().map(shadow).collect(),
                cause: RoutingCause::Rollout,
                reason: "a test wants it".into(),
                evidence: json!({"nested": [1.0, null]}),
            }));
        }

        /// Whether a definition can be used, and the view it reads too.
        fn in_use(&self, definition: ContentHash) -> bool {
            self.declared.definition(definition).is_some_and(|definition| {
                definition
                    .model
                    .lookups
                    .iter()
                    .all(|lookup| self.declared.views().contains_key(&lookup.view.version()))
            })
        }
    }

    fn version(number: u64, definition: ContentHash) -> VersionRef {
        let hash = ContentHash::of(&number.to_le_bytes());
        VersionRef { number, content_hash: hash, artifact: hash, definition }
    }

    #[test]
    fn definitions_stay_in_use_as_long_as_traffic_or_shadow_reaches_a_version() {
        let mut log = Log::new();
        let definitions = ["1d", "2d", "3d", "4d"].map(|window| {
            let definition = log.apply(&project(window, "1h"));
            let number = log.position.0;
            log.promote(&version(number, definition));
            version(number, definition)
        });
        let [first, second, third, last] = &definitions;
        let used = |log: &Log| definitions.each_ref().map(|version| log.in_use(version.definition));
        assert_eq!(used(&log), [false, false, false, true]);
        let revision = log.declared.revision();
        log.route(last, Some(first), &[second]);
        assert!(log.declared.revision() > revision);
        assert_eq!(used(&log), [true, true, false, true]);
        log.route(last, None, &[third]);
        assert_eq!(used(&log), [false, false, true, true]);
        log.route(last, None, &[]);
        assert_eq!(used(&log), [false, false, false, true]);
    }

    #[test]
    fn a_version_of_an_earlier_definition_can_serve_again() {
        let mut log = Log::new();
        let first = log.apply(&project("1d", "1h"));
        log.promote(&version(1, first));
        let second = log.apply(&project("2d", "1h"));
        log.promote(&version(2, second));
        assert!(!log.in_use(first) && log.in_use(second));
        log.append(&ControlRecord::RolledBack(RolledBack {
            model: "one".into(),
            at: Timestamp::default(),
            from: version(2, second),
            to: version(1, first),
            reason: "it was worse".into(),
            endpoint: "fare".into(),
            policy: None,
            evidence: json!(null),
        }));
        assert_eq!(log.declared.current("one"), Some(&version(1, first)));
        assert!(log.in_use(first) && log.in_use(second), "the second one is still declared");
    }

    #[test]
    fn a_candidate_is_current_from_its_promotion_on() {
        let mut log = Log::new();
        let definition = log.apply(&project("1d", "1h"));
        log.promote(&version(1, definition));
        for (change, current) in
            [(RolloutChange::Entered(0), 1), (RolloutChange::Refused, 1), (RolloutChange::Promoted, 2)]
        {
            log.append(&ControlRecord::RolloutMoved(RolloutMoved {
                run: "run_2".into(),
                model: "one".into(),
                endpoint: "fare".into(),
                policy: "keep".into(),
                version: version(2, definition),
                at: Timestamp::default(),
                change,
                reason: String::new(),
                evidence: json!({}),
            }));
            assert_eq!(log.declared.current("one").map(|version| version.number), Some(current));
        }
    }

    #[test]
    fn declarations_are_kept_once_for_each_definition_that_may_be_needed() {
        let mut log = Log::new();
        for (number, window) in [(1, "1d"), (2, "2d")] {
            for tick in ["1h", "2h", "3h"] {
                let definition = log.apply(&project(window, tick));
                log.promote(&version(number, definition));
            }
        }
        // One that nothing was trained under.
        log.apply(&project("5d", "1h"));
        log.apply(&project("2d", "4h"));
        let kept = &log.declared.saved.applied;
        assert_eq!(kept.len(), 2, "{kept:?}");
    }

    #[test]
    fn what_is_loaded_is_what_was_saved() {
        let mut log = Log::new();
        let first = version(1, log.apply(&project("1d", "1h")));
        log.promote(&first);
        let second = version(2, log.apply(&project("2d", "1h")));
        log.apply(&project("3d", "1h"));
        log.route(&first, Some(&second), &[&second]);
        let loaded = Declared::load(&log.declared.save().unwrap(), log.position).unwrap();
        assert_eq!(loaded.routing("fare"), log.declared.routing("fare"));
        assert_eq!(loaded.current("one"), Some(&first));
        assert!(loaded.definitions.keys().eq(log.declared.definitions.keys()));
        assert!(loaded.views().keys().eq(log.declared.views().keys()));
        assert_eq!(loaded.save().unwrap(), log.declared.save().unwrap());
    }
}
