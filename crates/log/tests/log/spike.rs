//! More than can be written: what is refused was never begun, and what was acknowledged is in the log.

use perennial_log::{LogError, LogOptions, Ticket};
use perennial_testkit::FaultyFiles;
use perennial_types::Kind;

use crate::{all, entry, open, open_watched, options, positions, synced};

/// Room for forty records of these tests.
fn small() -> LogOptions {
    let bytes = entry("000", 1).payload.len() as u64;
    LogOptions { most_waiting: 40 * bytes, ..options(1 << 20) }
}

#[test]
fn a_full_queue_refuses_and_every_acknowledged_record_is_in_the_log() {
    let files = FaultyFiles::new();
    let (log, applied) = open_watched(&files, small());
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..3 {
        files.hold_syncs(true);
        let mut waiting: Vec<(String, Ticket)> = Vec::new();
        let full = loop {
            let id = format!("{round}{:02}", waiting.len());
            let entry = entry(&id, 1 + round);
            match log.room(entry.payload.len() as u64) {
                Ok(()) => waiting.push((id, log.append(synced(vec![entry])))),
                Err(error) => break error,
            }
        };
        assert_eq!(waiting.len(), 40, "round {round}");
        assert_eq!(full.kind(), Kind::Unavailable);
        assert!(matches!(full, LogError::Full { waiting, most } if waiting == most), "{full}");
        files.hold_syncs(false);
        for (id, ticket) in waiting {
            assert_eq!(positions(&ticket.wait().unwrap()).len(), 1);
            acknowledged.push(id);
        }
        assert!(log.room(1).is_ok(), "what was written gives its room back");
    }
    let ids = |records: &[perennial_types::Record]| -> Vec<String> {
        records.iter().map(|record| record.entry.id.to_string()).collect()
    };
    assert_eq!(ids(&applied.lock()), acknowledged);
    assert_eq!(ids(&all(&log)), acknowledged);
    log.close();
    assert_eq!(ids(&all(&open(&files, small()).unwrap())), acknowledged, "after a restart too");
}

#[test]
fn what_is_larger_than_the_queue_is_taken_when_nothing_waits() {
    let log = open(&FaultyFiles::new(), small()).unwrap();
    assert!(log.room(1 << 40).is_ok());
}

#[test]
fn duplicates_give_their_room_back_too() {
    let log = open(&FaultyFiles::new(), small()).unwrap();
    for _ in 0..200 {
        log.append(synced(vec![entry("same", 1)])).wait().unwrap();
    }
    assert!(log.room(small().most_waiting).is_ok());
}
