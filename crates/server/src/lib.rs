//! The service over HTTP: plain REST, the Open Inference Protocol, metrics and the OpenAPI document.
//!
//! It decides how a request is read, when it is admitted and how an answer or an error is written. It never
//! decides what is answered: a handler parses, calls and renders. Every route stands once, in the table that
//! both the router and the OpenAPI document are made from.
//!
//! ```
//! let document = serde_json::to_value(perennial_server::openapi()).unwrap();
//! assert_eq!(document["openapi"], "3.1.0");
//! let predict = &document["paths"]["/v1/predict/{endpoint}"]["post"];
//! assert_eq!(predict["responses"]["200"]["content"]["application/json"]["schema"]["$ref"],
//!            "#/components/schemas/Prediction");
//!
//! // Every operation says what a caller's key must open.
//! assert_eq!(predict["security"][0]["bearer"][0], "predict");
//! ```

mod app;
mod body;
mod gate;
mod keys;
mod listen;
mod metrics;
mod openapi;
mod overview;
mod parameters;
mod problem;
mod route;
mod routes;
mod schemas;
mod sequencer;
mod spikes;
mod text;

pub use app::App;
pub use gate::{BindError, Gate};
pub use keys::{KeyFold, KeyHandle, KeyRing, KeyRingError};
pub use listen::serve;
pub use openapi::openapi;
pub use problem::Problem;
pub use route::router;
pub use sequencer::{Admitted, Sequencer};
