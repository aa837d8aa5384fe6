//! What applying a project would change.

mod follows;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use perennial_features::View;
use perennial_types::ContentHash;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::fault::Fault;
use crate::spec::{Project, json_of};
use follows::Sides;

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
        changes.iter_mut().for_each(|change| follows::of_traffic_and_reports(self, change));
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

const KINDS: [&str; 8] =
    ["Project", "Source", "FeatureView", "Model", "Endpoint", "Experiment", "Policy", "Report"];

fn change(effect: Effect, (kind, name): &Key, fields: Vec<String>) -> Change {
    let (kind, name) = (KINDS[*kind].into(), Arc::clone(name));
    Change { effect, kind, name, fields, follows: Vec::new(), refused: None }
}

/// Every declaration but the project's own, as JSON.
fn declarations(project: &Project) -> BTreeMap<Key, Json> {
    let mut found = BTreeMap::new();
    let mut note = |kind: usize, name: &Arc<str>, json| found.insert((kind, Arc::clone(name)), json);
    for spec in &project.sources {
        let mut json = json_of(spec);
        if let (Some(history), Some(fields)) = (project.histories.get(&spec.name), json.as_object_mut()) {
            fields.insert("history".to_owned(), json_of(history));
        }
        note(1, &spec.name, json);
    }
    for spec in &project.views {
        let mut json = json_of(spec);
        if let Some(level) = project.service_levels.get(&spec.name) {
            json["service_level"] = json_of(level);
        }
        note(2, &spec.name, json);
    }
    for spec in &project.models {
        note(3, &spec.name, json_of(spec));
    }
    for spec in &project.endpoints {
        note(4, &spec.name, json_of(spec));
    }
    for spec in &project.experiments {
        note(5, &spec.name, json_of(spec));
    }
    for spec in &project.policies {
        note(6, &spec.name, json_of(spec));
    }
    for spec in &project.reports {
        note(7, &spec.name, json_of(spec));
    }
    found
}

/// The fields of the project itself.
fn project_change(new: &Project, old: Option<&Project>) -> Option<Change> {
    let key = (0, Arc::clone(&new.name));
    let Some(old) = old else { return Some(change(Effect::Created, &key, Vec::new())) };
    let own = |project: &Project| {
        let (name, clock, tick) = (json_of(&project.name), json_of(&project.clock), json_of(&project.tick));
        serde_json::json!({"name": name, "clock": clock, "tick": tick, "audit": project.audited})
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

/// The top-level fields that differ; what is not declared is not written.
fn differing(old: &Json, new: &Json) -> Vec<String> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return Vec::new() };
    let changed = new.iter().filter(|(field, value)| old.get(*field) != Some(*value));
    let gone = old.iter().filter(|(field, _)| !new.contains_key(*field));
    changed.chain(gone).map(|(field, _)| field.clone()).collect()
}

fn view_cost(view: &Arc<View>) -> ViewCost {
    ViewCost { name: Arc::clone(&view.spec().name), bytes_per_key: view.bytes_per_key() }
}
