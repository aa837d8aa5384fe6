//! What applying a project would change.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use perennial_features::View;
use perennial_types::{ContentHash, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::compile::Compiled;
use crate::fault::Fault;
use crate::spec::{Project, json_of};

/// The difference between a project and what runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The project's name.
    pub project: Arc<str>,
    /// The hash of what runs; nothing if nothing does.
    pub from: Option<ContentHash>,
    /// The hash of what would run.
    pub to: ContentHash,
    /// What is created, changed and retired; empty if nothing is.
    pub changes: Vec<Change>,
    /// What the state of each view costs.
    pub views: Vec<ViewCost>,
}

/// A declaration that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What happens to it.
    pub effect: Effect,
    /// Its kind, as declared.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The fields that differ, if it was there before.
    pub fields: Vec<String>,
    /// What follows from it.
    pub follows: Vec<String>,
    /// Why it cannot be applied.
    pub refused: Option<String>,
}

/// What happens to a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is new.
    Created,
    /// It is another than before.
    Changed,
    /// It is no longer declared.
    Retired,
}

/// What the state of a view costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewCost {
    /// The view.
    pub name: Arc<str>,
    /// Bytes of memory for each entity that had events within the longest window.
    pub bytes_per_key: u64,
}

impl Project {
    /// What applying this project would change where `running` runs now.
    ///
    /// # Errors
    /// The faults of a project that does not compile; one that was parsed does.
    pub fn diff(&self, running: Option<&Self>) -> Result<Plan, Vec<Fault>> {
        let compiled = self.compile()?;
        let before = running.map(Self::compile).transpose()?;
        let mut changes = project_change(self, running).into_iter().collect::<Vec<_>>();
        let named = declarations(self);
        let was = running.map(declarations).unwrap_or_default();
        for (key, json) in &named {
            match was.get(key) {
                None => changes.push(change(Effect::Created, key, Vec::new())),
                Some(old) if old != json => changes.push(change(Effect::Changed, key, differing(old, json))),
                Some(_) => {}
            }
        }
        let retired = was.keys().filter(|key| !named.contains_key(*key));
        changes.extend(retired.map(|key| change(Effect::Retired, key, Vec::new())));
        if let (Some(before), Some(running)) = (&before, running) {
            let sides = Sides { old: running, new: self, before, after: &compiled };
            sides.indirect_retrains(&mut changes);
            changes.iter_mut().for_each(|change| sides.explain(change));
        }
        Ok(Plan {
            project: Arc::clone(&self.name),
            from: running.map(Self::hash),
            to: self.hash(),
            changes,
            views: compiled.views.iter().map(view_cost).collect(),
        })
    }
}

impl Plan {
    /// Why it cannot be applied: one reason for each change that is refused.
    pub fn refusals(&self) -> Vec<String> {
        let refused = self.changes.iter().filter_map(|change| {
            let reason = change.refused.as_ref()?;
            Some(format!("{} {:?}: {reason}", change.kind, change.name))
        });
        refused.collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from.map_or("nothing".to_owned(), |hash| hash.short());
        writeln!(f, "project {:?}: {from} -> {}", self.project, self.to.short())?;
        if self.changes.is_empty() {
            writeln!(f, "  no changes")?;
        }
        for change in &self.changes {
            let sign = match change.effect {
                Effect::Created => '+',
                Effect::Changed => '~',
                Effect::Retired => '-',
            };
            write!(f, "  {sign} {} {:?}", change.kind, change.name)?;
            if !change.fields.is_empty() {
                write!(f, ": {}", change.fields.join(", "))?;
            }
            writeln!(f)?;
            for line in &change.follows {
                writeln!(f, "      {line}")?;
            }
            if let Some(reason) = &change.refused {
                writeln!(f, "      refused: {reason}")?;
            }
        }
        for view in &self.views {
            writeln!(f, "  memory of {:?}: about {} bytes per key", view.name, view.bytes_per_key)?;
        }
        Ok(())
    }
}

/// A kind and a name; kinds are in the order in which they build on each other.
type Key = (usize, Arc<str>);

const KINDS: [&str; 6] = ["Project", "Source", "FeatureView", "Model", "Endpoint", "Policy"];

fn change(effect: Effect, (kind, name): &Key, fields: Vec<String>) -> Change {
    let (kind, name) = (KINDS[*kind].into(), Arc::clone(name));
    Change { effect, kind, name, fields, follows: Vec::new(), refused: None }
}

/// Every declaration but the project's own, as JSON.
fn declarations(project: &Project) -> BTreeMap<Key, Json> {
    let sources = project.sources.iter().map(|spec| ((1, Arc::clone(&spec.name)), json_of(spec)));
    let views = project.views.iter().map(|spec| ((2, Arc::clone(&spec.name)), json_of(spec)));
    let models = project.models.iter().map(|spec| ((3, Arc::clone(&spec.name)), json_of(spec)));
    let endpoints = project.endpoints.iter().map(|spec| ((4, Arc::clone(&spec.name)), json_of(spec)));
    let policies = project.policies.iter().map(|spec| ((5, Arc::clone(&spec.name)), json_of(spec)));
    sources.chain(views).chain(models).chain(endpoints).chain(policies).collect()
}

