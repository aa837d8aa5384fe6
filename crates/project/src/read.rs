//! From files to declarations, without cross-checks.

mod endpoint;
mod model;
mod policy;
mod source;
mod view;

use perennial_evaluate::EndpointSpec;
use perennial_features::ViewSpec;
use perennial_policy::PolicySpec;
use perennial_types::{SourceSpec, TimeSpan, did_you_mean};

use crate::fault::{Fault, Places};
use crate::fields::{Faults, Fields, Item};
use crate::spec::{ClockKind, ModelSpec, Project};
use crate::tree::{self, Node};

/// The kinds of declarations that are read.
const KINDS: [&str; 6] = ["Project", "Source", "FeatureView", "Model", "Endpoint", "Policy"];

/// Kinds of the language that do nothing yet.
const LATER: [&str; 2] = ["Experiment", "Report"];

/// What was read.
pub(crate) struct Draft {
    pub(crate) project: Project,
    /// Kind and name of declarations with a fault of their own: naming them is no further fault.
    pub(crate) unreadable: Vec<(&'static str, String)>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) places: Places,
    /// Whether every file is YAML; otherwise a name that is missing may stand in one that is not.
    pub(crate) complete: bool,
}

/// Read every document of every file.
pub(crate) fn draft(files: &[(String, String)]) -> Draft {
    let mut faults = Vec::new();
    let mut nodes = Vec::new();
    for (file, text) in files {
        match tree::parse(file, text) {
            Ok(documents) => nodes.extend(documents),
            Err(fault) => faults.push(fault),
        }
    }
    let complete = faults.is_empty();
    let faults = Faults::new(faults);
    let mut reading = Reading::new(&faults);
    for node in &nodes {
        reading.document(node, &nodes);
    }
    let (mut project, unreadable, places) = reading.end();
    project.sort();
    Draft { project, unreadable, faults: faults.into_inner(), places, complete }
}

impl Project {
    fn sort(&mut self) {
        self.sources.sort_by(|a, b| a.name.cmp(&b.name));
        self.views.sort_by(|a, b| a.name.cmp(&b.name));
        self.models.sort_by(|a, b| a.name.cmp(&b.name));
        self.endpoints.sort_by(|a, b| a.name.cmp(&b.name));
        self.policies.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// The declarations of one project as they come.
struct Reading<'f> {
    faults: &'f Faults,
    places: Places,
    names: Vec<(&'static str, String)>,
    unreadable: Vec<(&'static str, String)>,
    project: Option<Project>,
    sources: Vec<SourceSpec>,
    views: Vec<ViewSpec>,
    models: Vec<ModelSpec>,
    endpoints: Vec<EndpointSpec>,
    policies: Vec<PolicySpec>,
}

impl<'f> Reading<'f> {
    fn new(faults: &'f Faults) -> Self {
        Self {
            faults,
            places: Places::default(),
            names: Vec::new(),
            unreadable: Vec::new(),
            project: None,
            sources: Vec::new(),
            views: Vec::new(),
            models: Vec::new(),
            endpoints: Vec::new(),
            policies: Vec::new(),
        }
    }

    fn document(&mut self, node: &Node, nodes: &[Node]) {
        let Some(kind) = self.kind_of(node) else { return };
        let name = node.get("name").and_then(Node::text).unwrap_or_default().to_owned();
        let owner = if name.is_empty() { kind.to_owned() } else { format!("{kind} {name:?}") };
        if kind == "Project" && self.names.iter().any(|(other, _)| *other == kind) {
            let item = Item::root(node, owner, self.faults);
            return item.refuse("a second Project is declared; a directory holds one", "");
        }
        if self.names.contains(&(kind, name.clone())) {
            let item = Item::root(node, owner, self.faults);
            return item.refuse(format!("another {kind} is called {name:?}"), "names differ within a kind");
        }
        self.names.push((kind, name.clone()));
        let faults_before = self.faults.borrow().len();
        let merged =
            if kind == "Model" { model::with_copied(node, nodes, self.faults) } else { node.clone() };
        let item = Item::root(&merged, owner, self.faults);
        item.remember(&mut self.places);
        let read = match kind {
            "Project" => project(&item).map(|read| self.project = Some(read)),
            "Source" => source::read(&item).map(|read| self.sources.push(read)),
            "FeatureView" => view::read(&item).map(|read| self.views.push(read)),
            "Model" => model::read(&item).map(|read| self.models.push(read)),
            "Endpoint" => endpoint::read(&item).map(|read| self.endpoints.push(read)),
            _ => policy::read(&item).map(|read| self.policies.push(read)),
        };
        if read.is_none() || self.faults.borrow().len() > faults_before {
            self.unreadable.push((kind, name));
        }
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
        if known.is_none() && LATER.contains(&kind) {
            let name = node.get("name").and_then(Node::text).unwrap_or_default();
            Item::root(node, format!("{kind} {name:?}"), self.faults)
                .refuse(format!("kind {kind:?} is not supported yet"), "");
        } else if known.is_none() {
            item.refuse(format!("unknown kind {kind:?}"), &did_you_mean(kind, KINDS));
        }
        known
    }

    fn end(self) -> (Project, Vec<(&'static str, String)>, Places) {
        if !self.names.iter().any(|(kind, _)| *kind == "Project") {
            let fault =
                Fault::at("", "no Project is declared").help("add a document: kind: Project, name: …");
            self.faults.borrow_mut().push(fault);
        }
        let mut project = self.project.unwrap_or_else(|| Project {
            name: "".into(),
            clock: ClockKind::default(),
            tick: default_tick(),
            sources: Vec::new(),
            views: Vec::new(),
            models: Vec::new(),
            endpoints: Vec::new(),
            policies: Vec::new(),
        });
        project.sources = self.sources;
        project.views = self.views;
        project.models = self.models;
        project.endpoints = self.endpoints;
        project.policies = self.policies;
        (project, self.unreadable, self.places)
    }
}

/// The fields of a document and its name, which has the given form.
fn open<'a>(
    item: &Item<'a>,
    form: impl Fn(&Item<'a>) -> Option<std::sync::Arc<str>>,
) -> (Fields<'a>, Option<std::sync::Arc<str>>) {
    let mut fields = item.fields();
    fields.optional("kind");
    let name = fields.required("name").and_then(|item| form(&item));
    (fields, name)
}

/// Policies are looked at once an hour unless said.
fn default_tick() -> TimeSpan {
    TimeSpan::from_hours(1)
}

fn project(item: &Item<'_>) -> Option<Project> {
    let (mut fields, name) = open(item, Item::name);
    let clocks = [("wall", ClockKind::Wall), ("event", ClockKind::Event)];
    let clock = fields.optional("clock").map_or(Some(ClockKind::Wall), |item| item.one_of(&clocks, &[]));
    let tick = fields.optional("tick").map_or(Some(default_tick()), |item| item.span());
    fields.finish();
    Some(Project {
        name: name?,
        clock: clock?,
        tick: tick?,
        sources: Vec::new(),
        views: Vec::new(),
        models: Vec::new(),
        endpoints: Vec::new(),
        policies: Vec::new(),
    })
}
