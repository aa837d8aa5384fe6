//! Every fault of a declared policy.

mod rollout;

use std::sync::Arc;

use perennial_types::{Schema, TimeSpan, did_you_mean};

use crate::policy::no_adapt;
use crate::signals::METRICS;
use crate::{
    Action, Condition, DataFigure, GateSpec, PolicySpec, Quota, Schedule, SignalKind, SignalSpec,
    TriggerSpec, signal_schema,
};

/// Every fault of a declaration, each with the path of its field as in the declared text: `models`,
/// `signals.quality.metric`, `triggers[0].when`, `guards.budget`, `gates[0].confidence`.
pub fn check(spec: &PolicySpec) -> Vec<(String, String)> {
    let mut faults = Faults(Vec::new());
    if spec.models.is_empty() {
        faults.add("models", "a policy keeps at least one model");
    }
    faults.twice(&spec.models, |place, _| format!("models[{place}]"), "model");
    let names: Vec<Arc<str>> = spec.signals.iter().map(|signal| Arc::clone(&signal.name)).collect();
    faults.twice(&names, |_, name| format!("signals.{name}"), "signal");
    for signal in &spec.signals {
        faults.signal(signal);
    }
    if spec.triggers.is_empty() {
        faults
            .add("triggers", "a policy without triggers never trains; declare one with `when` or `schedule`");
    }
    let names: Vec<Arc<str>> = spec.triggers.iter().map(|trigger| Arc::clone(&trigger.name)).collect();
    faults.twice(&names, |place, _| format!("triggers[{place}].name"), "trigger");
    let schema = signal_schema(&spec.signals);
    for (place, trigger) in spec.triggers.iter().enumerate() {
        faults.trigger(&format!("triggers[{place}]"), trigger, &schema, spec.actions.adapt.is_some());
    }
    faults.guards(spec);
    faults.actions(spec);
    for (place, gate) in spec.gates.iter().enumerate() {
        faults.gate(&format!("gates[{place}]"), gate);
    }
    faults.rollout(&spec.rollout);
    faults.rollback(spec);
    faults.0
}

