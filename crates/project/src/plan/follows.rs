//! What follows from a change, in words.

use std::sync::Arc;

use perennial_evaluate::{ExperimentSpec, Mode};
use perennial_policy::{Action, PolicySpec};
use perennial_types::Schema;

use super::{Change, Effect, KINDS, change};
use crate::compile::Compiled;
use crate::spec::{ClockKind, Project};

/// What follows from a change of an experiment or a report.
pub(super) fn of_traffic_and_reports(new: &Project, change: &mut Change) {
    let text = match (&*change.kind, change.effect) {
        ("Experiment", Effect::Created) => {
            let Some(spec) = new.experiments.iter().find(|spec| spec.name == change.name) else { return };
            format!("begins when every arm has a version of its present definition: {}", traffic(spec))
        }
        ("Experiment", Effect::Changed) => {
            let Some(spec) = new.experiments.iter().find(|spec| spec.name == change.name) else { return };
            change
                .follows
                .push("is another experiment: what was learned of its arms is left behind".to_owned());
            format!("begins anew when every arm has a version of its present definition: {}", traffic(spec))
        }
        ("Experiment", Effect::Retired) => {
            "decides no more, if it has not concluded; the endpoint's champion stays and has the whole share"
                .to_owned()
        }
        ("Report", Effect::Created | Effect::Changed) => {
            let Some(spec) = new.reports.iter().find(|spec| spec.name == change.name) else { return };
            format!("is written by schedule {:?} about endpoint {:?}", spec.schedule, spec.endpoint)
        }
        ("Report", Effect::Retired) => "is written no more; what was written stays".to_owned(),
        _ => return,
    };
    change.follows.push(text);
}

/// What an experiment does with the requests of its endpoint.
fn traffic(spec: &ExperimentSpec) -> String {
    let arms = spec.arms.iter().map(|arm| &**arm).collect::<Vec<_>>().join(", ");
    let endpoint = &spec.endpoint;
    match &spec.mode {
        Mode::Shadow => format!("the champion of {endpoint:?} answers, {arms} score the same requests"),
        Mode::Ab { split } => {
            let shares = spec.arms.iter().zip(split).map(|(arm, share)| format!("{arm} {share}"));
            format!("requests to {endpoint:?} are split: {}", shares.collect::<Vec<_>>().join(", "))
        }
        Mode::Bandit { epoch, .. } => {
            format!("requests to {endpoint:?} are split between {arms}, anew every {epoch}")
        }
    }
}

/// What runs and what would run.
pub(super) struct Sides<'a> {
    pub(super) old: &'a Project,
    pub(super) new: &'a Project,
    pub(super) before: &'a Compiled,
    pub(super) after: &'a Compiled,
}

impl Sides<'_> {
    /// A model whose own declaration is the same must be retrained too if a view that it reads or its label
    /// is another.
    pub(super) fn indirect_retrains(&self, changes: &mut Vec<Change>) {
        for model in &self.after.models {
            let named = |change: &Change| &*change.kind == KINDS[3] && change.name == model.spec.name;
            let Some(before) = self.before.model(&model.spec.name) else { continue };
            if before.definition != model.definition && !changes.iter().any(named) {
                changes.push(change(Effect::Changed, &(3, Arc::clone(&model.spec.name)), Vec::new()));
            }
        }
    }

    pub(super) fn explain(&self, change: &mut Change) {
        let changed = change.effect == Effect::Changed;
        match &*change.kind {
            "Source" if self.other_history(&change.name) => {
                change.refused = Some(
                    "history is taken before everything else: start with another data directory".to_owned(),
                );
            }
            "Source" if changed => {
                change.refused = self.source(&change.name);
                self.views_of(change);
            }
            "FeatureView" => self.view(change),
            "Model" if changed => self.model(change),
            "Model" if change.effect == Effect::Retired => {
                change.follows.push("its versions answer no more; they stay in lineage".to_owned());
            }
            _ => {}
        }
    }

    /// Whether a source has another history than the one that was taken when the log began.
    fn other_history(&self, name: &str) -> bool {
        let declared = self.new.sources.iter().any(|source| *source.name == *name);
        declared && self.old.histories.get(name) != self.new.histories.get(name)
    }

    /// Why a source cannot be changed so, if that is the case.
    fn source(&self, name: &str) -> Option<String> {
        let old = self.old.sources.iter().find(|source| &*source.name == name)?;
        let new = self.new.sources.iter().find(|source| &*source.name == name)?;
        match (old.derived(), new.derived()) {
            (Some(_), _) => return None,
            (None, Some(_)) => {
                return Some("rows were sent to it; a derived source needs a name of its own".to_owned());
            }
            (None, None) => {}
        }
        if let Some(reason) = incompatible(&old.schema, &new.schema) {
            return Some(reason);
        }
        let same =
            (&old.id, &old.event_time, &old.available_at) == (&new.id, &new.event_time, &new.available_at);
        (!same).then(|| "id, event_time and available_at of a source with events cannot change".to_owned())
    }

    /// The views whose own declaration is the same, and which are others since their source is.
    fn views_of(&self, change: &mut Change) {
        for view in self.after.views.iter().filter(|view| view.spec().from == change.name) {
            let before = self.before.view(&view.spec().name);
            if before.is_some_and(|old| old.spec() == view.spec() && old.version() != view.version()) {
                let (name, version) = (&view.spec().name, view.version().short());
                change.follows.push(format!("version {version} of view {name:?} is backfilled from the log"));
            }
        }
    }

    fn view(&self, change: &mut Change) {
        let version = |compiled: &Compiled| compiled.view(&change.name).map(|view| view.version());
        match (version(self.before), version(self.after)) {
            (Some(old), Some(new)) if old != new => {
                change.follows.push(format!("version {} is backfilled from the log", new.short()));
                change
                    .follows
                    .push(format!("version {} serves until no live model version reads it", old.short()));
                if self.new.clock == ClockKind::Wall {
                    change.follows.push(format!(
                        "version {} is read by the view's name once its answers were compared with those of {}",
                        new.short(),
                        old.short()
                    ));
                }
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
        if !self.new.policies.iter().any(|policy| retrains(policy, &change.name)) {
            let held =
                "no policy retrains it, so that its present version stays: give a trigger action: retrain";
            change.follows.push(held.to_owned());
        }
    }
}

/// Whether a policy has a trigger that retrains a model.
fn retrains(policy: &PolicySpec, model: &str) -> bool {
    let adapts = policy.actions.adapt.as_ref().is_some_and(|adapt| adapt.repeat == Action::Retrain);
    policy.models.iter().any(|name| &**name == model)
        && policy.triggers.iter().any(|trigger| match trigger.action {
            Action::Retrain => true,
            Action::Adapt => adapts,
            Action::FineTune => false,
        })
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
