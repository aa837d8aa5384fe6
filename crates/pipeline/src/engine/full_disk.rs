//! Claims about a disk that fills up while keys leave memory.

use std::path::Path;

use perennial_project::Project;
use perennial_testkit::{Crash, FaultyFiles};
use perennial_types::{Value, hash64};

use super::*;

const YAML: &str = "kind: Project\nname: taxi\n---\n\
    kind: Source\nname: rides\nschema: {at: timestamp, zone: int64, fare: double}\nevent_time: at\n---\n\
    kind: FeatureView\nname: zone\nentity: [zone]\nfrom: rides\n\
    aggregates: [{name: fare, op: [avg, stddev], of: fare, windows: [2h, 3d]}]\n---\n\
    kind: Model\nname: one\ntask: regression\nrequest: {zone: int64}\nfeatures: [zone.*]\n\
    transforms: [{of: [zone.*], fn: standardize}]\nlearner: {kind: linear}\n---\n\
    kind: Endpoint\nname: fare\nmodels: [one]\nlabel: {name: paid, matures_after: 2h}\n";

const SHARDS: usize = 2;

fn live(memory: &Arc<Memory>) -> Arc<LiveView> {
    let project = Project::parse(&[("taxi.yaml".into(), YAML.into())]).unwrap();
    let view = project.compile().unwrap().views[0].clone();
    LiveView::new(view, Arc::new(project.sources[0].clone()), SHARDS, memory)
}

fn ride(live: &LiveView, from: u64, to: u64) {
    let row = |i: u64| {
        let (at, draw) = (Timestamp::from_micros(i as i64 * 60_000_000), hash64(1, &[&i.to_string()]));
        [Value::Timestamp(at), Value::Int64((draw % 100) as i64), Value::Double((draw % 1_009) as f64 / 7.0)]
    };
    let rows: Vec<_> = (from..to).map(row).collect();
    let event = |(i, row)| {
        let at = Timestamp::from_micros(i as i64 * 60_000_000);
        Event { position: Position(i), source: "rides", row, event_time: at, available_at: at }
    };
    let events: Vec<Event<'_>> = (from..to).zip(rows.iter().map(<[Value; 3]>::as_slice)).map(event).collect();
    for events in events.chunks(50) {
        live.apply(events);
    }
}

fn readings(live: &LiveView) -> Vec<Option<Reading>> {
    let at = Timestamp::from_micros(10_000 * 60_000_000);
    (0..101).map(|zone| live.read(&EntityKey::from_values(&[Value::Int64(zone)]), at)).collect()
}

#[test]
fn a_full_disk_keeps_keys_in_memory_and_a_free_one_takes_them_again() {
    let files = FaultyFiles::new();
    let memory = Memory::new(12_000, 0, Path::new("/state")).with_files(Arc::new(files.clone()));
    let memory = Arc::new(memory);
    let (tight, free) = (live(&memory), live(&Arc::new(Memory::unbounded())));
    ride(&tight, 1, 500);
    ride(&free, 1, 500);
    assert!(memory.held() <= memory.limit());
    assert_eq!(readings(&tight), readings(&free));
    // A snapshot flushes what was given to the files so far.
    tight.save(Position(500)).unwrap();
    files.full_at(Some(100));
    ride(&tight, 500, 2_000);
    ride(&free, 500, 2_000);
    assert_eq!(readings(&tight), readings(&free));
    let error = tight.save(Position(2_000)).err().unwrap().to_string();
    assert!(error.contains("free space on that disk"), "{error}");
    assert_eq!(readings(&tight), readings(&free));
    assert_eq!(tight.trouble(), None);
    files.full_at(None);
    ride(&tight, 2_000, 3_000);
    ride(&free, 2_000, 3_000);
    let saved = tight.save(Position(3_000)).unwrap();
    assert_eq!(readings(&tight), readings(&free));
    // The machine goes down, and the files say what the snapshot knew.
    ride(&tight, 3_000, 4_000);
    files.crash(Crash { kept_bytes: 5_000, seed: 4 });
    let project = Project::parse(&[("taxi.yaml".into(), YAML.into())]).unwrap();
    let (view, source) = (Arc::clone(&tight.view), Arc::new(project.sources[0].clone()));
    let between = (Position(3_000), Position(4_000));
    let opened = LiveView::load((&view, &source), &saved, SHARDS, &memory, between).unwrap();
    assert_eq!(readings(&opened), readings(&free));
    // A log that ends before what the files know has lost it.
    let lost = (Position(100), Position(200));
    assert!(LiveView::load((&view, &source), &saved, SHARDS, &memory, lost).is_none());
}
