//! Lineage in Postgres, the server itself where there is none, and content-addressed blobs.
//!
//! It decides how facts of the log become rows and how the rows are asked; all SQL of the project is here.
//! It never decides what the facts are, reads no clock, and of the environment only what it is handed.
//! The structures that are written are the ones that are read, and the ones that replies show.
//!
//! Facts are written by a [`Projection`], one transaction whose owner is the caller. A reading method of
//! [`Store`] is one statement, so it sees one state of the database.
//!
//! ```
//! use perennial_store::{DeclaredModel, PageRequest, Postgres, PostgresOptions, Project, Projection, Store};
//! use perennial_types::{ContentHash, Position, Timestamp};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let place = tempfile::tempdir()?;
//! # let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
//! # std::fs::set_permissions(place.path(), open)?;
//! # let data_dir = place.path().join("postgres");
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let postgres = Postgres::start(&data_dir, &PostgresOptions::default()).await?;
//! let store = Store::connect(&postgres.address()).await?;
//! store.migrate().await?;
//!
//! let project = Project {
//!     hash: ContentHash::of(b"kind: Project"),
//!     name: "bike-demand".to_owned(),
//!     at: Timestamp::parse("2011-01-01")?,
//!     position: Position(1),
//!     declarations: serde_json::json!([{"kind": "Project"}]),
//! };
//! let model = DeclaredModel { name: "bike-raw".to_owned(), endpoint: "bike".to_owned() };
//! let mut projection = Projection::begin(&store).await?;
//! projection.applied(&project, &[model]).await?;
//! projection.commit(Position(1)).await?;
//!
//! let models = store.models(&PageRequest::default()).await?;
//! assert_eq!(models.items[0].endpoint, "bike");
//! assert_eq!(models.items[0].current, None);
//! postgres.stop().await?;
//! # Ok(())
//! # })
//! # }
//! ```

mod address;
mod blobs;
mod database;
mod dataset;
mod decision;
mod deployment;
mod embedded;
mod error;
mod experiment;
mod lease;
mod lineage;
mod page;
mod project;
mod projection;
mod report;
mod rollout;
mod run;
mod traffic;
mod version;
mod why;

pub use address::Address;
pub use blobs::Blobs;
pub use database::Store;
pub use dataset::Dataset;
pub use decision::{Decision, DecisionCounts, DecisionFilter, Verdict};
pub use deployment::{Deployment, DeploymentKind};
pub use embedded::{Postgres, PostgresOptions};
pub use error::StoreError;
pub use experiment::Experiment;
pub use lease::{Claimant, Lease};
pub use lineage::{Relative, Relatives, Walk};
pub use page::{Page, PageRequest};
pub use project::{Model, Project};
pub use projection::{DeclaredModel, Projection, RunEnd};
pub use report::{Report, ReportFile};
pub use rollout::{Rollout, RolloutOutcome};
pub use run::{Run, RunFilter, RunState};
pub use traffic::{ArmRole, Routing, RoutingArm, Served};
pub use version::{EdgeKind, Parent, Version};
pub use why::Why;
