//! Feature views: which versions serve, and how far those have come that do not yet.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_pipeline::parity::{Parity, ParityExample, Terms, Verdict};
use perennial_types::{ContentHash, Position, TimeSpan, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::App;
use crate::route::Route;
use crate::routes::page::{Listed, whole};
use crate::schemas::page_of;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v1/views",
            list,
            "The feature views in use, and how far new ones are filled from the log",
        )
        .reply(page_of("View")),
    ]
}

/// A version of a view as it stands.
#[derive(Serialize)]
struct ViewReply {
    name: Arc<str>,
    version: ContentHash,
    /// Whether it is the one that is declared; others are read by versions of models that were trained by them.
    declared: bool,
    state: &'static str,
    /// Why it is not live.
    reason: Option<String>,
    position: Position,
    target: Position,
    keys: Option<usize>,
    late_events: Option<u64>,
    /// Whether the view's name means this version.
    serving: bool,
    /// What was found of it and the version that it is to replace, while the two are compared.
    parity: Option<ParityReply>,
}

/// A comparison with the version that serves.
#[derive(Serialize)]
struct ParityReply {
    with: ContentHash,
    reads: u64,
    /// Why it does not take over, if it never will by itself.
    held: Option<String>,
    features: Vec<FeatureReply>,
}

#[derive(Serialize)]
struct FeatureReply {
    feature: Arc<str>,
    same_definition: bool,
    differing: u64,
    max_error: f64,
    examples: Vec<ExampleReply>,
}

#[derive(Serialize)]
struct ExampleReply {
    entity: String,
    at: Timestamp,
    old: Value,
    new: Value,
}

impl ParityReply {
    fn of(parity: &Parity) -> Self {
        let held = match parity.verdict(TimeSpan::ZERO, Terms::default()) {
            Verdict::Hold(reason) => Some(reason),
            Verdict::Wait | Verdict::Serve(_) => None,
        };
        let features = parity.features().iter().map(|found| FeatureReply {
            feature: Arc::clone(&found.feature),
            same_definition: found.same_definition,
            differing: found.differing,
            max_error: found.max_error,
            examples: found.examples.iter().map(ExampleReply::of).collect(),
        });
        let features = features.collect();
        Self { with: parity.old().version(), reads: parity.reads(), held, features }
    }
}

impl ExampleReply {
    fn of(example: &ParityExample) -> Self {
        let (entity, at) = (example.entity.clone(), example.at);
        Self { entity, at, old: example.old.to_json(), new: example.new.to_json() }
    }
}

async fn list(State(app): State<Arc<App>>) -> Json<Listed<ViewReply>> {
    let (declared, engine) = (app.pipeline().declared(), app.pipeline().engine());
    let applied = *app.pipeline().applied().borrow();
    let (backfills, parities) = (engine.backfills(), engine.parities());
    let serving = declared.serving_views();
    let goal = declared.goal().map(|goal| goal.compiled.views.as_slice()).unwrap_or_default();
    let show = |view: &Arc<perennial_features::View>| {
        let version = view.version();
        let counts = engine.counts(version);
        let filling = backfills.iter().find(|status| status.view.version() == version);
        let (position, target) =
            filling.map_or((applied, applied), |status| (status.position, status.target));
        let failed = filling.is_some_and(|status| status.failure.is_some());
        ViewReply {
            name: Arc::clone(&view.spec().name),
            version,
            declared: goal.iter().any(|known| known.version() == version),
            state: match (counts, failed) {
                (Some(_), _) => "live",
                (None, true) => "failed",
                (None, false) => "filling",
            },
            reason: if counts.is_some() { None } else { engine.unready(view) },
            position,
            target,
            keys: counts.map(|(keys, _)| keys),
            late_events: counts.map(|(_, late)| late),
            serving: serving.iter().any(|known| known.version() == version),
            parity: parities
                .iter()
                .find(|parity| parity.new_version().version() == version)
                .map(ParityReply::of),
        }
    };
    let mut views: Vec<ViewReply> = declared.views().values().map(|(view, _)| show(view)).collect();
    views.sort_by(|a, b| (&a.name, !a.declared).cmp(&(&b.name, !b.declared)));
    whole(views)
}
