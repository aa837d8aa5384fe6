//! Appending: order, durability, duplicates, failures.

use perennial_log::{Appended, Batch, Durability, LogError, LogReader, Order, SystemFiles};
use perennial_testkit::FaultyFiles;
use perennial_types::{Kind, Position};

use super::*;

#[test]
fn a_log_is_read_back_as_it_was_appended() {
    let files = FaultyFiles::new();
    let (log, applied) = open_watched(&files, options(1 << 20));
    let entries: Vec<_> = (0..5).map(|i| entry(&format!("e{i}"), i)).collect();
    let appended = log.append(synced(entries.clone())).wait().unwrap();
    assert_eq!(positions(&appended), [1, 2, 3, 4, 5]);
    assert_eq!(log.applied(), Position(5));
    assert_eq!(*applied.lock(), all(&log));
    assert_eq!(all(&log).into_iter().map(|record| record.entry).collect::<Vec<_>>(), entries);
    assert_eq!(log.last_available_at(), seconds(4));
}

#[test]
fn a_written_record_waits_for_no_sync_and_is_applied_in_order() {
    let files = FaultyFiles::new();
    let (log, applied) = open_watched(&files, options(1 << 20));
    files.hold_syncs(true);
    let slow = log.append(synced(vec![entry("a", 1)]));
    let appended = log.append(written(vec![entry("b", 2)])).wait().unwrap();
    assert_eq!(appended, [Appended::At(Position(2))]);
    assert!(applied.lock().is_empty(), "nothing is applied before the record that waits for its sync");
    files.hold_syncs(false);
    slow.wait().unwrap();
    assert_eq!(log.flush().wait().unwrap(), Position(2));
    assert_eq!(applied.lock().iter().map(|record| record.position.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn appends_that_queue_during_a_sync_share_the_next_one() {
    let files = FaultyFiles::new();
    let log = open(&files, options(1 << 20)).unwrap();
    files.hold_syncs(true);
    let before = files.syncs();
    let tickets: Vec<_> = (0..200).map(|i| log.append(synced(vec![entry(&i.to_string(), i)]))).collect();
    // A written append is answered after the write, so all 200 are written when this one is.
    log.append(written(vec![entry("last", 200)])).wait().unwrap();
    files.hold_syncs(false);
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    log.close();
    let syncs = files.syncs() - before;
    assert!(syncs <= 4, "200 appends took {syncs} syncs");
}

#[test]
fn duplicates_take_no_position_within_the_window_and_after_a_restart() {
    let files = FaultyFiles::new();
    let log = open(&files, options(1 << 20)).unwrap();
    let first = vec![entry("a", 0), entry("b", 50), entry("", 50), entry("", 50), entry("b", 51)];
    let appended = log.append(synced(first)).wait().unwrap();
    assert_eq!(appended[4], Appended::Duplicate(Position(2)));
    assert_eq!(log.head(), Position(4), "records without an id are never duplicates");
    log.close();
    let log = open(&files, options(1 << 20)).unwrap();
    let mut other = entry("b", 60);
    other.source = "elsewhere".into();
    let again = vec![entry("a", 60), entry("b", 110), entry("b", 111), entry("a", 61), other];
    let appended = log.append(synced(again)).wait().unwrap();
    let at = |position| Appended::At(Position(position));
    assert_eq!(
        appended,
        [Appended::Duplicate(Position(1)), Appended::Duplicate(Position(2)), at(5), at(6), at(7)],
        "60 s are inside the window of 60 s, 61 s are not; an id belongs to its source"
    );
}

#[test]
fn an_entry_before_the_last_one_is_raised_or_refused() {
    let log = open(&FaultyFiles::new(), options(1 << 20)).unwrap();
    let import = Batch {
        entries: vec![entry("a", 10), entry("b", 9), entry("c", 10), entry("a", 3)],
        durability: Durability::Synced,
        order: Order::Refuse,
    };
    let appended = log.append(import).wait().unwrap();
    let refused = Appended::OutOfOrder { last: seconds(10) };
    let duplicate = Appended::Duplicate(Position(1));
    assert_eq!(appended, [Appended::At(Position(1)), refused, Appended::At(Position(2)), duplicate]);
    log.append(synced(vec![entry("d", 5)])).wait().unwrap();
    assert_eq!(all(&log)[2].entry.available_at, seconds(10));
}

#[test]
fn a_failed_sync_stops_the_log_and_keeps_what_was_acknowledged() {
    let files = FaultyFiles::new();
    let (log, applied) = open_watched(&files, options(1 << 20));
    log.append(synced(vec![entry("a", 1)])).wait().unwrap();
    files.fail_next_sync();
    let error = log.append(synced(vec![entry("b", 2)])).wait().unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(
        error.to_string(),
        "the log takes no more records since it stopped: cannot sync /log/00000000000000000001.frames: the disk \
         failed; repair the cause and restart: what was acknowledged is kept"
    );
    let later = log.append(written(vec![entry("c", 3)])).wait().unwrap_err();
    assert_eq!(later.to_string(), error.to_string());
    assert!(log.flush().wait().is_err());
    assert_eq!(applied.lock().len(), 1, "what failed is not applied");
}

#[test]
fn a_full_disk_is_named_and_its_torn_frame_is_cut_later() {
    let files = FaultyFiles::new();
    let log = open(&files, options(1 << 20)).unwrap();
    log.append(synced(vec![entry("a", 1)])).wait().unwrap();
    files.full_at(Some(150));
    let error = log.append(written(vec![entry("b", 2)])).wait().unwrap_err();
    assert!(error.to_string().contains("cannot write to /log/00000000000000000001.frames"), "{error}");
    assert!(error.to_string().contains("free space on that disk"), "{error}");
    log.close();
    files.full_at(None);
    let log = open(&files, options(1 << 20)).unwrap();
    assert_eq!(log.opened().cut.as_ref().map(|cut| cut.after), Some(Position(1)));
    assert_eq!(positions(&log.append(synced(vec![entry("b", 2)])).wait().unwrap()), [2]);
}

#[test]
fn an_entry_that_cannot_be_stored_fails_its_batch_alone() {
    let log = open(&FaultyFiles::new(), options(1 << 20)).unwrap();
    let mut bad = entry("b", 1);
    bad.payload = vec![b'"', 0xff];
    let error = log.append(synced(vec![entry("a", 1), bad])).wait().unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(
        error.to_string(),
        "entry 1 of the batch (stream event, source \"demand\") has a payload that is not UTF-8 from byte 1"
    );
    assert_eq!(positions(&log.append(synced(vec![entry("a", 1)])).wait().unwrap()), [1]);
}

#[test]
fn a_reader_of_another_process_sees_a_prefix_while_the_log_grows_and_rotates() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 2_000, ..LogOptions::new(dir.path()) };
    let log = open(&SystemFiles, options).unwrap();
    let reader = LogReader::open(dir.path()).unwrap();
    assert_eq!(reader.head(), Position::START);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..600 {
                log.append(written(vec![entry(&i.to_string(), i)])).wait().unwrap();
            }
        });
        let mut head = Position::START;
        while head < Position(600) {
            let records: Vec<_> =
                reader.read(Position(1), Position(600)).unwrap().map(Result::unwrap).collect();
            for (i, record) in records.iter().enumerate() {
                assert_eq!(record.entry, entry(&i.to_string(), i as i64));
            }
            head = records.last().map_or(Position::START, |record| record.position);
        }
    });
    assert_eq!(reader.refresh().unwrap(), Position(600));
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let Err(error) = open(&SystemFiles, LogOptions::new(file.path().join("log"))) else {
        panic!("a file is no directory");
    };
    assert!(matches!(error, LogError::Io { doing: "create", .. }), "{error}");
}
