//! Claims about the last bytes of keys, on files that crash, fill up and rot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use perennial_log::{Keyed, KeyedFiles};
use perennial_testkit::{Crash, FaultyFiles};
use proptest::prelude::*;

use super::*;

/// Never.
const NEVER: i64 = i64::MAX;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, usize),
    Remove(u8),
    Commit,
    Tidy,
    Crash(Crash),
    /// The machine goes down after so many more operations on files.
    Down(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let crash = (0_usize..900, any::<u64>()).prop_map(|(kept_bytes, seed)| Crash { kept_bytes, seed });
    let step = prop_oneof![
        12 => (0..20_u8, 0..120_usize).prop_map(|(key, len)| Step::Put(key, len)),
        1 => (0..20_u8).prop_map(Step::Remove),
        3 => Just(Step::Commit),
        3 => Just(Step::Tidy),
        1 => crash.prop_map(Step::Crash),
        1 => (0..12_u64).prop_map(Step::Down),
    ];
    prop::collection::vec(step, 1..200)
}

type Values = BTreeMap<u8, Vec<u8>>;

/// The files with what they should say.
struct Model {
    files: FaultyFiles,
    keyed: KeyedFiles,
    values: Values,
    /// What each commit knew, by its note; the last one may have failed.
    commits: BTreeMap<u32, Values>,
    sure: u32,
    /// Keys that were removed may come back.
    removed: BTreeSet<u8>,
    draws: usize,
}

