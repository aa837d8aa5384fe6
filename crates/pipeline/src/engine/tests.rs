//! Claims about filling views while others serve, with a reader of the log that stands still when it is told to.

use std::io;
use std::path::Path;

use parking_lot::Condvar;
use perennial_control::{Applied, ControlRecord};
use perennial_log::{AppendFile, Batch, Durability, Files, Log, LogOptions, Order, ReadFile, SystemFiles};
use perennial_project::Project;
use perennial_types::{Entry, Stream, Value, hash64};
use serde_json::json;

use super::*;

/// The machine's files, which are not read while the gate is shut.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.shut.lock() = shut;
        self.opened.notify_all();
    }
}

struct Gated(Arc<Gate>);

impl Files for Gated {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        SystemFiles.create_dir(dir)
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn AppendFile>> {
        SystemFiles.append(path)
    }

    fn read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let mut shut = self.0.shut.lock();
        while *shut {
            self.0.opened.wait(&mut shut);
        }
        SystemFiles.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemFiles.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemFiles.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        SystemFiles.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        SystemFiles.sync_dir(dir)
    }
}

fn project(clock: &str, second: &str) -> Project {
    let yaml = format!(
        "kind: Project\nname: taxi\nclock: {clock}\n---\n\
         kind: Source\nname: rides\nschema: {{at: timestamp, zone: string, fare: double}}\nevent_time: at\n---\n\
         kind: FeatureView\nname: zone\nentity: [zone]\nfrom: rides\n\
         aggregates: [{{name: fare, op: [avg, stddev], of: fare, windows: [2h]}}]\n---\n{second}\
         kind: Model\nname: one\ntask: regression\nrequest: {{zone: string}}\nfeatures: [zone.*]\n\
         transforms: [{{of: [zone.*], fn: standardize}}]\nlearner: {{kind: linear}}\n---\n\
         kind: Endpoint\nname: fare\nmodels: [one]\nlabel: {{name: paid, matures_after: 2h}}\n"
    );
    Project::parse(&[("taxi.yaml".into(), yaml)]).unwrap_or_else(|faults| panic!("{faults:?}"))
}

const SECOND: &str = "kind: FeatureView\nname: long\nentity: [zone]\nfrom: rides\n\
    aggregates: [{name: total, op: [sum, count], of: fare, windows: [3d]}]\n---\n";

fn entry(stream: Stream, minute: u64, payload: Vec<u8>) -> Entry {
    let at = time(minute);
    let source = if stream == Stream::Event { "rides" } else { "" };
    let (source, key) = (source.into(), "".into());
    Entry { stream, source, key, event_time: at, available_at: at, id: "".into(), payload }
}

fn time(minute: u64) -> Timestamp {
    Timestamp::from_micros(minute as i64 * 60_000_000)
}

/// The first view, 400 events, the second view, 200 events more.
fn history(clock: &str) -> Vec<Entry> {
    let applied = |project: &Project, minute: u64| {
        let (at, hash, goal) = (time(minute), project.hash(), project.compile().unwrap().goal);
        let declarations = serde_json::to_value(project).unwrap();
        let record = ControlRecord::Applied(Applied { at, hash, goal, declarations });
        entry(Stream::Control, minute, serde_json::to_vec(&record).unwrap())
    };
    let event = |minute: u64| {
        let draw = hash64(9, &[&minute.to_string()]);
        let (zone, fare) = (format!("z{}", draw % 3), (draw % 1_000) as f64 / 7.0);
        let row = json!({"at": time(minute).to_string(), "zone": zone, "fare": fare});
        entry(Stream::Event, minute, row.to_string().into_bytes())
    };
    let mut entries = vec![applied(&project(clock, ""), 0)];
    entries.extend((1..=400).map(event));
    entries.push(applied(&project(clock, SECOND), 400));
    entries.extend((401..=600).map(event));
    entries
}

/// A log with that history, and what is made of it.
struct World {
    gate: Arc<Gate>,
    fold: EngineFold,
    declared: Declared,
    records: Vec<Record>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new(clock: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(Arc::new(SystemFiles), LogOptions::new(dir.path()), Box::new(|_| {})).unwrap();
        let entries = history(clock);
        log.append(Batch { entries, durability: Durability::Synced, order: Order::Clamp }).wait().unwrap();
        log.close();
        let gate = Arc::new(Gate::default());
        let reader = LogReader::open_with(Arc::new(Gated(Arc::clone(&gate))), dir.path()).unwrap();
        let records = reader.read(Position(1), reader.head()).unwrap().map(Result::unwrap).collect();
        let fold = EngineFold::new(Engine::new(2), reader, Position(10));
        Self { gate, fold, declared: Declared::default(), records, _dir: dir }
    }

    /// Apply the records of some positions.
    fn apply(&mut self, positions: std::ops::RangeInclusive<u64>) {
        for position in positions {
            let record = &self.records[position as usize - 1];
            assert_eq!(record.position, Position(position));
            self.declared.apply(record).unwrap();
            self.fold.apply(record, &self.declared).unwrap();
        }
    }

