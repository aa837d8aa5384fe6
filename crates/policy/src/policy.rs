//! A policy that is ready to be evaluated.

use std::sync::Arc;

use perennial_types::{Kind, Schema, TimeSpan};

use crate::adapt::Adapt;
use crate::{Action, Condition, PolicySpec, Schedule, Training, TriggerSpec, check, signal_schema};

/// A compiled policy.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) spec: PolicySpec,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) adapt: Option<Adapt>,
}

/// A compiled trigger.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    pub(crate) name: Arc<str>,
    pub(crate) condition: Option<Condition>,
    pub(crate) hold: TimeSpan,
    pub(crate) schedule: Option<Schedule>,
    /// What a run that it starts does.
    pub(crate) training: Training,
    /// Whether that run is the first of an adaptation.
    pub(crate) adapts: bool,
}

/// A declaration that is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Everything that is wrong with it: the path of the field, and the fault.
    #[error("policy {policy:?}: {}", listed(.faults))]
    Invalid {
        /// The policy.
        policy: String,
        /// Field paths and faults, as by [`check`].
        faults: Vec<(String, String)>,
    },
}

impl PolicyError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Invalid { .. } => Kind::Invalid,
        }
    }
}

fn listed(faults: &[(String, String)]) -> String {
    faults.iter().map(|(path, fault)| format!("{path}: {fault}")).collect::<Vec<_>>().join("; ")
}

impl Policy {
    /// Check and compile a declaration.
    ///
    /// # Errors
    /// With every fault of the declaration at once.
    pub fn compile(spec: &PolicySpec) -> Result<Self, PolicyError> {
        let invalid = |faults| PolicyError::Invalid { policy: spec.name.to_string(), faults };
        let faults = check(spec);
        if !faults.is_empty() {
            return Err(invalid(faults));
        }
        let schema = signal_schema(&spec.signals);
        let adapt = spec.actions.adapt.as_ref().map(|adapt| Adapt::compile(adapt, &schema)).transpose();
        let adapt = adapt.map_err(|fault| invalid(vec![("actions.adapt".to_owned(), fault)]))?;
        let mut triggers = Vec::with_capacity(spec.triggers.len());
        for (place, trigger) in spec.triggers.iter().enumerate() {
            let compiled = Trigger::compile(trigger, &schema, adapt.as_ref());
            let at = |(field, fault)| invalid(vec![(format!("triggers[{place}].{field}"), fault)]);
            triggers.push(compiled.map_err(at)?);
        }
        Ok(Self { spec: spec.clone(), triggers, adapt })
    }

    /// As it was declared.
    pub fn spec(&self) -> &PolicySpec {
        &self.spec
    }
}

impl Trigger {
    /// The field that is at fault, and the fault.
    fn compile(
        spec: &TriggerSpec,
        schema: &Schema,
        adapt: Option<&Adapt>,
    ) -> Result<Self, (&'static str, String)> {
        let condition = spec.when.as_ref().map(|sql| Condition::compile(sql, schema)).transpose();
        let schedule = spec.schedule.as_ref().map(|text| Schedule::parse(text)).transpose();
        let training = match spec.action {
            Action::FineTune => Training::FineTune,
            Action::Retrain => Training::Retrain,
            Action::Adapt => adapt.map(|adapt| adapt.training).ok_or_else(|| ("action", no_adapt()))?,
        };
        Ok(Self {
            name: Arc::clone(&spec.name),
            condition: condition.map_err(|fault| ("when", fault))?,
            hold: spec.hold.unwrap_or(TimeSpan::ZERO),
            schedule: schedule.map_err(|fault| ("schedule", fault.to_string()))?,
            training,
            adapts: spec.action == Action::Adapt,
        })
    }
}

/// What is wrong with a trigger that asks for an adaptation which is not declared.
pub(crate) fn no_adapt() -> String {
    "there is no `adapt` under `actions`; declare what is repeated, how often and until when".to_owned()
}

impl Training {
    /// The name in replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::FineTune => "fine_tune",
            Self::Retrain => "retrain",
        }
    }
}

impl Action {
    /// The name in declarations.
    pub fn name(self) -> &'static str {
        match self {
            Self::FineTune => "fine_tune",
            Self::Retrain => "retrain",
            Self::Adapt => "adapt",
        }
    }
}
