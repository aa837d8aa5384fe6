//! The last bytes of each key, on disk: what does not fit into memory, and what a restart begins with.
//!
//! Bytes are only ever appended, to segments of a directory; a table in memory knows where the last ones of each
//! key lie (Sheehy and Smith 2010: Bitcask). A read is one read of the disk, a write is part of a large one, and
//! neither grows with the number of keys. [`Keyed::commit`] makes everything up to here durable together with a note:
//! opening a directory gives back exactly what the last commit that is whole knew, and forgets what came after
//! it, be it by a crash or by a damaged file. Segments of which little is still of use are written anew.

mod open;
mod record;
mod tidy;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashTable;

use self::record::{Body, Head};
use crate::LogError;
use crate::storage::{AppendFile, Files, ReadFile};

/// The first bytes of a segment; the digit is the version of the format.
const MAGIC: &[u8; 16] = b"perennial-key 1\n";
/// A segment is not continued once it has so many bytes.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes that are written at once.
const WRITE_BYTES: usize = 256 << 10;

/// A key with its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Keyed<'a> {
    /// A hash of the key, spread over all its bits; that of two keys may be the same.
    pub hash: u64,
    /// The key.
    pub key: &'a [u8],
    /// Its bytes.
    pub value: &'a [u8],
    /// From this instant on, by whatever clock the owner has, nobody misses it.
    pub expires: i64,
    /// Whether the key is known to be there already: it is looked for among those of its hash otherwise.
    pub known: bool,
}

/// The last bytes of each key in a directory of its own.
pub struct KeyedFiles {
    files: Arc<dyn Files>,
    dir: PathBuf,
    table: HashTable<Place>,
    segments: BTreeMap<u32, Segment>,
    current: u32,
    writer: Option<Arc<dyn AppendFile>>,
    /// What comes after the `len` bytes of the current segment's file.
    buffer: Vec<u8>,
    /// A write failed half-way: the file is cut to its length before the next one.
    torn: bool,
    /// A sync failed: nobody knows what is on the disk.
    lost: bool,
    /// Segments of which nothing is of use; the last commit may need them.
    empty: Vec<u32>,
    segment_bytes: u64,
}

/// Where a key's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    hash: u64,
    segment: u32,
    offset: u32,
    /// Of the whole record.
    len: u32,
}

struct Segment {
    reader: Arc<dyn ReadFile>,
    /// Bytes in the file.
    len: u64,
    /// Bytes that are still of use.
    live: u64,
}