    fn view(&self, name: &str) -> Arc<View> {
        Arc::clone(self.declared.goal().unwrap().compiled.view(name).unwrap())
    }

    fn read(&self, name: &str, minute: u64) -> Option<Vec<Reading>> {
        let version = self.view(name).version();
        let key = |zone: &str| EntityKey::from_values(&[Value::String(zone.into())]);
        let zones = ["z0", "z1", "z2", "nowhere"];
        zones.iter().map(|zone| self.fold.engine.read(version, &key(zone), time(minute))).collect()
    }

    /// The same from all the events up to a position, taken in one after the other.
    fn oracle(&self, name: &str, position: u64, minute: u64) -> Vec<Reading> {
        let (view, source) = self.declared.views()[&self.view(name).version()].clone();
        let live = LiveView::new(view, Arc::clone(&source), 1, &Arc::new(Memory::unbounded()));
        let mut feed = Feed::new(&source).unwrap();
        for record in self.records.iter().filter(|record| record.position.0 <= position) {
            live.apply_records(&mut feed, std::slice::from_ref(record));
        }
        let key = |zone: &str| EntityKey::from_values(&[Value::String(zone.into())]);
        ["z0", "z1", "z2", "nowhere"]
            .iter()
            .map(|zone| live.read(&key(zone), time(minute)).unwrap())
            .collect()
    }
}

#[test]
fn others_are_applied_and_read_while_a_view_is_filled() {
    let mut world = World::new("wall");
    world.apply(1..=401);
    world.gate.set(true);
    world.apply(402..=502);
    assert_eq!(world.read("zone", 501), Some(world.oracle("zone", 502, 501)));
    assert_eq!(world.read("long", 501), None);
    let [status] = &world.fold.engine.backfills()[..] else { panic!("one view is filled") };
    assert_eq!((&*status.view.spec().name, status.failure.clone()), ("long", None));
    let reason = world.fold.engine.unready(&world.view("long")).unwrap();
    assert!(reason.starts_with("view \"long\" is being filled from the log: position 0 of "), "{reason}");
    // A snapshot of now knows nothing of it; who loads that fills it again.
    let saved = world.fold.save().unwrap();
    world.gate.set(false);
    world.fold.engine.wait_for_backfills();
    assert_eq!(world.read("long", 501), Some(world.oracle("long", 502, 501)));
    assert_eq!(world.fold.engine.unready(&world.view("long")), None);
    assert!(world.fold.engine.backfills().is_empty());
    world.apply(503..=602);
    let expected = ["zone", "long"].map(|name| Some(world.oracle(name, 602, 601)));
    assert_eq!(["zone", "long"].map(|name| world.read(name, 601)), expected);

    let mut restarted = World::new("wall");
    for record in &restarted.records[..502] {
        restarted.declared.apply(record).unwrap();
    }
    restarted.fold.load(&saved, &restarted.declared).unwrap();
    restarted.apply(503..=550);
    restarted.fold.engine.wait_for_backfills();
    restarted.apply(551..=602);
    assert_eq!(["zone", "long"].map(|name| restarted.read(name, 601)), expected);
}

#[test]
fn on_the_event_clock_what_follows_a_declaration_finds_its_views() {
    let mut world = World::new("event");
    world.apply(1..=402);
    assert_eq!(world.read("long", 400), Some(world.oracle("long", 402, 400)));
    assert!(world.fold.engine.backfills().is_empty());
}

#[test]
fn a_view_that_is_dropped_while_it_is_filled_never_becomes_live() {
    let mut world = World::new("wall");
    world.apply(1..=401);
    world.gate.set(true);
    world.apply(402..=410);
    let version = world.view("long").version();
    // The first declarations again.
    let record = Record { position: Position(411), ..world.records[0].clone() };
    world.declared.apply(&record).unwrap();
    world.fold.apply(&record, &world.declared).unwrap();
    world.gate.set(false);
    world.fold.engine.wait_for_backfills();
    let key = EntityKey::from_values(&[Value::String("z1".into())]);
    assert_eq!(world.fold.engine.read(version, &key, time(500)), None);
    assert_eq!(world.fold.engine.views().len(), 1);
}

#[test]
fn a_log_that_cannot_be_read_fails_the_new_view_alone() {
    let mut world = World::new("wall");
    world.apply(1..=401);
    // A log without the directory that it is in.
    world.fold.reader = {
        let empty = tempfile::tempdir().unwrap();
        let reader = LogReader::open(empty.path()).unwrap();
        drop(empty);
        reader
    };
    world.apply(402..=450);
    world.fold.engine.wait_for_backfills();
    let reason = world.fold.engine.unready(&world.view("long")).unwrap();
    assert!(reason.starts_with("view \"long\" could not be filled from the log: "), "{reason}");
    assert_eq!(world.read("zone", 460), Some(world.oracle("zone", 450, 460)));
}
