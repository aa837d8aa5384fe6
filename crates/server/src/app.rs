//! What handlers work with.

use std::sync::Arc;

use perennial_gateway::Gateway;
use perennial_orchestrator::{Orchestrator, OrchestratorError};
use perennial_pipeline::{Pipeline, Sources};
use perennial_store::Store;
use perennial_types::{Clock, did_you_mean};
use tokio::sync::Mutex;

use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::sequencer::Sequencer;
use crate::spikes::Spikes;

/// The service behind the routes.
pub struct App {
    pub(crate) gateway: Gateway,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) sequencer: Sequencer,
    pub(crate) metrics: Metrics,
    pub(crate) gate: Gate,
    pub(crate) sources: Sources,
    pub(crate) spikes: Spikes,
    /// Held from looking at the labels there are until new ones are queued, so that what a client is told of
    /// its label is what becomes of it.
    pub(crate) labelling: Mutex<()>,
}

impl App {
    /// Of a gateway, an orchestrator and what is read from outside over one pipeline, behind a door; `clock` is the
    /// one of the process.
    pub fn new(
        gateway: Gateway,
        orchestrator: Orchestrator,
        sources: Sources,
        gate: Gate,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let last = orchestrator.pipeline().last_available_at();
        let sequencer = Sequencer::new(orchestrator.clone(), clock, last);
        let (metrics, labelling) = (Metrics::new(), Mutex::new(()));
        Self {
            gateway,
            orchestrator,
            sequencer,
            metrics,
            gate,
            sources,
            spikes: Spikes::default(),
            labelling,
        }
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        self.orchestrator.pipeline()
    }

    /// The lineage store, once it shows what the caller could have seen.
    pub(crate) async fn lineage(&self) -> Result<&Store, Problem> {
        self.orchestrator.caught_up().await?;
        Ok(self.orchestrator.store())
    }

    /// Refuse a model that was never declared.
    pub(crate) fn check_model(&self, name: &str) -> Result<(), Problem> {
        let state = self.orchestrator.state().lock();
        if state.model(name).is_some() {
            return Ok(());
        }
        let help = did_you_mean(name, state.models().map(|(known, _)| &**known));
        Err(Problem::not_found(format!("no model {name:?}{help}")))
    }

    /// The endpoint of a declared model.
    pub(crate) fn endpoint_of(&self, model: &str) -> Result<Arc<str>, Problem> {
        let declared = self.pipeline().declared();
        let found = declared.goal().and_then(|goal| goal.compiled.model(model));
        let endpoint = found.map(|model| Arc::clone(&model.endpoint));
        endpoint.ok_or_else(|| Problem::not_found(format!("model {model:?} is no longer declared")))
    }

    /// Refuse a report that is not declared.
    pub(crate) fn check_report(&self, name: &str) -> Result<(), Problem> {
        let reported = self.orchestrator.state().lock().report_on_demand(name, self.orchestrator.now());
        Ok(reported.map(drop).map_err(OrchestratorError::from)?)
    }

    /// Refuse a source that is not declared. Under the event clock admission moves time on, so that a request to
    /// nowhere is refused before it.
    pub(crate) fn check_source(&self, name: &str) -> Result<(), Problem> {
        let declared = self.pipeline().declared();
        let Some(goal) = declared.goal() else { return Ok(()) };
        let sources = &goal.project.sources;
        if sources.iter().any(|source| &*source.name == name) {
            return Ok(());
        }
        let help = did_you_mean(name, sources.iter().map(|source| &*source.name));
        Err(Problem::not_found(format!("no source {name:?}{help}")))
    }

    /// Refuse an endpoint that is not declared.
    pub(crate) fn check_endpoint(&self, name: &str) -> Result<(), Problem> {
        let endpoints = self.gateway.endpoints();
        if endpoints.iter().any(|known| **known == *name) {
            return Ok(());
        }
        let help = did_you_mean(name, endpoints.iter().map(AsRef::as_ref));
        Err(Problem::not_found(format!("no endpoint {name:?}{help}")))
    }
}