impl KeyedFiles {
    /// No keys, in a directory in which whatever was there is removed.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn create(files: Arc<dyn Files>, dir: &Path) -> Result<Self, LogError> {
        files.create_dir(dir).map_err(LogError::io("make", dir))?;
        for name in files.list(dir).map_err(LogError::io("list", dir))? {
            let path = dir.join(name);
            files.remove(&path).map_err(LogError::io("remove", &path))?;
        }
        let mut keyed = Self::empty(files, dir);
        keyed.begin_segment()?;
        Ok(keyed)
    }

    fn empty(files: Arc<dyn Files>, dir: &Path) -> Self {
        Self {
            files,
            dir: dir.to_owned(),
            table: HashTable::new(),
            segments: BTreeMap::new(),
            current: 0,
            writer: None,
            buffer: Vec::new(),
            torn: false,
            lost: false,
            empty: Vec::new(),
            segment_bytes: SEGMENT_BYTES,
        }
    }

    /// Begin a new segment once one has so many bytes.
    #[must_use]
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.clamp(1, SEGMENT_BYTES);
        self
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes on the disk.
    pub fn disk_bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.len).sum()
    }

    /// Bytes in memory: the table, and what waits to be written.
    pub fn memory_bytes(&self) -> u64 {
        (self.table.allocation_size() + self.buffer.len()) as u64
    }

    /// Whether there may be such a key: there is one of its hash.
    pub fn may_have(&self, hash: u64) -> bool {
        self.table.find(hash, |place| place.hash == hash).is_some()
    }

    /// The bytes of a key, over what `value` holds; whether there are any.
    ///
    /// # Errors
    /// When they cannot be read, or are damaged.
    pub fn get(&self, hash: u64, key: &[u8], value: &mut Vec<u8>) -> Result<bool, LogError> {
        let Some((_, len)) = self.find(hash, key, false, value)? else { return Ok(false) };
        value.drain(..value.len() - len);
        Ok(true)
    }

    /// Keep the bytes of a key, in place of those from before.
    ///
    /// # Errors
    /// When the disk takes no more. What was given before, and this, can be read all the same, and the next
    /// call tries again.
    pub fn put(&mut self, keyed: Keyed<'_>) -> Result<(), LogError> {
        let before = self.find(keyed.hash, keyed.key, keyed.known, &mut Vec::new())?;
        let before = before.map(|(place, _)| place);
        self.append(keyed.hash, before, &Body::Key(keyed))
    }

    /// Forget a key, if it is there. Opening may bring it back until its bytes are cleared away.
    ///
    /// # Errors
    /// When a key of its hash cannot be read.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Result<(), LogError> {
        if let Some((place, _)) = self.find(hash, key, false, &mut Vec::new())? {
            self.forget(place);
        }
        Ok(())
    }

    /// Make everything up to here durable, with a note that opening gives back.
    ///
    /// # Errors
    /// When the disk takes no more, or does not say that it has it. After the latter nothing can be committed any
    /// more.
    pub fn commit(&mut self, note: &[u8]) -> Result<(), LogError> {
        self.begin_segment_if_full()?;
        self.append_body(&Body::Commit(note));
        self.flush()?;
        self.sync()?;
        for id in std::mem::take(&mut self.empty) {
            if self.segments.remove(&id).is_some() {
                let path = self.path(id);
                self.files.remove(&path).map_err(LogError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// The place of a key, with its whole record in `bytes` and the length of the value at its end. One that is
    /// `known` to be there is not read if it is the only one of its hash.
    fn find(
        &self,
        hash: u64,
        key: &[u8],
        known: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<(Place, usize)>, LogError> {
        let mut places = self.table.iter_hash(hash).filter(|place| place.hash == hash);
        let Some(first) = places.next() else { return Ok(None) };
        let others: Vec<Place> = places.copied().collect();
        if known && others.is_empty() {
            return Ok(Some((*first, 0)));
        }
        for place in std::iter::once(*first).chain(others) {
            if let Body::Key(found) = self.read(place, bytes)?
                && found.key == key
            {
                let len = found.value.len();
                return Ok(Some((place, len)));
            }
        }
        Ok(None)
    }

    /// The record at a place.
    fn read<'a>(&self, place: Place, bytes: &'a mut Vec<u8>) -> Result<Body<'a>, LogError> {
        let (offset, len) = (u64::from(place.offset), place.len as usize);
        let path = || self.path(place.segment);
        let damaged = |reason: String| LogError::Damaged { path: path(), offset, reason };
        let Some(segment) = self.segments.get(&place.segment) else {
            return Err(damaged("the file is gone".to_owned()));
        };
        bytes.resize(len, 0);
        match offset.checked_sub(segment.len) {
            Some(waiting) => bytes.copy_from_slice(&self.buffer[waiting as usize..waiting as usize + len]),
            None => {
                let read = segment.reader.read_at(bytes, offset);
                let count = read.map_err(LogError::io("read", &path()))?;
                bytes.truncate(count);
            }
        }
        match Head::parse(bytes).and_then(|head| head.body(bytes)) {
            Ok(body) => Ok(body),
            Err(reason) => Err(damaged(reason)),
        }
    }

    fn append(&mut self, hash: u64, before: Option<Place>, body: &Body<'_>) -> Result<(), LogError> {
        // Whether the disk takes it or not: from here on it can be read, be it from the buffer.
        let begun = self.begin_segment_if_full();
        let (segment, offset, len) = self.append_body(body);
        if let Some(before) = before {
            self.forget(before);
        }
        self.table.insert_unique(hash, Place { hash, segment, offset, len }, |place| place.hash);
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.live += u64::from(len);
        }
        begun?;
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Put a record behind the others: its segment, offset and length.
    fn append_body(&mut self, body: &Body<'_>) -> (u32, u32, u32) {
        let (offset, start) = (self.end(), self.buffer.len());
        body.encode(&mut self.buffer);
        (self.current, offset as u32, (self.buffer.len() - start) as u32)
    }

    fn begin_segment_if_full(&mut self) -> Result<(), LogError> {
        if self.end() >= self.segment_bytes { self.begin_segment() } else { Ok(()) }
    }

    /// Where the next record goes.
    fn end(&self) -> u64 {
        self.segments.get(&self.current).map_or(0, |segment| segment.len) + self.buffer.len() as u64
    }

    fn begin_segment(&mut self) -> Result<(), LogError> {
        if self.writer.is_some() {
            self.flush()?;
            self.sync()?;
        }
        let id = self.segments.keys().next_back().map_or(1, |last| last + 1);
        let path = self.path(id);
        let writer = self.files.append(&path).map_err(LogError::io("make", &path))?;
        // What a failure left of an earlier try.
        writer.truncate(0).map_err(LogError::io("write", &path))?;
        writer.write(MAGIC).map_err(LogError::io("write", &path))?;
        let reader = self.files.read(&path).map_err(LogError::io("read", &path))?;
        self.segments.insert(id, Segment { reader, len: MAGIC.len() as u64, live: 0 });
        (self.current, self.writer) = (id, Some(writer));
        Ok(())
    }

    /// Give the file system what waits in memory. Only [`KeyedFiles::commit`] makes it durable.
    ///
    /// # Errors
    /// When the disk takes no more; what waits can be read all the same.
    pub fn flush(&mut self) -> Result<(), LogError> {
        if self.lost {
            return Err(LogError::stopped(format!("a sync in {} failed", self.dir.display())));
        }
        let path = self.path(self.current);
        let (Some(writer), Some(segment)) = (&self.writer, self.segments.get_mut(&self.current)) else {
            return Ok(());
        };
        if std::mem::replace(&mut self.torn, true) {
            writer.truncate(segment.len).map_err(LogError::io("write", &path))?;
        }
        writer.write(&self.buffer).map_err(LogError::io("write", &path))?;
        self.torn = false;
        segment.len += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        let path = self.path(self.current);
        if let Some(writer) = &self.writer {
            self.lost = true;
            writer.sync().map_err(LogError::io("sync", &path))?;
            self.files.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))?;
            self.lost = false;
        }
        Ok(())
    }

    fn forget(&mut self, place: Place) {
        if let Ok(found) = self.table.find_entry(place.hash, |other| *other == place) {
            found.remove();
            if let Some(segment) = self.segments.get_mut(&place.segment) {
                segment.live = segment.live.saturating_sub(u64::from(place.len));
            }
        }
    }

    fn path(&self, id: u32) -> PathBuf {
        path(&self.dir, id)
    }
}

fn path(dir: &Path, id: u32) -> PathBuf {
    dir.join(format!("{id:010}.keys"))
}
