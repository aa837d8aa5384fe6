//! What a crash leaves.

use perennial_log::LogReader;
use perennial_testkit::{Crash, FaultyFiles};
use perennial_types::Position;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct Play {
    /// Of each batch: how many entries, and whether it waits for its sync.
    batches: Vec<(usize, bool)>,
    segment_bytes: u64,
    operations: u64,
    crash: Crash,
}

fn play() -> impl Strategy<Value = Play> {
    let crash = (0_usize..2_000, any::<u64>()).prop_map(|(kept_bytes, seed)| Crash { kept_bytes, seed });
    let batches = prop::collection::vec((1_usize..6, prop::bool::weighted(0.7)), 1..25);
    (batches, 300_u64..3_000, 0_u64..120, crash).prop_map(|(batches, segment_bytes, operations, crash)| {
        Play { batches, segment_bytes, operations, crash }
    })
}

/// Append until the machine goes down, crash, open again. The claim: what was acknowledged as synced is
/// there, in order, at its position; and what is there is a prefix of what was appended, in whole batches.
fn survives(files: &FaultyFiles, play: &Play) -> Result<(), String> {
    let options = options(play.segment_bytes);
    let mut sent = Vec::new();
    let mut acknowledged = Position::START;
    let mut ends = vec![0];
    files.stop_after(play.operations);
    if let Ok(log) = open(files, options.clone()) {
        let mut tickets = Vec::new();
        for (count, wait) in &play.batches {
            let first = sent.len();
            sent.extend((first..first + count).map(|i| entry(&format!("e{i}"), i as i64)));
            ends.push(sent.len() as u64);
            let batch = sent[first..].to_vec();
            tickets.push((*wait, log.append(if *wait { synced(batch) } else { written(batch) })));
            if sent.len() % 3 == 0 {
                // Let what is under way end, so that several segments and groups come about.
                drop(log.flush().wait());
            }
        }
        for (wait, ticket) in tickets {
            if let (true, Ok(appended)) = (wait, ticket.wait()) {
                acknowledged = Position(*positions(&appended).last().unwrap());
            }
        }
        files.crash(play.crash);
    } else {
        files.crash(play.crash);
    }
    let log = open(files, options).map_err(|error| format!("does not open: {error}"))?;
    let found = all(&log);
    for (i, record) in found.iter().enumerate() {
        if record.position.0 != i as u64 + 1 || record.entry != sent[i] {
            return Err(format!("record {i} is {record:?}"));
        }
    }
    if !ends.contains(&log.head().0) {
        return Err(format!("half a batch: head {}, batches end at {ends:?}", log.head()));
    }
    if found.len() as u64 != log.head().0 || log.head() < acknowledged {
        return Err(format!("{} records, head {}, {acknowledged} acknowledged", found.len(), log.head()));
    }
    let next = log.append(synced(vec![entry("next", 1_000)])).wait().map_err(|error| error.to_string())?;
    if positions(&next) != [log.head().0] || all(&log).len() != found.len() + 1 {
        return Err("the log does not go on".to_owned());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_survives_a_crash_at_any_operation_and_byte(play in play()) {
        prop_assert_eq!(survives(&FaultyFiles::new(), &play), Ok(()));
    }
}

#[test]
fn without_syncs_the_same_test_finds_a_loss() {
    let files = FaultyFiles::new();
    files.ignore_syncs(true);
    let play = Play {
        batches: vec![(2, true); 10],
        segment_bytes: 1 << 20,
        operations: u64::MAX / 2,
        crash: Crash { kept_bytes: 40, seed: 1 },
    };
    let loss = survives(&files, &play).unwrap_err();
    assert!(loss.contains("20 acknowledged"), "{loss}");
    assert_eq!(survives(&FaultyFiles::new(), &play), Ok(()), "with syncs it finds none");
}

#[test]
fn a_torn_end_is_cut_at_every_byte_of_the_last_frame() {
    let whole = FaultyFiles::new();
    let log = open(&whole, options(1 << 20)).unwrap();
    log.append(synced(vec![entry("a", 1)])).wait().unwrap();
    log.append(synced(vec![entry("b", 2)])).wait().unwrap();
    log.close();
    let path = dir().join("00000000000000000001.frames");
    let bytes = whole.content(&path).unwrap();
    let first_end = 16 + (bytes.len() - 16) / 2;
    for len in 0..bytes.len() {
        let files = FaultyFiles::new();
        let file = files.append(&path).unwrap();
        file.write(&bytes[..len]).unwrap();
        let log = open(&files, options(1 << 20)).unwrap();
        let kept = u64::from(len >= first_end);
        assert_eq!(log.head(), Position(kept), "{len} of {} bytes", bytes.len());
        let cut = log.opened().cut.as_ref().map_or(0, |cut| cut.bytes);
        let good = [0, 16, first_end].into_iter().rfind(|good| *good <= len).unwrap();
        assert_eq!(cut, (len - good) as u64, "{len} of {} bytes", bytes.len());
    }
}

#[test]
fn an_append_that_is_torn_anywhere_is_cut_as_a_whole() {
    let whole = FaultyFiles::new();
    let log = open(&whole, options(1 << 20)).unwrap();
    log.append(synced(vec![entry("a", 1)])).wait().unwrap();
    let path = dir().join("00000000000000000001.frames");
    let before = whole.content(&path).unwrap().len();
    log.append(synced(vec![entry("b", 2), entry("a", 2), entry("c", 3), entry("d", 4)])).wait().unwrap();
    log.close();
    let bytes = whole.content(&path).unwrap();
    for len in before..=bytes.len() {
        let files = FaultyFiles::new();
        files.append(&path).unwrap().write(&bytes[..len]).unwrap();
        let torn = len < bytes.len();
        let reader = LogReader::open_with(Arc::new(files.clone()), dir()).unwrap();
        assert_eq!(reader.head(), Position(if torn { 1 } else { 4 }), "a reader beside the log, {len} bytes");
        let log = open(&files, options(1 << 20)).unwrap();
        assert_eq!(log.head(), reader.head(), "{len} of {} bytes", bytes.len());
        assert_eq!(
            log.opened().cut.as_ref().map_or(0, |cut| cut.bytes),
            (len - before) as u64 * u64::from(torn)
        );
        let next = log.append(synced(vec![entry("c", 5)])).wait().unwrap();
        let expected = if torn { Appended::At(Position(2)) } else { Appended::Duplicate(Position(3)) };
        assert_eq!(next, [expected], "what was cut is no duplicate");
    }
}

#[test]
fn a_flipped_bit_cuts_from_its_frame_on_and_is_reported() {
    let path = dir().join("00000000000000000001.frames");
    for damaged in 0..3_usize {
        let files = FaultyFiles::new();
        let log = open(&files, options(1 << 20)).unwrap();
        for i in 0..3 {
            log.append(synced(vec![entry(&i.to_string(), i)])).wait().unwrap();
        }
        log.close();
        let frame = (files.content(&path).unwrap().len() - 16) / 3;
        for at in 0..frame {
            let copy = FaultyFiles::new();
            copy.append(&path).unwrap().write(&files.content(&path).unwrap()).unwrap();
            copy.damage(&path, 16 + damaged * frame + at, 0x10);
            let log = open(&copy, options(1 << 20)).unwrap();
            assert_eq!(log.head(), Position(damaged as u64));
            let cut = log.opened().cut.clone().unwrap();
            assert_eq!((cut.path, cut.after), (path.clone(), Position(damaged as u64)));
            assert_eq!(cut.offset as usize, 16 + damaged * frame);
            assert_eq!(cut.bytes as usize, (3 - damaged) * frame);
        }
    }
}
