//! Audits: skew, loss and the quality of data, over a window of time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use perennial_pipeline::{
    ArrivedLoss, ArrivedRows, Audits, ColumnFigures, HappenedLoss, STRETCH, Skewed, SourceLoss,
};
use perennial_types::{Position, TimeSpan, Timestamp};
use serde::Serialize;

use crate::App;
use crate::body::{self, Body, members, take, take_id, take_text};
use crate::parameters::{AT, Form, Param, Params};
use crate::problem::{Path, Problem};
use crate::route::{Route, Scope};
use crate::routes::page::{Listed, whole};
use crate::schemas::{page_of, reference};
use crate::text;

/// A window that is not given is so long.
const DAY: TimeSpan = TimeSpan::from_days(1);

const FROM: Param = Param {
    name: "from",
    about: "From this instant on, back to a multiple of ten minutes; left out: a day before the end.",
    form: Form::Instant,
};

const TO: Param =
    Param { name: "to", about: "Before this instant; left out: until now.", form: Form::Instant };

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/audits", standing, "How far the audits are, and the last skewed values")
            .reply(reference("Audits")),
        Route::get("/v1/audits/features", features, "Skew and quality of every feature as it was served")
            .query(&[FROM, TO])
            .reply(page_of("FeatureAudit")),
        Route::get(
            "/v1/audits/sources",
            sources,
            "What became of the rows of every source, and their quality",
        )
        .query(&[FROM, TO])
        .reply(page_of("SourceAudit")),
        Route::get(
            "/v1/sources/{source}/loss",
            loss,
            "The loss audit of a source by ten minutes, newest first",
        )
        .query(&[FROM, TO])
        .reply(reference("SourceLoss"))
        .may_be_missing(),
        Route::post(
            Scope::Write,
            "/v1/sources/{source}/counts",
            counts,
            "Say how many rows a producer sent, by ten minutes of event time",
        )
        .query(&[AT])
        .body(reference("SentCounts"))
        .example(serde_json::json!({
            "producer": "till-7",
            "counts": [{"start": "2011-01-01T00:00:00Z", "sent": 0}]
        }))
        .reply(reference("CountsReceipt"))
        .may_be_missing()
        .may_conflict()
        .may_be_unprocessable(),
    ]
}

/// The window that a request asks for.
fn window(app: &App, params: &Params) -> Result<(Timestamp, Timestamp), Problem> {
    // What happens now is in it.
    let to = match params.instant(&TO)? {
        Some(to) => to,
        None => app.orchestrator.now() + TimeSpan::from_micros(1),
    };
    let from = params.instant(&FROM)?.unwrap_or(to - DAY);
    Ok((from, to))
}

fn audits(app: &App) -> Result<Audits, Problem> {
    let audits = app.pipeline().audits();
    audits.ok_or_else(|| Problem::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "the audits have ended"))
}

/// How far the audits are.
#[derive(Serialize)]
struct Standing {
    position: Position,
    lag: u64,
    failure: Option<String>,
    predictions: u64,
    compared: u64,
    not_compared: u64,
    differences: Vec<Skewed>,
}

async fn standing(State(app): State<Arc<App>>) -> Result<Json<Standing>, Problem> {
    let audits = audits(&app)?;
    let applied = app.pipeline().applied().borrow().0;
    let failure = audits.failure();
    Ok(Json(audits.look(|figures| Standing {
        position: figures.through,
        lag: applied.saturating_sub(figures.through.0),
        failure,
        predictions: figures.predictions,
        compared: figures.compared,
        not_compared: figures.not_compared,
        differences: figures.differences.iter().rev().cloned().collect(),
    })))
}

/// What is said of a column.
#[derive(Serialize)]
struct ColumnAudit {
    name: Arc<str>,
    rows: u64,
    null_rate: Option<f64>,
    least: Option<f64>,
    largest: Option<f64>,
    new_categories: Option<Vec<Arc<str>>>,
}

impl ColumnAudit {
    fn of(name: &Arc<str>, figures: &ColumnFigures, (from, to): (Timestamp, Timestamp)) -> Self {
        let counts = figures.counts.over(from, to);
        Self {
            name: Arc::clone(name),
            rows: counts.rows,
            null_rate: counts.null_rate(),
            least: counts.least,
            largest: counts.largest,
            new_categories: figures.new_categories(from, to),
        }
    }
}

/// What is said of a feature.
#[derive(Serialize)]
struct FeatureAudit {
    #[serde(flatten)]
    served: ColumnAudit,
    compared: u64,
    mismatch: u64,
    missing: u64,
    extra: u64,
    symmetric_error: Option<f64>,
}

