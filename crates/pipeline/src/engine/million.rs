//! The claim about a million sparse keys, which takes minutes and the machine's memory.

use std::fs;

use perennial_project::Project;
use perennial_types::Value;

use super::*;

const YAML: &str = "kind: Project\nname: shop\n---\n\
    kind: Source\nname: payments\nschema: {ts: timestamp, user_id: int64, amount: double}\nevent_time: ts\n\
    retention: 400d\n---\n\
    kind: FeatureView\nname: user\nentity: [user_id]\nfrom: payments\n\
    aggregates: [{name: amount, op: [count, sum, min, max], of: amount, windows: [10m, 1h, 24h, 7d, 30d, 90d]}]\n---\n\
    kind: Model\nname: one\ntask: regression\nrequest: {user_id: int64}\nfeatures: [user.*]\n\
    transforms: [{of: [user.*], fn: standardize}]\nlearner: {kind: linear}\n---\n\
    kind: Endpoint\nname: worth\nmodels: [one]\nlabel: {name: paid, matures_after: 2h}\n";

const KEYS: u64 = 1_000_000;
const EACH: u64 = 30;
const SPAN: i64 = 90 * 86_400_000_000;
const START: i64 = 1_760_000_000_000_000;
/// A quarter of what the keys take without a bound.
const LIMIT: u64 = 226_000_000;
/// Of so many keys one is compared.
const COMPARED: u64 = 1_009;

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
#[ignore = "takes minutes; it measures the process, so that it runs alone: --release -- --ignored --nocapture"]
fn a_million_sparse_keys_stay_within_a_quarter_of_their_memory_and_are_right() {
    let project = Project::parse(&[("shop.yaml".into(), YAML.into())]).unwrap();
    let view = project.compile().unwrap().views[0].clone();
    let source = Arc::new(project.sources[0].clone());
    let dir = tempfile::tempdir().unwrap();
    let tight = Arc::new(Memory::new(LIMIT, 0, dir.path()));
    let tight = (LiveView::new(Arc::clone(&view), Arc::clone(&source), 2, &tight), tight);
    let free = LiveView::new(Arc::clone(&view), source, 2, &Arc::new(Memory::unbounded()));
    let before = resident();
    let mut most = 0;
    for first in (0..KEYS * EACH).step_by(4_096) {
        // Every key has one event in each thirtieth of the time, at another instant in each.
        let row = |i: u64| {
            let key = (i * 7_919 + i / KEYS * 104_729) % KEYS;
            let at = Timestamp::from_micros(START + SPAN / (KEYS * EACH) as i64 * i as i64);
            let amount = (i * 2_654_435_761 % 1_000_003) as f64 / 97.0;
            (at, [Value::Timestamp(at), Value::Int64(key as i64), Value::Double(amount)])
        };
        let rows: Vec<_> = (first..(first + 4_096).min(KEYS * EACH)).map(row).collect();
        let events: Vec<Event<'_>> = (first + 1..)
            .zip(&rows)
            .map(|(position, (at, row))| Event {
                position: Position(position),
                source: "payments",
                row,
                event_time: *at,
                available_at: *at,
            })
            .collect();
        tight.0.apply(&events);
        let compared = |event: &&Event<'_>| matches!(event.row[1], Value::Int64(key) if (key as u64).is_multiple_of(COMPARED));
        let compared: Vec<Event<'_>> = events.iter().filter(compared).copied().collect();
        free.apply(&compared);
        if first.is_multiple_of(1 << 20) {
            most = most.max(resident() - before);
        }
    }
    let (held, reads) = (tight.1.held(), tight.1.reads());
    let at = Timestamp::from_micros(START + SPAN);
    for key in (0..KEYS).step_by(COMPARED as usize) {
        let key = EntityKey::from_values(&[Value::Int64(key as i64)]);
        let values = |live: &LiveView| format!("{:?}", live.read(&key, at).unwrap().values);
        assert_eq!(values(&tight.0), values(&free), "{key}");
    }
    let amount = tight.0.amount();
    eprintln!("{amount:?}; held {held} of {LIMIT}, resident at most {most} bytes, {reads} reads of the disk");
    assert_eq!(amount.keys as u64, KEYS);
    assert!(held <= LIMIT && amount.spilled as u64 > KEYS / 2);
    // What is held is counted; the allocator keeps about a third more in pieces that keys left behind.
    assert!(most < LIMIT + LIMIT / 2, "{most} bytes are resident");
}
