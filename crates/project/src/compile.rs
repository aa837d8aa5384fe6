//! A project made ready to run: every cross-check passed, everything resolved.

use std::sync::Arc;

use perennial_control::{ExperimentGoal, Goal, ModelGoal, PolicyGoal};
use perennial_features::View;

use crate::check::{self, CheckedView};
use crate::fault::Fault;
use crate::marks::Marks;
use crate::model::{CompiledModel, Surroundings};
use crate::scope::Scope;
use crate::spec::{Project, hash_of};

/// A project whose references are resolved and whose expressions are compiled.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The views in the project's order.
    pub views: Vec<Arc<View>>,
    /// The models in the project's order.
    pub models: Vec<Arc<CompiledModel>>,
    /// What control needs to know.
    pub goal: Goal,
}

impl Compiled {
    /// The model of this name.
    pub fn model(&self, name: &str) -> Option<&Arc<CompiledModel>> {
        self.models.iter().find(|model| &*model.spec.name == name)
    }

    /// The view of this name.
    pub fn view(&self, name: &str) -> Option<&Arc<View>> {
        self.views.iter().find(|view| *view.spec().name == *name)
    }
}

impl Project {
    /// Check everything against everything and resolve it.
    ///
    /// # Errors
    /// All faults, without files and lines: a project that was parsed from files has passed this already.
    pub fn compile(&self) -> Result<Compiled, Vec<Fault>> {
        compile(self, &Marks::default())
    }
}

/// Compile a project of which some parts could not be read.
pub(crate) fn compile(project: &Project, marks: &Marks) -> Result<Compiled, Vec<Fault>> {
    let scope = Scope::new(project, marks);
    for source in &project.sources {
        check::source(&scope, source);
    }
    let views: Vec<CheckedView> = project.views.iter().map(|view| check::view(&scope, view)).collect();
    for endpoint in &project.endpoints {
        check::endpoint(&scope, endpoint);
    }
    let surroundings = Surroundings { scope: &scope, views: &views };
    let models: Vec<_> = project.models.iter().filter_map(|model| surroundings.compile(model)).collect();
    for experiment in &project.experiments {
        check::experiment(&scope, experiment);
    }
    for policy in &project.policies {
        check::policy(&scope, policy, &models);
    }
    for report in &project.reports {
        check::report(&scope, report);
    }
    let faults = scope.into_faults();
    if !faults.is_empty() {
        return Err(faults);
    }
    let models: Vec<Arc<CompiledModel>> = models.into_iter().map(Arc::new).collect();
    let goal = goal(project, &models);
    Ok(Compiled { views: views.into_iter().filter_map(|checked| checked.view).collect(), models, goal })
}

fn goal(project: &Project, models: &[Arc<CompiledModel>]) -> Goal {
    let model_goal = |model: &Arc<CompiledModel>| ModelGoal {
        name: Arc::clone(&model.spec.name),
        endpoint: Arc::clone(&model.endpoint),
        definition: model.definition,
        first_version: Arc::clone(&model.spec.first_version),
        epochs: model.spec.epochs(),
    };
    let (policies, experiments) = (project.policies.iter(), project.experiments.iter());
    Goal {
        project: Arc::clone(&project.name),
        tick: project.tick,
        models: models.iter().map(model_goal).collect(),
        endpoints: project.endpoints.clone(),
        policies: policies.map(|spec| PolicyGoal { version: hash_of(spec), spec: spec.clone() }).collect(),
        experiments: experiments
            .map(|spec| ExperimentGoal { version: hash_of(spec), spec: spec.clone() })
            .collect(),
        reports: project.reports.clone(),
    }
}