async fn features(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Listed<FeatureAudit>>, Problem> {
    let (audits, window) = (audits(&app)?, window(&app, &params)?);
    let found = audits.look(|figures| {
        let show = |(name, served): (&Arc<str>, &ColumnFigures)| {
            let skew = figures.skew.get(name).map(|skew| skew.over(window.0, window.1)).unwrap_or_default();
            FeatureAudit {
                served: ColumnAudit::of(name, served, window),
                compared: skew.compared,
                mismatch: skew.mismatch,
                missing: skew.missing,
                extra: skew.extra,
                symmetric_error: skew.symmetric_error(),
            }
        };
        figures.features.iter().map(show).collect()
    });
    Ok(whole(found))
}

/// What is said of a source.
#[derive(Serialize)]
struct SourceAudit {
    source: Arc<str>,
    #[serde(flatten)]
    rows: ArrivedRows,
    lost: u64,
    unapplied: u64,
    freshness_p50: Option<f64>,
    freshness_p99: Option<f64>,
    slowest: Option<f64>,
    columns: Vec<ColumnAudit>,
}

async fn sources(State(app): State<Arc<App>>, params: Params) -> Result<Json<Listed<SourceAudit>>, Problem> {
    let (audits, window) = (audits(&app)?, window(&app, &params)?);
    let declared = app.pipeline().declared();
    let declared = declared.goal().map(|goal| goal.project.sources.as_slice()).unwrap_or_default();
    let show = |source: &perennial_types::SourceSpec| {
        let name = &source.name;
        let known = app.pipeline().receipts().of(name, |_, known| {
            (known.arrived.over(window.0, window.1), known.freshness.over(window.0, window.1))
        });
        let (arrived, freshness) = known.unwrap_or_default();
        let loss = audits.loss(name, window.0, window.1).unwrap_or_default();
        let columns = audits.look(|figures| {
            let columns = figures.sources.get(name).map(|found| &found.columns);
            let columns = columns.into_iter().flatten();
            columns.map(|(column, figures)| ColumnAudit::of(column, figures, window)).collect()
        });
        SourceAudit {
            source: Arc::clone(name),
            rows: (&arrived).into(),
            lost: loss.lost,
            unapplied: loss.unapplied,
            freshness_p50: freshness.quantile(0.5),
            freshness_p99: freshness.quantile(0.99),
            slowest: freshness.slowest(),
            columns,
        }
    };
    Ok(whole(declared.iter().map(show).collect()))
}

/// The loss audit as it is shown.
#[derive(Serialize)]
struct LossReply {
    total: ArrivedRows,
    lost: u64,
    unapplied: u64,
    arrived: Vec<ArrivedLoss>,
    happened: Vec<HappenedLoss>,
}

async fn loss(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    params: Params,
) -> Result<Json<LossReply>, Problem> {
    check_declared(&app, &source)?;
    let (audits, window) = (audits(&app)?, window(&app, &params)?);
    let found = audits.loss(&source, window.0, window.1).unwrap_or_default();
    let SourceLoss { total, lost, unapplied, arrived, happened } = found;
    Ok(Json(LossReply { total, lost, unapplied, arrived, happened }))
}

/// Refuse a source that is not declared, also before anything is.
fn check_declared(app: &App, source: &str) -> Result<(), Problem> {
    app.check_source(source)?;
    match app.pipeline().declared().goal() {
        Some(_) => Ok(()),
        None => Err(Problem::not_found(format!("no source {source:?}: no project is applied yet"))),
    }
}

/// What a producer's counts became.
#[derive(Serialize)]
struct CountsReceipt {
    stretches: usize,
}

async fn counts(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    params: Params,
    Body(body): Body,
) -> Result<Json<CountsReceipt>, Problem> {
    let what = "what a producer sent";
    let mut members = members(body::json(&body)?, what, &["producer", "counts"])?;
    let producer = take_id(&mut members, what, "producer")?;
    let producer =
        producer.ok_or_else(|| Problem::invalid(format!("{what} lacks the member \"producer\"")))?;
    let serde_json::Value::Array(counts) = take(&mut members, what, "counts")? else {
        return Err(Problem::invalid("\"counts\" is an array of objects with start and sent"));
    };
    let counts: Vec<(Timestamp, u64)> = counts.into_iter().map(count).collect::<Result<_, _>>()?;
    check_declared(&app, &source)?;
    let admitted = app.sequencer.admit(params.at()?).await?;
    let stretches = counts.len();
    app.pipeline().sent(&source, &producer, counts, admitted.at()).await?;
    Ok(Json(CountsReceipt { stretches }))
}

fn count(json: serde_json::Value) -> Result<(Timestamp, u64), Problem> {
    let what = "a count";
    let mut members = members(json, what, &["start", "sent"])?;
    let start = take_text(&mut members, what, "start", &text::INSTANT)?;
    let start = start.ok_or_else(|| Problem::invalid(format!("{what} lacks the member \"start\"")))?;
    let start = Timestamp::parse(&start).map_err(|error| Problem::invalid(format!("\"start\": {error}")))?;
    let sent = take(&mut members, what, "sent")?;
    let sent =
        body::whole(&sent).ok_or_else(|| Problem::invalid("\"sent\" is a whole number, at least 0"))?;
    if start.floor(STRETCH) != start {
        return Err(Problem::unprocessable(format!(
            "\"start\": {start} is no start of ten minutes; {} is",
            start.floor(STRETCH)
        )));
    }
    Ok((start, sent))
}
