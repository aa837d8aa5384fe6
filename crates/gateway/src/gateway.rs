//! The gateway: predict, and read features.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use perennial_log::{Appended, Durability, Order, Ticket};
use perennial_pipeline::{Declared, Fold, Pipeline, PipelineError, ServedVersion};
use perennial_project::ClockKind;
use perennial_store::Blobs;
use perennial_types::{Clock, Entry, Position, Record, Row, Schema, Stream, Timestamp, did_you_mean};
use serde_json::Value as Json;

use crate::GatewayError;
use crate::endpoint::{Endpoints, Question};
use crate::replies::{Replies, Reply, request_hash};
use crate::selection::{EntityReading, Selection, ViewReading};

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pipeline: Pipeline,
    durability: Durability,
    clock: Arc<dyn Clock>,
    following: Arc<Following>,
}

/// What the gateway knows by following the log.
#[derive(Default)]
struct Following {
    endpoints: RwLock<Arc<Endpoints>>,
    replies: Mutex<Replies>,
}

/// The gateway's part in following the log.
pub struct GatewayFold {
    following: Arc<Following>,
    blobs: Blobs,
    revision: u64,
}

/// An answer whose record is queued in the log.
pub struct Predicting {
    gateway: Gateway,
    endpoint: Arc<str>,
    id: Arc<str>,
    at: Timestamp,
    request_hash: u64,
    given: Given,
}

enum Given {
    /// It was given before.
    Before(Reply),
    /// It is given when the record is written.
    Now(Reply, Ticket<Vec<Appended>>),
}

impl GatewayFold {
    /// Loads artifacts from `blobs`.
    pub fn new(blobs: Blobs) -> Self {
        Self { following: Arc::default(), blobs, revision: 0 }
    }

    /// To be kept when the fold is handed to the pipeline.
    pub fn handle(&self) -> GatewayHandle {
        GatewayHandle(Arc::clone(&self.following))
    }

    fn rebuild(&mut self, declared: &Declared) -> Result<(), PipelineError> {
        let before = Arc::clone(&self.following.endpoints.read());
        let endpoints = Endpoints::build(declared, &self.blobs, &before)
            .map_err(|error| PipelineError::Stopped(format!("the gateway cannot follow: {error}")))?;
        *self.following.endpoints.write() = Arc::new(endpoints);
        self.revision = declared.revision();
        Ok(())
    }
}

/// What connects a gateway with its fold.
#[derive(Clone)]
pub struct GatewayHandle(Arc<Following>);

impl GatewayHandle {
    /// The gateway that sees what the fold follows. It replies when a record has this durability; `clock` is
    /// the one of the process.
    pub fn gateway(self, pipeline: Pipeline, durability: Durability, clock: Arc<dyn Clock>) -> Gateway {
        Gateway { pipeline, durability, clock, following: self.0 }
    }
}

impl Fold for GatewayFold {
    fn name(&self) -> &'static str {
        "gateway"
    }

    fn apply(&mut self, record: &Record, declared: &Declared) -> Result<(), PipelineError> {
        match record.entry.stream {
            Stream::Prediction => self.following.replies.lock().keep(record),
            Stream::Control if declared.revision() != self.revision => self.rebuild(declared),
            Stream::Control | Stream::Event | Stream::Feedback | Stream::DeadLetter | Stream::Progress => {
                Ok(())
            }
        }
    }

    fn save(&self) -> Result<Vec<u8>, PipelineError> {
        postcard::to_stdvec(&*self.following.replies.lock()).map_err(PipelineError::snapshot)
    }

    fn load(&mut self, bytes: &[u8], declared: &Declared) -> Result<(), PipelineError> {
        let replies = postcard::from_bytes(bytes).map_err(PipelineError::snapshot)?;
        *self.following.replies.lock() = replies;
        self.rebuild(declared)
    }

    fn reset(&mut self) {
        *self.following.endpoints.write() = Arc::default();
        *self.following.replies.lock() = Replies::default();
        self.revision = 0;
    }
}

impl Gateway {
    /// Answer a request to an endpoint as of an instant, and queue its record; the order of calls is the order
    /// in the log. Without an `id` one is made. The same id gets the same reply.
    ///
    /// # Errors
    /// When there is no such endpoint, the request does not fit, or nothing can be queued.
    pub fn predict(
        &self,
        endpoint: &str,
        id: Option<&str>,
        request: &Json,
        at: Timestamp,
    ) -> Result<Predicting, GatewayError> {
        let target = Arc::clone(&self.following.endpoints.read()).get(endpoint)?;
        let request = target.canonical(request)?;
        let request_hash = request_hash(&request);
        let endpoint = Arc::clone(&target.spec.name);
        let id: Arc<str> = match id {
            Some(id) => id.into(),
            None => uuid::Uuid::now_v7().to_string().into(),
        };
        let before = self.following.replies.lock().get(&endpoint, &id, at).cloned();
        let given = match before {
            Some(kept) if kept.request_hash != request_hash => return Err(reused(&id, &endpoint)),
            Some(kept) => Given::Before(kept.reply),
            None => {
                let question = Question { id: &id, request, at, wall: self.wall_clock() };
                let record = target.answer(question, self.pipeline.engine());
                let payload =
                    serde_json::to_vec(&record).map_err(|error| GatewayError::Internal(error.to_string()))?;
                let reply = Reply::of(&id, record, Position::START);
                let entry = Entry {
                    stream: Stream::Prediction,
                    source: Arc::clone(&endpoint),
                    key: "".into(),
                    event_time: at,
                    available_at: at,
                    id: Arc::clone(&id),
                    payload,
                };
                Given::Now(reply, self.pipeline.append(vec![entry], self.durability, Order::Clamp)?)
            }
        };
        Ok(Predicting { gateway: self.clone(), endpoint, id, at, request_hash, given })
    }

