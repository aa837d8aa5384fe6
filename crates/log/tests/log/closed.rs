//! Closed segments: their conversion, and reading across all forms.

use perennial_log::{LogError, LogReader, SystemFiles};
use perennial_testkit::{Crash, FaultyFiles};
use perennial_types::{Kind, Position};

use super::*;

/// Three entries in each of `count` segments, the last of them active.
fn fill(log: &Log, count: i64) {
    for i in 0..count {
        let entries = (3 * i..3 * i + 3).map(|n| entry(&n.to_string(), 10 * n)).collect();
        log.append(synced(entries)).wait().unwrap();
    }
}

fn endings(files: &FaultyFiles) -> Vec<String> {
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files.paths().iter().map(name).collect()
}

#[test]
fn closed_segments_become_parquet_and_read_the_same() {
    let files = FaultyFiles::new();
    let log = open(&files, options(100)).unwrap();
    fill(&log, 3);
    let before = all(&log);
    assert_eq!(before.len(), 9);
    log.close();
    let expected =
        ["00000000000000000001.parquet", "00000000000000000004.parquet", "00000000000000000007.frames"];
    assert_eq!(endings(&files), expected);
    let log = open(&files, options(100)).unwrap();
    assert_eq!(all(&log), before);
    let reader = LogReader::open_with(Arc::new(files), dir()).unwrap();
    assert_eq!(reader.head(), Position(9));
    for from in 1..=10_u64 {
        for to in 0..=9_u64 {
            let found: Vec<_> =
                reader.read(Position(from), Position(to)).unwrap().map(Result::unwrap).collect();
            let wanted = before.iter().filter(|record| (from..=to).contains(&record.position.0));
            assert_eq!(found, wanted.cloned().collect::<Vec<_>>());
        }
    }
}

#[test]
fn an_instant_is_found_in_every_form() {
    let files = FaultyFiles::new();
    let log = open(&files, options(100)).unwrap();
    assert_eq!(log.reader().first_at_or_after(seconds(0)).unwrap(), Position(1));
    fill(&log, 4);
    for (reader, which) in [
        (log.reader(), "of this process"),
        (LogReader::open_with(Arc::new(files.clone()), dir()).unwrap(), "of another"),
    ] {
        for at in -5..130 {
            let wanted = (0..12).find(|n| 10 * n >= at).unwrap_or(12) as u64 + 1;
            assert_eq!(reader.first_at_or_after(seconds(at)).unwrap(), Position(wanted), "{at} {which}");
        }
    }
    log.close();
    let reader = LogReader::open_with(Arc::new(files), dir()).unwrap();
    assert_eq!(reader.first_at_or_after(seconds(31)).unwrap(), Position(5));
}

#[test]
fn a_crash_at_each_step_of_a_conversion_leaves_one_copy_of_every_record() {
    // The operations of a play without a crash, so that every one of them is tried.
    let files = FaultyFiles::new();
    let log = open(&files, options(100)).unwrap();
    fill(&log, 2);
    let wanted = all(&log);
    log.close();
    let before = files.operations();
    drop(files);
    for stop in 0..=before {
        for seed in 0..8 {
            let files = FaultyFiles::new();
            let log = open(&files, options(1 << 20)).unwrap();
            fill(&log, 2);
            log.close();
            // A reopened log with small segments closes this one when the next record comes.
            let log = open(&files, options(100)).unwrap();
            files.stop_after(stop);
            let more = log.append(synced(vec![entry("more", 100)])).wait();
            log.close();
            files.crash(Crash { kept_bytes: 7 * seed as usize, seed });
            let log = open(&files, options(100)).unwrap();
            let found = all(&log);
            assert_eq!(found[..6], wanted[..], "stopped after {stop}, seed {seed}");
            assert!(found.len() == 7 || more.is_err(), "stopped after {stop}, seed {seed}");
            log.close();
            let names = endings(&files);
            assert!(!names.iter().any(|name| name.ends_with(".new")), "{names:?}");
            let copies = names.iter().filter(|name| name.starts_with("00000000000000000001.")).count();
            assert_eq!(copies, 1, "{names:?}");
        }
    }
}

#[test]
fn damage_inside_closed_data_is_an_error_that_says_where() {
    let files = FaultyFiles::new();
    let log = open(&files, options(1 << 20)).unwrap();
    fill(&log, 1);
    log.close();
    let path = dir().join("00000000000000000001.frames");
    let successor = dir().join("00000000000000000004.frames");
    files.append(&successor).unwrap().write(b"perennial-log 1\n").unwrap();
    let frame = (files.content(&path).unwrap().len() - 16) / 3;
    files.damage(&path, 16 + frame + 20, 1);
    let reader = LogReader::open_with(Arc::new(files.clone()), dir()).unwrap();
    let mut records = reader.read(Position(1), Position(3)).unwrap();
    assert!(records.next().unwrap().is_ok());
    let error = records.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    assert_eq!(
        error.to_string(),
        format!(
            "/log/00000000000000000001.frames is damaged at byte {}: the checksum does not fit; restore the file \
             from a copy",
            16 + frame
        )
    );
    assert!(records.next().is_none(), "nothing follows a failed item");
    assert!(matches!(open(&files, options(100)), Err(LogError::Damaged { .. })));
}

#[test]
fn positions_that_are_not_kept_any_more_are_named() {
    let files = FaultyFiles::new();
    let log = open(&files, options(100)).unwrap();
    fill(&log, 2);
    log.close();
    files.remove(&dir().join("00000000000000000001.parquet")).unwrap();
    let reader = LogReader::open_with(Arc::new(files), dir()).unwrap();
    let Err(error) = reader.read(Position(2), Position(6)) else { panic!("position 2 is gone") };
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(error.to_string(), "position 2 is no longer kept; the log in /log begins at 4");
}

#[test]
fn a_large_segment_is_read_from_the_middle_in_each_form() {
    let dir = tempfile::tempdir().unwrap();
    let small = LogOptions { segment_bytes: 1, ..LogOptions::new(dir.path()) };
    let log = open(&SystemFiles, LogOptions::new(dir.path())).unwrap();
    let entries: Vec<_> = (0..20_000).map(|i| entry(&i.to_string(), i / 7)).collect();
    log.append(synced(entries.clone())).wait().unwrap();
    let check = |reader: &LogReader| {
        for from in [1_u64, 2, 8_192, 8_193, 16_385, 20_000] {
            let records = reader.read(Position(from), Position(20_000.min(from + 3))).unwrap();
            let found: Vec<_> = records.map(|record| record.unwrap().entry).collect();
            let start = from as usize - 1;
            assert_eq!(found, entries[start..(start + 4).min(20_000)]);
        }
        for at in [0, 1, 999, 2_857] {
            let wanted = Position(7 * at as u64 + 1);
            assert_eq!(reader.first_at_or_after(seconds(at)).unwrap(), wanted);
        }
    };
    check(&log.reader());
    log.close();
    let log = open(&SystemFiles, small).unwrap();
    log.append(synced(vec![entry("next", 3_000)])).wait().unwrap();
    log.close();
    assert!(dir.path().join("00000000000000000001.parquet").exists());
    check(&LogReader::open(dir.path()).unwrap());
}
