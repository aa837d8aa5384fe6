//! Sources: how reading them goes, and what of them was refused.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_features::SourceTime;
use perennial_log::decode::Origin;
use perennial_pipeline::{KeptLetter, Redriven};
use perennial_types::{Kind, Position, SourceSpec, StreamSpec, Timestamp};
use serde::Serialize;

use crate::App;
use crate::parameters::{AT, PAGE_SIZE, Params};
use crate::problem::{Path, Problem};
use crate::route::{Route, Scope};
use crate::routes::page::{Listed, whole};
use crate::schemas::{page_of, reference};

/// Letters of a page that asks for no number.
const LETTERS: u32 = 50;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v1/sources",
            list,
            "The declared sources: how reading them goes, and how far their time has come",
        )
        .reply(page_of("Source")),
        Route::get(
            "/v1/sources/{source}/dead-letters",
            letters,
            "What was refused of a source and is no event yet, oldest first",
        )
        .query(&[PAGE_SIZE])
        .reply(page_of("DeadLetter"))
        .may_be_missing(),
        Route::post(
            Scope::Write,
            "/v1/sources/{source}/dead-letters/redrive",
            redrive,
            "Send the dead letters of a source again, as the source is declared now",
        )
        .query(&[AT])
        .reply(reference("Redriven"))
        .may_be_missing()
        .may_conflict(),
    ]
}

/// A source as it stands.
#[derive(Serialize)]
struct SourceReply {
    name: Arc<str>,
    follows_from: Vec<Arc<str>>,
    topic: Option<Arc<str>>,
    partitions: Option<usize>,
    lag: Option<u64>,
    trouble: Option<String>,
    accepted: Option<u64>,
    duplicates: Option<u64>,
    refused: Option<u64>,
    dead_letters: u64,
    redriven: u64,
    #[serde(flatten)]
    time: TimeReply,
}

/// How far the event time of a source has come.
#[derive(Serialize)]
struct TimeReply {
    events: u64,
    late_events: u64,
    newest: Option<Timestamp>,
    watermark: Option<Timestamp>,
    idle: bool,
}

impl TimeReply {
    fn of(source: &SourceSpec, time: Option<SourceTime>, now: Timestamp) -> Self {
        let time = time.unwrap_or_else(|| SourceTime::new(now));
        Self {
            events: time.events(),
            late_events: time.late(),
            newest: time.newest(),
            watermark: time.watermark(source.lateness),
            idle: time.idle(now, source.idle_after),
        }
    }
}

async fn list(State(app): State<Arc<App>>) -> Json<Listed<SourceReply>> {
    let declared = app.pipeline().declared();
    let running = app.sources.status();
    let sources = declared.goal().map(|goal| goal.project.sources.as_slice()).unwrap_or_default();
    let now = app.orchestrator.now();
    let show = |source: &SourceSpec| {
        let letters = app.pipeline().progress().letters(&source.name);
        let read = running.iter().find(|(name, _)| *name == source.name).map(|(_, status)| status.clone());
        let topic = match &source.stream {
            StreamSpec::Http {} | StreamSpec::Derived(_) => None,
            StreamSpec::Kafka(stream) => Some(Arc::clone(&stream.topic)),
        };
        SourceReply {
            name: Arc::clone(&source.name),
            follows_from: source
                .derived()
                .map(|derived| derived.operator.sources())
                .unwrap_or_default()
                .into_iter()
                .cloned()
                .collect(),
            topic,
            partitions: read.as_ref().map(|read| read.partitions),
            accepted: read.as_ref().map(|read| read.accepted),
            duplicates: read.as_ref().map(|read| read.duplicates),
            refused: read.as_ref().map(|read| read.refused),
            lag: read.as_ref().and_then(|read| read.lag),
            trouble: read.and_then(|read| read.trouble),
            dead_letters: letters.outstanding.len() as u64,
            redriven: letters.redriven,
            time: TimeReply::of(source, app.pipeline().source_times().get(&source.name), now),
        }
    };
    whole(sources.iter().map(show).collect())
}

/// A dead letter as it is shown.
#[derive(Serialize)]
struct LetterReply {
    position: Position,
    at: Timestamp,
    reason: String,
    #[serde(flatten)]
    from: Origin,
    /// The original, or as much of it as is UTF-8.
    payload: String,
}

impl LetterReply {
    fn of(kept: KeptLetter) -> Self {
        let KeptLetter { position, at, letter } = kept;
        let payload = String::from_utf8_lossy(&letter.original).into_owned();
        Self { position, at, reason: letter.reason, from: letter.from, payload }
    }
}

async fn letters(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    params: Params,
) -> Result<Json<Listed<LetterReply>>, Problem> {
    let limit = params.whole(&PAGE_SIZE)?.unwrap_or(LETTERS) as usize;
    let pipeline = app.pipeline().clone();
    let read = tokio::task::spawn_blocking(move || pipeline.dead_letters(&source, limit)).await;
    let kept = read.map_err(|error| Problem::of(Kind::Internal, &error))??;
    Ok(whole(kept.into_iter().map(LetterReply::of).collect()))
}

async fn redrive(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    params: Params,
) -> Result<Json<RedrivenReply>, Problem> {
    app.check_source(&source)?;
    let admitted = app.sequencer.admit(params.at()?).await?;
    let Redriven { accepted, duplicates, refused } = app.pipeline().redrive(&source, admitted.at()).await?;
    let refused = refused.into_iter().map(|(position, reason)| StillRefused { position, reason }).collect();
    Ok(Json(RedrivenReply { accepted, duplicates, refused }))
}

/// What became of the letters.
#[derive(Serialize)]
struct RedrivenReply {
    accepted: u64,
    duplicates: u64,
    refused: Vec<StillRefused>,
}

#[derive(Serialize)]
struct StillRefused {
    position: Position,
    reason: String,
}