struct Faults(Vec<(String, String)>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, fault: impl Into<String>) {
        self.0.push((path.into(), fault.into()));
    }

    fn twice(&mut self, names: &[Arc<str>], path: impl Fn(usize, &str) -> String, what: &str) {
        for (place, name) in names.iter().enumerate() {
            if names[..place].contains(name) {
                self.add(path(place, name), format!("{what} {name:?} is declared twice"));
            }
        }
    }

    fn longer_than_zero(&mut self, path: String, span: TimeSpan) {
        if span <= TimeSpan::ZERO {
            self.add(path, format!("{span} is not longer than no time"));
        }
    }

    fn between_0_and_1(&mut self, path: String, number: f64) {
        if !(number > 0.0 && number < 1.0) {
            self.add(path, format!("{number} is not between 0 and 1"));
        }
    }

    fn condition(&mut self, path: String, sql: &str, schema: &Schema) {
        if let Err(fault) = Condition::compile(sql, schema) {
            self.add(path, fault);
        }
    }

    fn metric(&mut self, path: String, metric: &str) {
        if METRICS.iter().all(|(known, _)| *known != metric) {
            let help = did_you_mean(metric, METRICS.iter().map(|(known, _)| *known));
            self.add(path, format!("unknown metric {metric:?}{help}"));
        }
    }

    fn signal(&mut self, signal: &SignalSpec) {
        let SignalSpec { name, kind } = signal;
        let mut bytes = name.bytes();
        let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if !starts || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let fault = format!("{name:?} cannot stand in a condition; use letters, digits and underscores");
            self.add(format!("signals.{name}"), fault);
        }
        match kind {
            SignalKind::Performance { metric, window, min_rows } => {
                self.metric(format!("signals.{name}.performance"), metric);
                self.longer_than_zero(format!("signals.{name}.window"), *window);
                if *min_rows == 0 {
                    self.add(format!("signals.{name}.min_rows"), "a metric needs at least 1 row");
                }
            }
            SignalKind::Drift { columns, window, every, rule, min_rows } => {
                if columns.is_empty() {
                    self.add(
                        format!("signals.{name}.drift"),
                        "no input is watched; name at least one, as request.*",
                    );
                }
                self.longer_than_zero(format!("signals.{name}.window"), *window);
                self.longer_than_zero(format!("signals.{name}.every"), *every);
                self.between_0_and_1(format!("signals.{name}.alpha"), rule.alpha);
                if *min_rows < 2 {
                    let fault = format!("{min_rows} rows on a side prove nothing; ask for at least 2");
                    self.add(format!("signals.{name}.min_rows"), fault);
                }
            }
            SignalKind::Detector { of: _, range: (least, largest), one_false_alarm_in, stable_after } => {
                if !(least.is_finite() && largest.is_finite() && least < largest) {
                    let fault =
                        format!("[{least}, {largest}] is no range; give the least and the largest loss");
                    self.add(format!("signals.{name}.range"), fault);
                }
                for (field, rows) in
                    [("one_false_alarm_in", one_false_alarm_in), ("stable_after", stable_after)]
                {
                    if *rows == 0 {
                        self.add(format!("signals.{name}.{field}"), "0 rows are none; give at least 1");
                    }
                }
            }
            SignalKind::Data { figure, of, window, every, limit } => {
                let kind = signal_kind(*figure);
                if of.is_empty() {
                    self.add(format!("signals.{name}.{kind}"), "nothing is watched; name at least one");
                }
                self.longer_than_zero(format!("signals.{name}.window"), *window);
                self.longer_than_zero(format!("signals.{name}.every"), *every);
                let longest = if *figure == DataFigure::Freshness { LONGEST_FRESHNESS } else { LONGEST_DATA };
                if *window > longest {
                    let fault = format!(
                        "figures of {} are kept for {longest}, and {window} is longer",
                        figure.name()
                    );
                    self.add(format!("signals.{name}.window"), fault);
                }
                if limit.is_some_and(|limit| !limit.is_finite() || limit < 0.0) {
                    self.add(format!("signals.{name}.limit"), "a limit is at least 0");
                }
            }
            SignalKind::Staleness | SignalKind::Labels => {}
        }
    }

    fn trigger(&mut self, path: &str, trigger: &TriggerSpec, schema: &Schema, adapts: bool) {
        match &trigger.when {
            Some(sql) => {
                self.condition(format!("{path}.when"), sql, schema);
            }
            None if trigger.schedule.is_none() => {
                let fault =
                    format!("trigger {:?} never fires; give it `when`, `schedule` or both", trigger.name);
                self.add(path, fault);
            }
            None => {}
        }
        if trigger.action == Action::Adapt && !adapts {
            self.add(format!("{path}.action"), no_adapt());
        }
        if let Some(hold) = trigger.hold {
            self.longer_than_zero(format!("{path}.for"), hold);
            if trigger.when.is_none() {
                self.add(format!("{path}.for"), "there is no condition to hold; add `when` or leave it out");
            }
        }
        if let Some(Err(fault)) = trigger.schedule.as_ref().map(|text| Schedule::parse(text)) {
            self.add(format!("{path}.schedule"), fault.to_string());
        }
    }

    fn guards(&mut self, spec: &PolicySpec) {
        let guards = &spec.guards;
        for (name, span) in [("success", guards.cooldown.success), ("failure", guards.cooldown.failure)] {
            if span < TimeSpan::ZERO {
                self.add(format!("guards.cooldown.{name}"), format!("{span} is less than no time"));
            }
        }
        for (path, quota) in [("guards.at_most", guards.at_most), ("guards.budget", guards.budget_rows)] {
            let Some(Quota { amount, per }) = quota else { continue };
            self.longer_than_zero(path.to_owned(), per);
            if amount == 0 {
                self.add(path, "an amount of 0 lets no run start; leave the guard out or allow at least 1");
            }
        }
    }

    fn actions(&mut self, spec: &PolicySpec) {
        let fine_tune = &spec.actions.fine_tune;
        if fine_tune.epochs == 0 {
            self.add("actions.fine_tune.epochs", "training takes at least 1 epoch");
        }
        let replayed = fine_tune.replay_rows.saturating_mul(u64::from(fine_tune.epochs));
        if let Some(budget) =
            spec.guards.budget_rows.filter(|budget| replayed > 0 && replayed >= budget.amount)
        {
            let fault = format!(
                "{} rows in {} epochs are {replayed}, which leaves nothing of the budget of {} rows per {}",
                fine_tune.replay_rows, fine_tune.epochs, budget.amount, budget.per
            );
            self.add("actions.fine_tune.replay", fault);
        }
        if let Some(data) = spec.actions.retrain.data {
            self.longer_than_zero("actions.retrain.data".to_owned(), data);
        }
        let Some(adapt) = &spec.actions.adapt else { return };
        if adapt.repeat == Action::Adapt {
            self.add("actions.adapt.repeat", "an adaptation repeats fine_tune or retrain, not itself");
        }
        self.longer_than_zero("actions.adapt.every".to_owned(), adapt.every);
        self.condition("actions.adapt.until".to_owned(), &adapt.until, &signal_schema(&spec.signals));
        if adapt.at_most == 0 {
            self.add("actions.adapt.at_most", "an adaptation of 0 runs adapts nothing; allow at least 1");
        }
    }

    fn gate(&mut self, path: &str, gate: &GateSpec) {
        match gate {
            GateSpec::NotWorse { metric, margin, confidence, holdout_rows } => {
                self.metric(format!("{path}.not_worse"), metric);
                if &**metric == "roc_auc" {
                    let fault =
                        "roc_auc has no loss per row that could be compared; use log_loss or accuracy";
                    self.add(format!("{path}.not_worse"), fault);
                }
                if !(margin.is_finite() && *margin >= 0.0) {
                    self.add(format!("{path}.margin"), format!("{margin} is not a number from 0 up"));
                }
                self.between_0_and_1(format!("{path}.confidence"), *confidence);
                if *holdout_rows < 2 {
                    let fault = format!("{holdout_rows} held-out rows prove nothing; hold out at least 2");
                    self.add(format!("{path}.holdout"), fault);
                }
            }
        }
    }
}