    /// The clock by which deadlines are kept; under the event clock no wall time decides.
    fn wall_clock(&self) -> Option<&dyn Clock> {
        let declared = self.pipeline.declared();
        let wall = declared.goal().is_some_and(|goal| goal.project.clock == ClockKind::Wall);
        wall.then_some(&*self.clock)
    }

    /// The columns of a request to an endpoint.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn request_schema(&self, endpoint: &str) -> Result<Schema, GatewayError> {
        Ok(Arc::clone(&self.following.endpoints.read()).get(endpoint)?.request().clone())
    }

    /// The versions that may answer at an endpoint now, in the order of its probability vector.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn serving(&self, endpoint: &str) -> Result<Vec<ServedVersion>, GatewayError> {
        Ok(Arc::clone(&self.following.endpoints.read()).get(endpoint)?.serving())
    }

    /// The names of the endpoints.
    pub fn endpoints(&self) -> Vec<Arc<str>> {
        self.following.endpoints.read().names().cloned().collect()
    }

    /// The declared features with these full names; `view.*` stands for all of a view.
    ///
    /// # Errors
    /// As of [`Selection::by_names`].
    pub fn select<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Selection, GatewayError> {
        // While a new version is compared with the one before it, the name means the one before.
        Selection::by_names(&self.pipeline.declared().serving_views(), names)
    }

    /// The features that a declared model looks up.
    ///
    /// # Errors
    /// When there is no such model, and as of [`Selection::of_model`].
    pub fn select_for_model(&self, name: &str) -> Result<Selection, GatewayError> {
        let declared = self.pipeline.declared();
        let models = declared.goal().map(|goal| goal.compiled.models.as_slice()).unwrap_or_default();
        let model = models.iter().find(|model| *model.spec.name == *name);
        Selection::of_model(model.ok_or_else(|| GatewayError::UnknownModel {
            name: name.to_owned(),
            help: did_you_mean(name, models.iter().map(|known| &*known.spec.name)),
        })?)
    }

    /// Read selected features of entities, each a row of [`Selection::entity`], as of an instant.
    ///
    /// # Errors
    /// When a view is not ready, with how far it is.
    pub fn read(
        &self,
        selection: &Selection,
        entities: &[Row],
        at: Timestamp,
    ) -> Result<(Vec<EntityReading>, Vec<ViewReading>), GatewayError> {
        selection.read(self.pipeline.engine(), entities, at)
    }
}

impl Predicting {
    /// Whether the id was answered before, so that the reply of then is given again.
    pub fn repeated(&self) -> bool {
        matches!(self.given, Given::Before(_))
    }

    /// Wait until the record is written, and give the reply.
    ///
    /// # Errors
    /// When it cannot be written, or the id was used for another request a moment ago.
    pub async fn answered(self) -> Result<Reply, GatewayError> {
        let (reply, ticket) = match self.given {
            Given::Before(reply) => return Ok(reply),
            Given::Now(reply, ticket) => (reply, ticket),
        };
        match ticket.await?.first() {
            Some(Appended::At(position)) => Ok(Reply { position: *position, ..reply }),
            Some(Appended::Duplicate(position)) => {
                // Another request of this id was queued first: its reply is the reply.
                self.gateway.pipeline.applied_through(*position).await?;
                let replies = self.gateway.following.replies.lock();
                let stored = replies.get(&self.endpoint, &self.id, self.at).cloned();
                match stored {
                    Some(kept) if kept.request_hash == self.request_hash => Ok(kept.reply),
                    Some(_) => Err(reused(&self.id, &self.endpoint)),
                    None => Err(GatewayError::Internal(format!("the reply of id {:?} is gone", self.id))),
                }
            }
            Some(Appended::OutOfOrder { .. }) | None => {
                Err(GatewayError::Internal("a prediction was not appended".to_owned()))
            }
        }
    }
}

fn reused(id: &str, endpoint: &str) -> GatewayError {
    GatewayError::IdReused { id: id.to_owned(), endpoint: endpoint.to_owned() }
}
