//! A policy that is ready to be evaluated.

use std::sync::Arc;

use perennial_types::{Kind, TimeSpan};

use crate::{Action, Condition, PolicySpec, Schedule, check, signal_schema};

/// A compiled policy.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) spec: PolicySpec,
    pub(crate) triggers: Vec<Trigger>,
}

/// A compiled trigger.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    pub(crate) name: Arc<str>,
    pub(crate) condition: Option<Condition>,
    pub(crate) hold: TimeSpan,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) action: Action,
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
        let mut triggers = Vec::with_capacity(spec.triggers.len());
        for (place, trigger) in spec.triggers.iter().enumerate() {
            let at = |field: &str, fault| invalid(vec![(format!("triggers[{place}].{field}"), fault)]);
            let condition = trigger.when.as_ref().map(|sql| Condition::compile(sql, &schema));
            let schedule = trigger.schedule.as_ref().map(|text| Schedule::parse(text));
            triggers.push(Trigger {
                name: Arc::clone(&trigger.name),
                condition: condition.transpose().map_err(|fault| at("when", fault))?,
                hold: trigger.hold.unwrap_or(TimeSpan::ZERO),
                schedule: schedule.transpose().map_err(|fault| at("schedule", fault.to_string()))?,
                action: trigger.action,
            });
        }
        Ok(Self { spec: spec.clone(), triggers })
    }

    /// As it was declared.
    pub fn spec(&self) -> &PolicySpec {
        &self.spec
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