/// The fields of the project itself.
fn project_change(new: &Project, old: Option<&Project>) -> Option<Change> {
    let key = (0, Arc::clone(&new.name));
    let Some(old) = old else { return Some(change(Effect::Created, &key, Vec::new())) };
    let own = |project: &Project| {
        let (name, clock, tick) = (json_of(&project.name), json_of(&project.clock), json_of(&project.tick));
        serde_json::json!({"name": name, "clock": clock, "tick": tick})
    };
    let fields = differing(&own(old), &own(new));
    if fields.is_empty() {
        return None;
    }
    let mut change = change(Effect::Changed, &key, fields);
    if old.name != new.name {
        change.refused = Some(format!("this log belongs to project {:?}; another needs its own", old.name));
    } else if old.clock != new.clock {
        change.refused = Some("the clock of a log cannot be changed; start another one".to_owned());
    }
    Some(change)
}

/// The top-level fields that differ.
fn differing(old: &Json, new: &Json) -> Vec<String> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return Vec::new() };
    new.iter()
        .filter(|(field, value)| old.get(*field) != Some(*value))
        .map(|(field, _)| field.clone())
        .collect()
}

fn view_cost(view: &Arc<View>) -> ViewCost {
    ViewCost { name: Arc::clone(&view.spec().name), bytes_per_key: view.bytes_per_key() }
}

/// What runs and what would run.
struct Sides<'a> {
    old: &'a Project,
    new: &'a Project,
    before: &'a Compiled,
    after: &'a Compiled,
}

impl Sides<'_> {
    /// A model whose own declaration is the same must be retrained too if a view that it reads or its label
    /// is another.
    fn indirect_retrains(&self, changes: &mut Vec<Change>) {
        for model in &self.after.models {
            let named = |change: &Change| &*change.kind == KINDS[3] && change.name == model.spec.name;
            let Some(before) = self.before.model(&model.spec.name) else { continue };
            if before.definition != model.definition && !changes.iter().any(named) {
                changes.push(change(Effect::Changed, &(3, Arc::clone(&model.spec.name)), Vec::new()));
            }
        }
    }

    fn explain(&self, change: &mut Change) {
        let changed = change.effect == Effect::Changed;
        match &*change.kind {
            "Source" if changed => change.refused = self.source(&change.name),
            "FeatureView" => self.view(change),
            "Model" if changed => self.model(change),
            "Model" if change.effect == Effect::Retired => {
                change.follows.push("its versions answer no more; they stay in lineage".to_owned());
            }
            _ => {}
        }
    }

    /// Why a source cannot be changed so, if that is the case.
    fn source(&self, name: &str) -> Option<String> {
        let old = self.old.sources.iter().find(|source| &*source.name == name)?;
        let new = self.new.sources.iter().find(|source| &*source.name == name)?;
        if let Some(reason) = incompatible(&old.schema, &new.schema) {
            return Some(reason);
        }
        let same =
            (&old.id, &old.event_time, &old.available_at) == (&new.id, &new.event_time, &new.available_at);
        (!same).then(|| "id, event_time and available_at of a source with events cannot change".to_owned())
    }

    fn view(&self, change: &mut Change) {
        let version = |compiled: &Compiled| compiled.view(&change.name).map(|view| view.version());
        match (version(self.before), version(self.after)) {
            (Some(old), Some(new)) if old != new => {
                change.follows.push(format!("version {} is backfilled from the log", new.short()));
                change
                    .follows
                    .push(format!("version {} serves until no live model version reads it", old.short()));
            }
            (None, Some(new)) => {
                change.follows.push(format!("version {} is backfilled from the log", new.short()))
            }
            (Some(old), None) => {
                change
                    .follows
                    .push(format!("version {} serves until no live model version reads it", old.short()));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn model(&self, change: &mut Change) {
        let (Some(old), Some(new)) = (self.before.model(&change.name), self.after.model(&change.name)) else {
            return;
        };
        if old.definition == new.definition {
            change
                .follows
                .push("the definition is the same: its versions can be fine-tuned further".to_owned());
            return;
        }
        let mut reasons = Vec::new();
        if old.fit.inputs != new.fit.inputs {
            reasons.push("another list of inputs".to_owned());
        }
        for lookup in &new.lookups {
            let before = old.lookups.iter().find(|other| other.view.spec().name == lookup.view.spec().name);
            if before.is_some_and(|other| other.view.version() != lookup.view.version()) {
                reasons.push(format!("another version of view {:?}", lookup.view.spec().name));
            }
        }
        if old.label != new.label {
            reasons.push("another label".to_owned());
        }
        if reasons.is_empty() {
            reasons.push("another definition".to_owned());
        }
        change.follows.push(format!("must be retrained, not fine-tuned: {}", reasons.join(", ")));
    }
}

/// What makes rows of the old schema unreadable by the new one; adding columns that may be missing does not.
fn incompatible(old: &Schema, new: &Schema) -> Option<String> {
    for column in old.columns() {
        match new.column(&column.name) {
            None => {
                return Some(format!("column {:?} is gone; only adding columns is possible", column.name));
            }
            Some(other) if other != column => {
                return Some(format!(
                    "column {:?} is of another type; only adding columns is possible",
                    column.name
                ));
            }
            Some(_) => {}
        }
    }
    let added = new.columns().iter().find(|column| old.column(&column.name).is_none() && !column.nullable);
    added.map(|column| {
        format!("column {:?} is new and must be there; declare it as {}?", column.name, column.data_type)
    })
}