/// The longest window of a signal of data, and of one of freshness.
const LONGEST_DATA: TimeSpan = TimeSpan::from_days(30);
const LONGEST_FRESHNESS: TimeSpan = TimeSpan::from_days(7);

/// The field that tells a signal of data from others.
fn signal_kind(figure: DataFigure) -> &'static str {
    match figure {
        DataFigure::Freshness | DataFigure::Skew | DataFigure::Loss => figure.name(),
        DataFigure::NullRate | DataFigure::NewCategories | DataFigure::Violations | DataFigure::Volume => {
            "quality"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::declared;
    use crate::{Action, Policy};

    fn fault_of(spoil: impl Fn(&mut PolicySpec)) -> (String, String) {
        let mut spec = declared();
        spoil(&mut spec);
        let faults = check(&spec);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.into_iter().next().unwrap()
    }

    #[test]
    fn the_declared_example_has_no_fault() {
        assert_eq!(check(&declared()), []);
    }

    #[test]
    fn faults_name_the_field_and_the_nearest_known_name() {
        let (path, fault) =
            fault_of(|spec| spec.triggers[0].when = Some("quality.relativ_change > 0.05".into()));
        assert_eq!(path, "triggers[0].when");
        assert_eq!(
            fault,
            "signal \"quality\" has no member \"relativ_change\"; did you mean \"relative_change\"?"
        );
        let (path, fault) = fault_of(|spec| {
            spec.signals[0].kind = SignalKind::Performance {
                metric: "mea".into(),
                window: TimeSpan::from_days(7),
                min_rows: 100,
            }
        });
        assert_eq!(
            (path.as_str(), fault.as_str()),
            ("signals.quality.performance", "unknown metric \"mea\"; did you mean \"mae\"?",)
        );
    }

    #[test]
    fn each_fault_lies_at_its_field() {
        type Spoil = fn(&mut PolicySpec);
        let spoiled: [(&str, Spoil); 19] = [
            ("models", |spec| spec.models.clear()),
            ("models[2]", |spec| spec.models.push("bike-raw".into())),
            ("signals.volume", |spec| {
                spec.signals.push(SignalSpec { name: "volume".into(), kind: SignalKind::Labels });
            }),
            ("signals.my signal", |spec| {
                spec.signals.push(SignalSpec { name: "my signal".into(), kind: SignalKind::Labels });
            }),
            ("triggers", |spec| spec.triggers.clear()),
            ("triggers[1].name", |spec| spec.triggers[1].name = "degraded".into()),
            ("triggers[2]", |spec| spec.triggers[2].when = None),
            ("triggers[1].for", |spec| {
                spec.triggers[1].when = None;
                spec.triggers[1].hold = Some(TimeSpan::from_hours(1));
            }),
            ("triggers[0].for", |spec| spec.triggers[0].hold = Some(TimeSpan::ZERO)),
            ("triggers[1].schedule", |spec| spec.triggers[1].schedule = Some("0 3 * *".into())),
            ("triggers[1].when", |spec| spec.triggers[1].when = Some("volume.rows".into())),
            ("guards.at_most", |spec| spec.guards.at_most = Some(Quota { amount: 5, per: TimeSpan::ZERO })),
            ("guards.budget", |spec| {
                spec.guards.budget_rows = Some(Quota { amount: 0, per: TimeSpan::from_days(7) });
            }),
            ("actions.fine_tune.epochs", |spec| spec.actions.fine_tune.epochs = 0),
            ("actions.fine_tune.replay", |spec| spec.actions.fine_tune.replay_rows = 20_000),
            ("actions.retrain.data", |spec| spec.actions.retrain.data = Some(TimeSpan::ZERO)),
            ("gates[0].confidence", |spec| {
                let GateSpec::NotWorse { confidence, .. } = &mut spec.gates[0];
                *confidence = 1.0;
            }),
            ("gates[0].holdout", |spec| {
                let GateSpec::NotWorse { holdout_rows, .. } = &mut spec.gates[0];
                *holdout_rows = 1;
            }),
            ("gates[0].not_worse", |spec| {
                let GateSpec::NotWorse { metric, .. } = &mut spec.gates[0];
                *metric = "roc_auc".into();
            }),
        ];
        for (path, spoil) in spoiled {
            assert_eq!(fault_of(spoil).0, path);
        }
    }

    #[test]
    fn all_faults_come_at_once() {
        let mut spec = declared();
        spec.models.clear();
        spec.triggers = vec![TriggerSpec {
            name: "t".into(),
            when: Some("volum.rows > 1".into()),
            hold: None,
            schedule: Some("x".into()),
            action: Action::FineTune,
        }];
        let error = Policy::compile(&spec).unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy \"keep-fresh\": models: a policy keeps at least one model; \
             triggers[0].when: unknown signal \"volum\"; did you mean \"volume\"?; \
             triggers[0].schedule: schedule \"x\" has 1 fields instead of five: minute hour day-of-month month \
             day-of-week, as in \"0 3 * * 1\" for Mondays at 03:00 UTC"
        );
    }
}
