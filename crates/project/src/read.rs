//! From files to declarations, without cross-checks.

mod aggregate;
mod derived;
mod endpoint;
mod experiment;
mod model;
mod policy;
mod recent;
mod report;
mod source;
mod view;

use std::collections::BTreeMap;

use perennial_control::ReportSpec;
use perennial_evaluate::{EndpointSpec, ExperimentSpec};
use perennial_features::ViewSpec;
use perennial_policy::PolicySpec;
use perennial_types::{SourceSpec, TimeSpan, did_you_mean, nearest};

use crate::derive;
use crate::fault::{self, Fault, Places, owner};
use crate::fields::{Faults, Fields, Item};
use crate::marks::Marks;
use crate::ready;
use crate::spec::{AUDITED, ClockKind, HistorySpec, ModelSpec, Project, ServiceLevel};
use crate::tree::{self, Node};

/// The kinds of declarations that are read.
const KINDS: [&str; 8] =
    ["Project", "Source", "FeatureView", "Model", "Endpoint", "Experiment", "Policy", "Report"];

/// What drives a project's time, by name.
const CLOCKS: [(&str, ClockKind); 2] = [("wall", ClockKind::Wall), ("event", ClockKind::Event)];

/// What was read.
pub(crate) struct Draft {
    pub(crate) project: Project,
    pub(crate) faults: Vec<Fault>,
    pub(crate) places: Places,
    /// What could not be read and holds a guess.
    pub(crate) marks: Marks,
}

/// The documents of every file, and the faults of those that are no YAML.
pub(crate) fn documents(files: &[(String, String)]) -> (Vec<Node>, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut nodes = Vec::new();
    for (file, text) in files {
        match tree::parse(file, text) {
            Ok(documents) => nodes.extend(documents),
            Err(fault) => faults.push(fault),
        }
    }
    (nodes, faults)
}

/// Read every document; what cannot be read is filled with a guess. `complete` says that every file is YAML:
/// otherwise a declaration that is missing may stand in one that is not.
pub(crate) fn draft(nodes: &[Node], complete: bool, guess: usize) -> Draft {
    let faults = Faults::default();
    faults.marks.borrow_mut().guess = guess;
    let mut reading = Reading::new(&faults, tick_of(nodes), clock_of(nodes));
    if !complete {
        reading.any_kind_may_be_missing();
    }
    for node in nodes {
        reading.document(node, nodes);
    }
    let (mut project, places) = reading.end(complete);
    project.sort();
    let Faults { noted, marks } = faults;
    let mut marks = marks.into_inner();
    derive::fill(&mut project, &mut marks);
    Draft { project, faults: noted.into_inner(), places, marks }
}