/// Hashes of three values, so that keys share them.
fn hash(key: u8) -> u64 {
    u64::from(key % 3).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn open_or_new(files: &FaultyFiles) -> (KeyedFiles, u32) {
    let (keyed, note) = match KeyedFiles::open(Arc::new(files.clone()), dir()).unwrap() {
        Some((keyed, note)) => (keyed, u32::from_le_bytes(note.try_into().unwrap())),
        None => (KeyedFiles::create(Arc::new(files.clone()), dir()).unwrap(), 0),
    };
    (keyed.with_segment_bytes(700), note)
}

impl Model {
    fn new() -> Self {
        let files = FaultyFiles::new();
        let (keyed, _) = open_or_new(&files);
        let commits = BTreeMap::from([(0, Values::new())]);
        let (values, removed) = (Values::new(), BTreeSet::new());
        Self { files, keyed, values, commits, sure: 0, removed, draws: 0 }
    }

    fn put(&mut self, key: u8, len: usize) -> Result<(), LogError> {
        self.draws += 1;
        let value: Vec<u8> = (0..len).map(|i| (i * 7 + self.draws) as u8).collect();
        let known = self.values.contains_key(&key);
        let keyed = Keyed { hash: hash(key), key: &[key, 1], value: &value, expires: NEVER, known };
        let put = self.keyed.put(keyed);
        self.values.insert(key, value);
        put
    }

    fn commit(&mut self) -> Result<(), LogError> {
        let note = self.commits.keys().next_back().unwrap() + 1;
        self.commits.insert(note, self.values.clone());
        self.keyed.commit(&note.to_le_bytes())?;
        self.sure = note;
        Ok(())
    }

    fn crash(&mut self, crash: Crash) {
        self.files.crash(crash);
        let (keyed, note) = open_or_new(&self.files);
        assert!(note >= self.sure, "commit {} was durable, {note} is there", self.sure);
        self.keyed = keyed;
        self.sure = note;
        self.commits.retain(|known, _| *known <= note);
        let mut expected = self.commits[&note].clone();
        for key in self.removed.clone() {
            if let Some(value) = self.get(key)
                && !expected.contains_key(&key)
            {
                expected.insert(key, value);
            }
        }
        self.values = expected;
    }

    fn get(&self, key: u8) -> Option<Vec<u8>> {
        let mut value = vec![9; 3];
        self.keyed.get(hash(key), &[key, 1], &mut value).unwrap().then_some(value)
    }

    fn check(&self) {
        for key in 0..20 {
            assert_eq!(self.get(key).as_ref(), self.values.get(&key), "key {key}");
        }
        assert_eq!(self.keyed.len(), self.values.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_given_last_is_there_and_after_a_crash_what_was_committed(steps in steps()) {
        let mut model = Model::new();
        for step in steps {
            match step {
                // Without the disk, what is given can be read all the same.
                Step::Put(key, len) => drop(model.put(key, len)),
                Step::Remove(key) => {
                    model.keyed.remove(hash(key), &[key, 1]).unwrap();
                    model.values.remove(&key);
                    model.removed.insert(key);
                }
                Step::Commit => drop(model.commit()),
                Step::Tidy => drop(model.keyed.tidy(0)),
                Step::Crash(crash) => model.crash(crash),
                Step::Down(after) => model.files.stop_after(after),
            }
            model.check();
        }
    }
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost() {
    let mut model = Model::new();
    model.put(1, 100).unwrap();
    model.commit().unwrap();
    model.files.full_at(Some(300));
    let mut refused = 0;
    for key in 0..20 {
        refused += usize::from(model.put(key, 90).is_err());
    }
    let error = model.commit().unwrap_err();
    assert!(error.to_string().contains("free space on that disk"), "{error}");
    assert!(refused > 0);
    model.check();
    model.files.full_at(None);
    model.commit().unwrap();
    model.check();
    model.crash(Crash { kept_bytes: 0, seed: 1 });
    model.check();
    assert_eq!(model.values.len(), 20);
}

#[test]
fn after_a_failed_sync_nothing_is_committed_any_more() {
    let mut model = Model::new();
    model.put(1, 10).unwrap();
    model.commit().unwrap();
    model.put(1, 20).unwrap();
    model.files.fail_next_sync();
    assert!(model.commit().is_err());
    assert!(model.commit().is_err());
    model.check();
    model.crash(Crash { kept_bytes: 0, seed: 3 });
    assert_eq!(model.get(1).unwrap().len(), 10);
}

#[test]
fn a_flipped_bit_costs_what_was_committed_after_it_and_is_never_read_as_a_value() {
    let mut model = Model::new();
    for round in 0..6 {
        for key in 0..6 {
            model.put(key, 20 + round).unwrap();
        }
        model.commit().unwrap();
    }
    let paths: Vec<PathBuf> = model.files.paths();
    assert!(paths.len() > 1);
    let whole: Vec<Vec<u8>> = paths.iter().map(|path| model.files.content(path).unwrap()).collect();
    for (path, bytes) in paths.iter().zip(&whole) {
        for at in (0..bytes.len()).step_by(5) {
            // A machine of its own, with the same files.
            let files = FaultyFiles::new();
            for (path, bytes) in paths.iter().zip(&whole) {
                files.append(path).unwrap().write(bytes).unwrap();
            }
            files.damage(path, at, 16);
            let (keyed, note) = match KeyedFiles::open(Arc::new(files), dir()).unwrap() {
                Some((keyed, note)) => (keyed, u32::from_le_bytes(note.try_into().unwrap())),
                None => continue,
            };
            for (key, expected) in &model.commits[&note] {
                let mut value = Vec::new();
                assert!(keyed.get(hash(*key), &[*key, 1], &mut value).unwrap());
                assert_eq!(value, *expected, "byte {at} of {}", path.display());
            }
        }
    }
}

#[test]
fn space_is_given_back_and_what_expired_goes() {
    let mut model = Model::new();
    for round in 0..40 {
        for key in 0..10 {
            let known = round > 0;
            let value = [round as u8; 50];
            let keyed =
                Keyed { hash: hash(key), key: &[key, 1], value: &value, expires: i64::from(key), known };
            model.keyed.put(keyed).unwrap();
        }
        while model.keyed.tidy(-1).unwrap() {}
        model.commit().unwrap();
    }
    // Ten records of about 80 bytes; half of what is kept may be waste, and a segment is being written.
    assert!(model.keyed.disk_bytes() < 4 * 10 * 80, "{}", model.keyed.disk_bytes());
    assert_eq!(model.keyed.len(), 10);
    // One key fills what is written, so that the others' segments are mostly waste at last.
    for _ in 0..60 {
        for key in [0, 9] {
            let keyed =
                Keyed { hash: hash(key), key: &[key, 1], value: &[1; 50], expires: NEVER, known: true };
            model.keyed.put(keyed).unwrap();
        }
        while model.keyed.tidy(5).unwrap() {}
        model.commit().unwrap();
    }
    let left: Vec<u8> = (0..10).filter(|key| model.get(*key).is_some()).collect();
    assert!(left.starts_with(&[0]) && left.ends_with(&[6, 7, 8, 9]), "{left:?}");
}
