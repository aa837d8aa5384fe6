//! Filling new views from the log while others serve.
//!
//! A thread of its own reads the log up to where the live views are, again and again, until it is near; then it
//! takes the turn of the thread that applies records, reads the little that is left, and makes the view live at
//! exactly the position that the others have. Nothing is left out or taken twice, and until then nobody waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, RwLock};
use perennial_features::View;
use perennial_log::LogReader;
use perennial_types::{ContentHash, Position, Record};

use super::{Engine, LiveView};
use crate::PipelineError;
use crate::feed::Feed;

/// So close behind the live views the rest is read while they wait: a few milliseconds.
const NEAR: u64 = 1_000;
/// Rounds after which the rest is read while they wait, however much it is: otherwise a log that grows faster than
/// it is read would never be caught up with.
const ROUNDS: u32 = 20;
/// Records that are taken in between two looks at whether the view is still wanted.
const STEP: usize = 1_024;

/// The views that are not live yet.
#[derive(Default)]
pub(super) struct Backfills {
    views: Mutex<BTreeMap<ContentHash, Arc<Filling>>>,
    /// Told whenever one has ended.
    ended: Condvar,
    stopped: AtomicBool,
}

/// A view on its way.
struct Filling {
    live: Arc<LiveView>,
    /// Its source, until it is live.
    feed: Mutex<Option<Feed>>,
    /// Up to where it is filled.
    position: AtomicU64,
    /// Up to where it was to be filled when this was last looked at.
    target: AtomicU64,
    failure: RwLock<Option<String>>,
}

/// How far a view is filled.
#[derive(Clone, Debug)]
pub struct BackfillStatus {
    /// The view.
    pub view: Arc<View>,
    /// The log was taken in up to here.
    pub position: Position,
    /// This is how far it has to come, and the log may have grown since.
    pub target: Position,
    /// Why it goes no further; the view is filled anew when the service starts again.
    pub failure: Option<String>,
}

impl BackfillStatus {
    /// Why the view cannot be read.
    pub fn reason(&self) -> String {
        let (name, position, target) = (&self.view.spec().name, self.position, self.target);
        match &self.failure {
            Some(failure) => format!("view {name:?} could not be filled from the log: {failure}"),
            None => format!("view {name:?} is being filled from the log: position {position} of {target}"),
        }
    }
}

impl Backfills {
    pub(super) fn status(&self) -> Vec<BackfillStatus> {
        let status = |filling: &Arc<Filling>| BackfillStatus {
            view: Arc::clone(&filling.live.view),
            position: Position(filling.position.load(Ordering::Relaxed)),
            target: Position(filling.target.load(Ordering::Relaxed)),
            failure: filling.failure.read().clone(),
        };
        self.views.lock().values().map(status).collect()
    }

    pub(super) fn contains(&self, version: ContentHash) -> bool {
        self.views.lock().contains_key(&version)
    }

    /// Forget those that are no longer wanted; their threads end.
    pub(super) fn retain(&self, wanted: impl Fn(ContentHash) -> bool) {
        self.views.lock().retain(|version, _| wanted(*version));
        self.ended.notify_all();
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.retain(|_| false);
    }

    /// Block until these views are live or have failed.
    pub(super) fn wait(&self, these: impl Fn(ContentHash) -> bool) {
        let mut views = self.views.lock();
        while views.iter().any(|(version, filling)| these(*version) && filling.failure.read().is_none()) {
            self.ended.wait(&mut views);
        }
    }

    fn wanted(&self, filling: &Filling) -> bool {
        !self.stopped.load(Ordering::Relaxed) && self.contains(filling.live.view.version())
    }
}

/// Fill views beside everything else, in one pass over the log. The caller has the turn of the live views.
pub(super) fn start(
    engine: &Engine,
    views: Vec<(Arc<LiveView>, Feed)>,
    reader: &LogReader,
    target: Position,
) {
    let filling = |(live, feed)| {
        let (position, target) = (AtomicU64::new(0), AtomicU64::new(target.0));
        Arc::new(Filling { live, feed: Mutex::new(Some(feed)), position, target, failure: RwLock::default() })
    };
    let views: Vec<Arc<Filling>> = views.into_iter().map(filling).collect();
    for view in &views {
        engine.backfills.views.lock().insert(view.live.view.version(), Arc::clone(view));
    }
    let (own, reader, work) = (engine.clone(), reader.clone(), views.clone());
    let begun = std::thread::Builder::new().name("backfill".to_owned()).spawn(move || {
        if let Err(error) = run(&own, &work, &reader) {
            tracing::error!(%error, "views could not be filled from the log");
            fail(&own, &work, &error.to_string());
        }
    });
    if let Err(error) = begun {
        fail(engine, &views, &format!("no thread could be started: {error}"));
    }
}

fn fail(engine: &Engine, views: &[Arc<Filling>], reason: &str) {
    for view in views {
        *view.failure.write() = Some(reason.to_owned());
    }
    // With the lock, so that whoever waits does not look in between.
    let _views = engine.backfills.views.lock();
    engine.backfills.ended.notify_all();
}

fn run(engine: &Engine, views: &[Arc<Filling>], reader: &LogReader) -> Result<(), PipelineError> {
    let mut next = Position(1);
    for round in 0..ROUNDS {
        let target = *engine.turn.lock();
        if round > 0 && next.0 + NEAR > target.0 {
            break;
        }
        if !feed(engine, views, reader, next, target)? {
            return Ok(());
        }
        next = target.next();
    }
    let turn = engine.turn.lock();
    if !feed(engine, views, reader, next, *turn)? {
        return Ok(());
    }
    let mut waiting = engine.backfills.views.lock();
    for view in views {
        let version = view.live.view.version();
        // One that declarations dropped and asked for again has another thread now.
        if waiting.get(&version).is_some_and(|known| Arc::ptr_eq(known, view)) {
            waiting.remove(&version);
            let Some(feed) = view.feed.lock().take() else { continue };
            engine.serve(Arc::clone(&view.live), feed);
            let (view, keys) = (&view.live.view.spec().name, view.live.amount().keys);
            tracing::info!(%view, version = version.short(), position = turn.0, keys, "a view is filled and live");
        }
    }
    engine.backfills.ended.notify_all();
    Ok(())
}

/// Take in a stretch of the log; false once no view of these is wanted any more.
fn feed(
    engine: &Engine,
    views: &[Arc<Filling>],
    reader: &LogReader,
    from: Position,
    to: Position,
) -> Result<bool, PipelineError> {
    views.iter().for_each(|view| view.target.store(to.0, Ordering::Relaxed));
    let wanted = || views.iter().any(|view| engine.backfills.wanted(view));
    let mut records = reader.read(from, to)?;
    while wanted() {
        let run: Vec<Record> = records.by_ref().take(STEP).collect::<Result<_, _>>()?;
        let Some(last) = run.last().map(|record| record.position) else { break };
        for view in views {
            if let Some(feed) = view.feed.lock().as_mut() {
                view.live.apply_records(feed, &run);
            }
            view.position.store(last.0, Ordering::Relaxed);
        }
    }
    Ok(wanted())
}
