//! Sources that are read from outside: for each declared topic a thread that reads it into the log.

mod collected;
mod reader;
mod schemas;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use perennial_log::kafka::Brokers;
use perennial_types::{Clock, KafkaStream, SourceSpec, StreamSpec};
use tokio::sync::watch;

use crate::{Goal, Pipeline};
use reader::Reader;
pub(crate) use schemas::Schemas;

/// Reads every declared topic into the log, and follows what is declared. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    inner: Arc<Inner>,
}

struct Inner {
    pipeline: Pipeline,
    brokers: Option<Brokers>,
    clock: Arc<dyn Clock>,
    running: Mutex<BTreeMap<Arc<str>, Running>>,
    /// Held while it is changed what is read.
    settling: Mutex<()>,
    stopping: watch::Sender<bool>,
}

/// How reading a source goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStatus {
    /// Partitions that are read here.
    pub partitions: usize,
    /// Messages of them that are not in the log yet; unknown until the brokers have told where they end.
    pub lag: Option<u64>,
    /// Messages that became events since the start.
    pub accepted: u64,
    /// Messages that were events already.
    pub duplicates: u64,
    /// Messages that became dead letters.
    pub refused: u64,
    /// What keeps it from being read, if something does.
    pub trouble: Option<String>,
}

/// What a source is read by.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    source: Arc<SourceSpec>,
    stream: KafkaStream,
    group: String,
}

/// A source that is read.
struct Running {
    wanted: Wanted,
    status: Arc<Mutex<SourceStatus>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sources {
    /// Read what is declared now and later, from these brokers. To be called inside the runtime that is to serve it.
    pub fn start(pipeline: Pipeline, brokers: Option<Brokers>, clock: Arc<dyn Clock>) -> Self {
        let stopping = watch::Sender::new(false);
        let inner = Inner {
            pipeline,
            brokers,
            clock,
            running: Mutex::default(),
            settling: Mutex::default(),
            stopping,
        };
        let sources = Self { inner: Arc::new(inner) };
        let following = sources.clone();
        tokio::spawn(async move { following.follow().await });
        sources
    }

    /// How reading goes, by source.
    pub fn status(&self) -> Vec<(Arc<str>, SourceStatus)> {
        let running = self.inner.running.lock();
        running.iter().map(|(name, running)| (Arc::clone(name), running.status.lock().clone())).collect()
    }

    /// Stop reading: what was read is in the log, and the groups know.
    pub async fn stop(&self) {
        self.inner.stopping.send_replace(true);
        let sources = self.clone();
        let stopped = tokio::task::spawn_blocking(move || sources.settle(&BTreeMap::new()));
        if stopped.await.is_err() {
            tracing::error!("a source could not be stopped");
        }
    }

    async fn follow(&self) {
        let mut control = self.inner.pipeline.control();
        let mut stopping = self.inner.stopping.subscribe();
        let mut declared = None;
        loop {
            let revision = self.inner.pipeline.declared().revision();
            if declared != Some(revision) {
                declared = Some(revision);
                let sources = self.clone();
                let settled = tokio::task::spawn_blocking(move || {
                    let declared = sources.inner.pipeline.declared();
                    sources.settle(&declared.goal().map(|goal| wanted(goal)).unwrap_or_default());
                });
                if settled.await.is_err() {
                    tracing::error!("the sources could not be brought in line with what is declared");
                }
            }
            tokio::select! {
                changed = control.changed() => if changed.is_err() { return },
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    /// Read exactly these; nothing once it is to stop.
    fn settle(&self, wanted: &BTreeMap<Arc<str>, Wanted>) {
        let _turn = self.inner.settling.lock();
        if *self.inner.stopping.borrow() && !wanted.is_empty() {
            return;
        }
        let over = |name: &Arc<str>, running: &mut Running| wanted.get(name) != Some(&running.wanted);
        let ended: BTreeMap<Arc<str>, Running> = self.inner.running.lock().extract_if(.., over).collect();
        ended.values().for_each(|ended| ended.stop.store(true, Ordering::Release));
        // Each of them makes safe what it has read, before another begins where it ended.
        let counted: BTreeMap<Arc<str>, SourceStatus> =
            ended.into_iter().map(|(name, ended)| (name, ended.join().counts())).collect();
        let mut running = self.inner.running.lock();
        for (name, wanted) in wanted {
            if !running.contains_key(name) {
                let before = counted.get(name).cloned().unwrap_or_default();
                running.insert(Arc::clone(name), self.begin(wanted.clone(), before));
            }
        }
    }

    fn begin(&self, wanted: Wanted, status: SourceStatus) -> Running {
        let status = Arc::new(Mutex::new(status));
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = Running {
            wanted: wanted.clone(),
            status: Arc::clone(&status),
            stop: Arc::clone(&stop),
            thread: None,
        };
        let name = wanted.source.name.to_string();
        let Some(brokers) = self.inner.brokers.clone() else {
            let trouble = "no broker is known; start the service with --kafka-brokers host:port";
            tracing::warn!(source = name, trouble, "a source is not read");
            status.lock().trouble = Some(trouble.to_owned());
            return running;
        };
        let clock = Arc::clone(&self.inner.clock);
        let begun = Reader::new(self.inner.pipeline.clone(), wanted, clock, status, stop)
            .map_err(|error| error.to_string())
            .and_then(|reader| {
                let thread = thread::Builder::new().name(format!("source-{name}"));
                thread.spawn(move || reader.run(brokers)).map_err(|error| error.to_string())
            });
        match begun {
            Ok(thread) => running.thread = Some(thread),
            Err(trouble) => {
                tracing::error!(source = name, trouble, "a source is not read");
                running.status.lock().trouble = Some(trouble);
            }
        }
        running
    }
}

impl SourceStatus {
    /// What was counted, without how it goes.
    fn counts(&self) -> Self {
        let Self { accepted, duplicates, refused, .. } = *self;
        Self { accepted, duplicates, refused, ..Self::default() }
    }
}

impl Running {
    fn join(self) -> SourceStatus {
        if let Some(thread) = self.thread
            && thread.join().is_err()
        {
            tracing::error!(source = &*self.wanted.source.name, "the thread of a source panicked");
        }
        self.status.lock().clone()
    }
}

/// The topics that are declared, by source.
fn wanted(goal: &Goal) -> BTreeMap<Arc<str>, Wanted> {
    let mut wanted = BTreeMap::new();
    for source in &goal.project.sources {
        let StreamSpec::Kafka(stream) = &source.stream else { continue };
        let group = match &stream.group {
            Some(group) => group.to_string(),
            None => format!("perennial-{}-{}", goal.project.name, source.name),
        };
        let (name, source) = (Arc::clone(&source.name), Arc::new(source.clone()));
        wanted.insert(name, Wanted { source, stream: stream.clone(), group });
    }
    wanted
}
