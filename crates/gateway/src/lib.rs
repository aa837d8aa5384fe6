//! The hot path: a request in, an answer with its reason out, and a record of both.
//!
//! It draws the version that answers from the endpoint's probability vector, lets those in shadow score the same
//! request, and decides what is answered when a version fails. It never decides what the vector is: it follows
//! the control stream.
//!
//! ```
//! use std::sync::Arc;
//!
//! use perennial_gateway::GatewayFold;
//! use perennial_log::{Durability, LogOptions};
//! use perennial_pipeline::{Pipeline, PipelineOptions};
//! use perennial_store::Blobs;
//! use perennial_types::{Clock, Timestamp};
//!
//! struct Midnight;
//! impl Clock for Midnight {
//!     fn now(&self) -> Timestamp {
//!         Timestamp::from_micros(0)
//!     }
//! }
//!
//! let dir = tempfile::tempdir().unwrap();
//! let options = PipelineOptions::new(dir.path());
//! let log = LogOptions::new(options.log_dir());
//! let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
//! let fold = GatewayFold::new(blobs.clone());
//! let handle = fold.handle();
//! let pipeline = Pipeline::open(options, log, blobs, vec![Box::new(fold)]).unwrap();
//! let gateway = handle.gateway(pipeline, Durability::Written, Arc::new(Midnight));
//! let refused = gateway.predict("fare", None, &serde_json::json!({}), Midnight.now()).err().unwrap();
//! assert_eq!(refused.to_string(), "no endpoint \"fare\"");
//! ```

mod endpoint;
mod error;
mod features;
mod gateway;
mod replies;
mod selection;
mod traffic;
mod version;

pub use error::GatewayError;
pub use gateway::{Gateway, GatewayFold, GatewayHandle, Predicting};
pub use replies::Reply;
pub use selection::{EntityReading, Selection, ViewReading};