impl Project {
    fn sort(&mut self) {
        self.sources.sort_by(|a, b| a.name.cmp(&b.name));
        self.views.sort_by(|a, b| a.name.cmp(&b.name));
        self.models.sort_by(|a, b| a.name.cmp(&b.name));
        self.endpoints.sort_by(|a, b| a.name.cmp(&b.name));
        self.experiments.sort_by(|a, b| a.name.cmp(&b.name));
        self.policies.sort_by(|a, b| a.name.cmp(&b.name));
        self.reports.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// The declarations of one project as they come.
struct Reading<'f> {
    faults: &'f Faults,
    places: Places,
    names: Vec<(&'static str, String)>,
    /// What times that are not given are rounded to.
    tick: TimeSpan,
    /// What drives the project's time.
    clock: ClockKind,
    project: Option<Project>,
    sources: Vec<SourceSpec>,
    histories: BTreeMap<std::sync::Arc<str>, HistorySpec>,
    views: Vec<ViewSpec>,
    service_levels: BTreeMap<std::sync::Arc<str>, ServiceLevel>,
    models: Vec<ModelSpec>,
    endpoints: Vec<EndpointSpec>,
    experiments: Vec<ExperimentSpec>,
    policies: Vec<PolicySpec>,
    reports: Vec<ReportSpec>,
}

impl<'f> Reading<'f> {
    fn new(faults: &'f Faults, tick: TimeSpan, clock: ClockKind) -> Self {
        Self {
            faults,
            places: Places::default(),
            names: Vec::new(),
            tick,
            clock,
            project: None,
            sources: Vec::new(),
            histories: BTreeMap::new(),
            views: Vec::new(),
            service_levels: BTreeMap::new(),
            models: Vec::new(),
            endpoints: Vec::new(),
            experiments: Vec::new(),
            policies: Vec::new(),
            reports: Vec::new(),
        }
    }

    fn any_kind_may_be_missing(&self) {
        KINDS.into_iter().for_each(|kind| self.faults.marks.borrow_mut().open_kind(kind));
    }

    /// A document of no known kind may declare what others name.
    fn stranger(&self, node: &Node) {
        let text = |field| node.get(field).and_then(Node::text);
        match (text("kind"), text("name")) {
            (Some(kind), Some(name)) => {
                let mut marks = self.faults.marks.borrow_mut();
                marks.stranger(name);
                if let Some(meant) = nearest(kind, KINDS) {
                    KINDS
                        .into_iter()
                        .filter(|known| *known == meant && ["Project", "Endpoint"].contains(known))
                        .for_each(|kind| marks.open_kind(kind));
                }
            }
            (None, _) | (_, None) => self.any_kind_may_be_missing(),
        }
    }

    fn document(&mut self, node: &Node, nodes: &[Node]) {
        let Some(kind) = self.kind_of(node) else { return self.stranger(node) };
        let mut name = node.get("name").and_then(Node::text).unwrap_or_default().to_owned();
        let mut owner = owner(kind, &name);
        if kind == "Project" && self.names.iter().any(|(other, _)| *other == kind) {
            let item = Item::root(node, owner, self.faults);
            item.refuse("a second Project is declared; a directory holds one", "");
            project(&item);
            return;
        }
        if name.is_empty() {
            self.faults.marks.borrow_mut().open_kind(kind);
        }
        if self.names.contains(&(kind, name.clone())) {
            if !name.is_empty() {
                let item = Item::root(node, owner, self.faults);
                item.refuse(format!("another {kind} is called {name:?}"), "names differ within a kind");
            }
            name = self.second(kind, &name);
            owner = fault::owner(kind, &name);
        }
        self.names.push((kind, name.clone()));
        let (merged, whole) = match kind {
            "Model" => model::with_copied(node, nodes, self.faults),
            "Policy" => ready::policy(node, self.faults),
            "Source" => ready::source(node, self.faults),
            _ => (node.clone(), true),
        };
        let named = format!("{owner}: name");
        let item = Item::root(&merged, owner, self.faults);
        item.remember(&mut self.places);
        let name = std::sync::Arc::from(name);
        match kind {
            "Project" => self.project = Some(project(&item)),
            "Source" => {
                let history = source::history(&item).map(|history| (std::sync::Arc::clone(&name), history));
                self.histories.extend(history);
                self.sources.push(SourceSpec { name, ..source::read(&item, self.clock, whole) });
            }
            "FeatureView" => {
                let (view, level) = view::read(&item);
                self.service_levels.extend(level.map(|level| (std::sync::Arc::clone(&name), level)));
                self.views.push(ViewSpec { name, ..view });
            }
            "Model" => self.models.push(ModelSpec { name, ..model::read(&item, whole) }),
            "Endpoint" => self.endpoints.push(EndpointSpec { name, ..endpoint::read(&item) }),
            "Experiment" => {
                self.experiments.push(ExperimentSpec { name, ..experiment::read(&item, self.tick) });
            }
            "Policy" => self.policies.push(PolicySpec { name, ..policy::read(&item, self.tick, whole) }),
            _ => self.reports.push(ReportSpec { name, ..report::read(&item) }),
        }
        let mut marks = self.faults.marks.borrow_mut();
        if marks.covers(&named) {
            // Others may name it as it was meant.
            marks.open_kind(kind);
        }
    }

    /// A name for a declaration whose own is taken or missing, so that the rest of it is checked.
    fn second(&self, kind: &'static str, name: &str) -> String {
        let mut count = 2;
        let named = |count: usize| format!("{name} ({count})").trim_start().to_owned();
        while self.names.contains(&(kind, named(count))) {
            count += 1;
        }
        let mut marks = self.faults.marks.borrow_mut();
        marks.open_kind(kind);
        marks.break_at(&format!("{}: name", fault::owner(kind, &named(count))));
        named(count)
    }

    /// The kind of a document, one of those that are read.
    fn kind_of(&self, node: &Node) -> Option<&'static str> {
        let item = Item::root(node, String::new(), self.faults);
        if !item.is_map() {
            item.refuse("a document is a map that starts with its kind", "kind: Model, for example");
            return None;
        }
        let Some(kind) = node.get("kind").and_then(Node::text) else {
            item.refuse("field \"kind\" is missing", &format!("known are {}", KINDS.join(", ")));
            return None;
        };
        let known = KINDS.into_iter().find(|known| *known == kind);
        if known.is_none() {
            item.refuse(format!("unknown kind {kind:?}"), &did_you_mean(kind, KINDS));
        }
        known
    }

    fn end(self, complete: bool) -> (Project, Places) {
        let open = !complete || self.faults.marks.borrow().kind_is_open("Project");
        if !open && !self.names.iter().any(|(kind, _)| *kind == "Project") {
            let fault =
                Fault::at("", "no Project is declared").help("add a document: kind: Project, name: …");
            self.faults.noted.borrow_mut().push(fault);
        }
        // Where there is no project, its tick is not known and everything is a multiple of it.
        let any_tick = TimeSpan::from_micros(1);
        let mut project =
            self.project.unwrap_or_else(|| Project::empty("".into(), ClockKind::default(), any_tick));
        project.sources = self.sources;
        project.histories = self.histories;
        project.views = self.views;
        project.service_levels = self.service_levels;
        project.models = self.models;
        project.endpoints = self.endpoints;
        project.experiments = self.experiments;
        project.policies = self.policies;
        project.reports = self.reports;
        (project, self.places)
    }
}

/// The fields of a document and its name, which has the given form.
fn open<'a>(
    item: &Item<'a>,
    form: impl Fn(&Item<'a>) -> Option<std::sync::Arc<str>>,
) -> (Fields<'a>, std::sync::Arc<str>) {
    let mut fields = item.fields();
    fields.optional("kind");
    let name = fields.required("name").and_then(|item| form(&item));
    (fields, name.unwrap_or_default())
}

/// Policies are looked at once an hour unless said.
fn default_tick() -> TimeSpan {
    TimeSpan::from_hours(1)
}

fn project(item: &Item<'_>) -> Project {
    let (mut fields, name) = open(item, Item::name);
    let clock = fields.optional("clock").map_or(Some(ClockKind::Wall), |item| item.one_of(&CLOCKS, &[]));
    let tick = fields.optional("tick").map_or(Some(default_tick()), |item| item.span());
    let audited = fields.optional("audit").map_or(Some(AUDITED), |item| audit(&item));
    fields.finish();
    // Everything is a multiple of the least tick.
    let tick = tick.unwrap_or_else(|| item.guess(&[default_tick(), TimeSpan::from_micros(1)]));
    Project { audited: audited.unwrap_or(AUDITED), ..Project::empty(name, clock.unwrap_or_default(), tick) }
}

/// `{entities: 0.01}`: the part of the entities whose features are replayed and compared.
fn audit(item: &Item<'_>) -> Option<f64> {
    let mut fields = item.fields();
    let entities = fields.required("entities").and_then(|item| item.number_in(0.0, 1.0));
    fields.finish();
    entities
}

/// The tick that the documents declare, as far as it can be read.
fn tick_of(nodes: &[Node]) -> TimeSpan {
    let tick = project_text(nodes, "tick").and_then(|text| TimeSpan::parse(text).ok());
    tick.filter(|tick| *tick > TimeSpan::ZERO).unwrap_or_else(default_tick)
}

/// The clock that the documents declare, as far as it can be read.
fn clock_of(nodes: &[Node]) -> ClockKind {
    let named =
        project_text(nodes, "clock").and_then(|text| CLOCKS.into_iter().find(|(name, _)| *name == text));
    named.map_or_else(ClockKind::default, |(_, clock)| clock)
}

/// A field of the project that is a text.
fn project_text<'n>(nodes: &'n [Node], field: &str) -> Option<&'n str> {
    let text = |node: &'n Node, field: &str| node.get(field).and_then(Node::text);
    let project = nodes.iter().find(|node| text(node, "kind") == Some("Project"))?;
    text(project, field)
}

/// The values of a choice with their names, as `one_of` wants them.
fn named<T: Copy>(values: &[T], name: impl Fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    values.iter().map(|value| (name(*value), *value)).collect()
}

/// The least number of ticks that is at least so long.
fn in_ticks(micros: i64, tick: TimeSpan) -> TimeSpan {
    let (micros, tick) = (micros.max(1), tick.micros());
    TimeSpan::from_micros(micros.saturating_add(tick - 1) / tick * tick)
}
