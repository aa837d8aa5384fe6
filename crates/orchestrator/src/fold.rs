//! The loop's state as a fold of the log.

use std::sync::Arc;

use parking_lot::Mutex;
use perennial_control::{ControlRecord, Input, State};
use perennial_evaluate::{Choice, Exposure, Prediction, Score, Scorer};
use perennial_pipeline::{
    Declared, Fold, PipelineError, PredictionRecord, ServedVersion, control_record, feedback,
};
use perennial_types::{Position, Record, Stream};
use tokio::sync::watch;

/// The loop's state, followed on the log's apply thread.
pub struct ControlFold {
    state: Arc<Mutex<State>>,
    /// The last record that lineage keeps something of.
    notable: watch::Sender<Position>,
}

/// What the orchestrator sees of the fold.
#[derive(Clone)]
pub struct ControlHandle {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) notable: watch::Receiver<Position>,
}

impl Default for ControlFold {
    fn default() -> Self {
        Self { state: Arc::default(), notable: watch::Sender::new(Position::START) }
    }
}

impl ControlFold {
    /// To be kept when the fold is handed to the pipeline.
    pub fn handle(&self) -> ControlHandle {
        ControlHandle { state: Arc::clone(&self.state), notable: self.notable.subscribe() }
    }

    fn input(record: &Record) -> Result<Option<Input>, PipelineError> {
        let endpoint = Arc::clone(&record.entry.source);
        match record.entry.stream {
            Stream::Prediction => {
                let payload: PredictionRecord = serde_json::from_slice(&record.entry.payload)
                    .map_err(|error| PipelineError::record(record.position, error))?;
                let prediction = as_prediction(record, &payload);
                Ok(Some(Input::Predicted { endpoint, prediction, choice: choice(payload) }))
            }
            Stream::Feedback => Ok(Some(Input::Labelled { endpoint, feedback: feedback(record)? })),
            Stream::Control => {
                Ok(Some(Input::Control { position: record.position, record: control_record(record)? }))
            }
            Stream::Event | Stream::DeadLetter | Stream::Progress => Ok(None),
        }
    }
}

impl Fold for ControlFold {
    fn name(&self) -> &'static str {
        "control"
    }

    fn apply(&mut self, record: &Record, _: &Declared) -> Result<(), PipelineError> {
        let Some(input) = Self::input(record)? else { return Ok(()) };
        let notable = match &input {
            Input::Control { record, .. } => !matches!(record, ControlRecord::InstantDone { .. }),
            Input::Predicted { .. } | Input::Labelled { .. } => false,
        };
        self.state.lock().apply(input).map_err(|error| PipelineError::record(record.position, error))?;
        if notable {
            self.notable.send_replace(record.position);
        }
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>, PipelineError> {
        let saved = (*self.notable.borrow(), &*self.state.lock());
        // Evidence of gates is JSON, which only a self-describing format can hold.
        serde_json::to_vec(&saved).map_err(PipelineError::snapshot)
    }

    fn load(&mut self, bytes: &[u8], _: &Declared) -> Result<(), PipelineError> {
        let (notable, mut state): (Position, State) =
            serde_json::from_slice(bytes).map_err(PipelineError::snapshot)?;
        state.restore().map_err(PipelineError::snapshot)?;
        *self.state.lock() = state;
        self.notable.send_replace(notable);
        Ok(())
    }

    fn reset(&mut self) {
        *self.state.lock() = State::default();
        self.notable.send_replace(Position::START);
    }
}

fn choice(payload: PredictionRecord) -> Choice {
    let arms = payload.probabilities.into_iter();
    let arms = arms.map(|arm| (Scorer { model: arm.model, number: arm.number }, arm.probability));
    Choice { unit: payload.unit, arms: arms.collect() }
}

/// A record of the prediction stream as the label join takes it.
pub(crate) fn as_prediction(record: &Record, payload: &PredictionRecord) -> Prediction {
    let (model, version): (Arc<str>, Arc<str>) = match &payload.served {
        Some(served) => (Arc::clone(&served.model), served.number.to_string().into()),
        None => ("".into(), "".into()),
    };
    let scores = payload.served.iter().map(|served| (served, payload.prediction));
    let shadows = payload.shadows.iter().filter_map(|shadow| Some((&shadow.version, shadow.value?)));
    let exposure = Exposure {
        experiment: payload.experiment.clone(),
        unit: payload.unit.clone(),
        epoch: payload.epoch.unwrap_or_default(),
        drawn: payload.drawn.as_ref().map(scorer),
        propensity: payload.propensity,
        scores: scores.chain(shadows).map(|(by, value)| Score { by: scorer(by), value }).collect(),
    };
    Prediction {
        id: Arc::clone(&record.entry.id),
        at: record.entry.event_time,
        model,
        version,
        value: payload.prediction,
        fallback: payload.fallback.is_some(),
        position: record.position,
        exposure,
    }
}

fn scorer(version: &ServedVersion) -> Scorer {
    Scorer { model: Arc::clone(&version.model), number: version.number }
}
