//! Opening what a commit left.

use std::path::Path;
use std::sync::Arc;

use super::record::{Body, Head, PREFIX};
use super::{KeyedFiles, MAGIC, Place, Segment, path};
use crate::LogError;
use crate::storage::{Files, ReadFile};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

impl KeyedFiles {
    /// What the last whole commit in a directory left, with its note; nothing if there is none. What stands
    /// after it, and what stands after a damaged record, is cut off.
    ///
    /// # Errors
    /// When a file cannot be read or cut.
    pub fn open(files: Arc<dyn Files>, dir: &Path) -> Result<Option<(Self, Vec<u8>)>, LogError> {
        files.create_dir(dir).map_err(LogError::io("make", dir))?;
        let names = files.list(dir).map_err(LogError::io("list", dir))?;
        let id = |name: &String| name.strip_suffix(".keys")?.parse::<u32>().ok();
        let mut ids: Vec<u32> = names.iter().filter_map(id).collect();
        ids.sort_unstable();
        let mut opening = Opening { keyed: Self::empty(files, dir), pending: Vec::new(), commit: None };
        for id in &ids {
            if !opening.scan(*id)? {
                break;
            }
        }
        let Opening { mut keyed, commit, .. } = opening;
        let Some(Commit { segment: last, end, note }) = commit else { return Ok(None) };
        for id in ids.into_iter().filter(|id| *id > last) {
            keyed.segments.remove(&id);
            let path = keyed.path(id);
            keyed.files.remove(&path).map_err(LogError::io("remove", &path))?;
        }
        let path = keyed.path(last);
        let writer = keyed.files.append(&path).map_err(LogError::io("open", &path))?;
        writer.truncate(end).map_err(LogError::io("cut", &path))?;
        if let Some(segment) = keyed.segments.get_mut(&last) {
            segment.len = end;
        }
        (keyed.current, keyed.writer) = (last, Some(writer));
        Ok(Some((keyed, note)))
    }
}

/// Files on their way to be open.
struct Opening {
    keyed: KeyedFiles,
    /// Records since the last commit.
    pending: Vec<(Place, Vec<u8>)>,
    commit: Option<Commit>,
}

/// The last commit so far.
struct Commit {
    segment: u32,
    /// Where it ends.
    end: u64,
    note: Vec<u8>,
}

impl Opening {
    /// Take in the records of a segment; false after a damaged one.
    fn scan(&mut self, id: u32) -> Result<bool, LogError> {
        let path = path(&self.keyed.dir, id);
        let reader = self.keyed.files.read(&path).map_err(LogError::io("read", &path))?;
        let len = reader.size().map_err(LogError::io("read", &path))?;
        self.keyed.segments.insert(id, Segment { reader: Arc::clone(&reader), len, live: 0 });
        let mut scan = Scan { reader, offset: 0, bytes: Vec::new(), used: 0 };
        let failed = LogError::io("read", &path);
        let whole = self.take(id, &mut scan).map_err(failed)?;
        Ok(whole)
    }

    fn take(&mut self, id: u32, scan: &mut Scan) -> std::io::Result<bool> {
        if !scan.fill(MAGIC.len())? || !scan.rest().starts_with(MAGIC) {
            return Ok(false);
        }
        scan.used += MAGIC.len();
        loop {
            if !scan.fill(PREFIX)? {
                return Ok(scan.rest().is_empty());
            }
            let Ok(head) = Head::parse(scan.rest()) else { return Ok(false) };
            if !scan.fill(head.len())? {
                return Ok(false);
            }
            let at = scan.offset + scan.used as u64;
            match head.body(scan.rest()) {
                Ok(Body::Key(keyed)) => {
                    let place =
                        Place { hash: keyed.hash, segment: id, offset: at as u32, len: head.len() as u32 };
                    self.pending.push((place, keyed.key.to_vec()));
                }
                Ok(Body::Commit(note)) => {
                    let end = at + head.len() as u64;
                    self.commit = Some(Commit { segment: id, end, note: note.to_vec() });
                    for (place, key) in std::mem::take(&mut self.pending) {
                        self.keyed.learn(place, &key);
                    }
                }
                Err(_) => return Ok(false),
            }
            scan.used += head.len();
        }
    }
}

impl KeyedFiles {
    /// Take in the place of a key, in place of an earlier one.
    fn learn(&mut self, place: Place, key: &[u8]) {
        // A record that cannot be read again is no record of this key; the key has two places then, and whoever
        // looks for it is told.
        if let Ok(Some((before, _))) = self.find(place.hash, key, false, &mut Vec::new()) {
            self.forget(before);
        }
        self.table.insert_unique(place.hash, place, |place| place.hash);
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live += u64::from(place.len);
        }
    }
}

/// A file that is read from its beginning to its end.
pub(super) struct Scan {
    pub(super) reader: Arc<dyn ReadFile>,
    /// Where `bytes` begin.
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    /// How many of them were used.
    pub(super) used: usize,
}

impl Scan {
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// Have so many bytes at hand; false at the end of the file.
    pub(super) fn fill(&mut self, wanted: usize) -> std::io::Result<bool> {
        let have = self.bytes.len() - self.used;
        if have < wanted {
            self.bytes.drain(..self.used);
            self.offset += self.used as u64;
            self.used = 0;
            self.bytes.resize(wanted.max(CHUNK), 0);
            let count = self.reader.read_at(&mut self.bytes[have..], self.offset + have as u64)?;
            self.bytes.truncate(have + count);
        }
        Ok(self.bytes.len() - self.used >= wanted)
    }
}
