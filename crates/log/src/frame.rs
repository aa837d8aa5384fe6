//! Frames: how records stand in the active segment.
//!
//! A segment file begins with [`MAGIC`]. A frame is, little-endian:
//!
//! ```text
//! length u32 | crc32c u32 of length and body | body:
//! position u64 | event_time i64 | available_at i64 | stream u8 | lengths of source, key, id u32 each
//!   | source | key | id | payload
//! ```
//!
//! The highest bit of the stream says that the next frame was appended together with this one: a log that
//! ends between them ends before the first of them.

use std::io;
use std::sync::Arc;

use perennial_types::{Entry, Position, Record, Stream, Timestamp};

use crate::storage::ReadFile;

/// The first bytes of a segment of frames; the digit is the version of the format.
pub(crate) const MAGIC: &[u8; 16] = b"perennial-log 1\n";
/// The longest body of a frame, in bytes: a length above it is a damaged one.
pub(crate) const MAX_BODY: usize = 64 << 20;

const PREFIX: usize = 8;
const HEADER: usize = 8 + 8 + 8 + 1 + 4 + 4 + 4;
const CHUNK: usize = 256 << 10;
/// Set in the stream of a frame whose append goes on in the next frame.
const GOES_ON: u8 = 0x80;

/// The length of an entry's frame in bytes.
pub(crate) fn frame_len(entry: &Entry) -> usize {
    PREFIX + HEADER + entry.source.len() + entry.key.len() + entry.id.len() + entry.payload.len()
}

/// Why an entry cannot be a frame, if so.
pub(crate) fn refusal(entry: &Entry) -> Option<String> {
    let body = frame_len(entry) - PREFIX;
    if body > MAX_BODY {
        return Some(format!("takes {body} bytes; at most {MAX_BODY} are stored"));
    }
    match std::str::from_utf8(&entry.payload) {
        Ok(_) => None,
        Err(error) => Some(format!("has a payload that is not UTF-8 from byte {}", error.valid_up_to())),
    }
}

/// Append the frame of a record to `buffer`; `goes_on` says that the next frame belongs to the same append.
/// The entry was not refused by [`refusal`], so its lengths fit.
pub(crate) fn encode(position: Position, entry: &Entry, goes_on: bool, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    let length = (frame_len(entry) - PREFIX) as u32;
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&position.0.to_le_bytes());
    buffer.extend_from_slice(&entry.event_time.micros().to_le_bytes());
    buffer.extend_from_slice(&entry.available_at.micros().to_le_bytes());
    buffer.push(entry.stream.code() | if goes_on { GOES_ON } else { 0 });
    for text in [&entry.source, &entry.key, &entry.id] {
        buffer.extend_from_slice(&(text.len() as u32).to_le_bytes());
    }
    for text in [&entry.source, &entry.key, &entry.id] {
        buffer.extend_from_slice(text.as_bytes());
    }
    buffer.extend_from_slice(&entry.payload);
    let crc = checksum(length, &buffer[start + PREFIX..]);
    buffer[start + 4..start + PREFIX].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(length: u32, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), body)
}

/// What stands at the next place of a segment.
pub(crate) enum Step {
    /// A whole record.
    Frame(Record),
    /// Nothing more.
    End,
    /// Bytes that are no frame, or no whole one, and why.
    Bad(String),
}

/// Reads the frames of one file in order, in chunks.
pub(crate) struct FrameScan {
    file: Arc<dyn ReadFile>,
    offset: u64,
    expected: Position,
    chunk: Vec<u8>,
    used: usize,
    source: Arc<str>,
    goes_on: bool,
}

impl FrameScan {
    /// From a frame that starts at `offset` and has position `expected`.
    pub(crate) fn new(file: Arc<dyn ReadFile>, offset: u64, expected: Position) -> Self {
        Self { file, offset, expected, chunk: Vec::new(), used: 0, source: "".into(), goes_on: false }
    }

    /// From the first frame; `None` when the file does not begin with the magic bytes, as a new one that was
    /// not written to the disk may not.
    pub(crate) fn start(file: Arc<dyn ReadFile>, first: Position) -> io::Result<Option<Self>> {
        let mut magic = [0; MAGIC.len()];
        let whole = file.read_at(&mut magic, 0)? == MAGIC.len() && magic == *MAGIC;
        Ok(whole.then(|| Self::new(file, MAGIC.len() as u64, first)))
    }

    /// Where the next frame starts, in bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the append of the last frame goes on in the next one.
    pub(crate) fn within_append(&self) -> bool {
        self.goes_on
    }

    /// Forget what was read ahead, so that the next step sees the file as it is now.
    pub(crate) fn refresh(&mut self) {
        self.chunk.clear();
        self.used = 0;
    }

    /// The next frame. After a bad one the scan stays where it is.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        if !self.fill(PREFIX)? {
            let rest = self.chunk.len() - self.used;
            return Ok(if rest == 0 { Step::End } else { Step::Bad(format!("{rest} bytes of a frame")) });
        }
        let length = u32_at(&self.chunk, self.used);
        let crc = u32_at(&self.chunk, self.used + 4);
        let body_len = length as usize;
        if !(HEADER..=MAX_BODY).contains(&body_len) {
            return Ok(Step::Bad(format!("a frame of {length} bytes")));
        }
        if !self.fill(PREFIX + body_len)? {
            let rest = self.chunk.len() - self.used - PREFIX;
            return Ok(Step::Bad(format!("{rest} bytes of a frame of {length}")));
        }
        let body = &self.chunk[self.used + PREFIX..self.used + PREFIX + body_len];
        if checksum(length, body) != crc {
            return Ok(Step::Bad("the checksum does not fit".to_owned()));
        }
        match parse_body(body, self.expected, &mut self.source) {
            Ok((record, goes_on)) => {
                self.goes_on = goes_on;
                self.used += PREFIX + body_len;
                self.offset += (PREFIX + body_len) as u64;
                self.expected = self.expected.next();
                Ok(Step::Frame(record))
            }
            Err(reason) => Ok(Step::Bad(reason)),
        }
    }

    /// Have `wanted` bytes in the chunk from `used` on; false at the end of the file.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        let have = self.chunk.len() - self.used;
        if have >= wanted {
            return Ok(true);
        }
        self.chunk.drain(..self.used);
        self.used = 0;
        self.chunk.resize(wanted.max(CHUNK), 0);
        let count = self.file.read_at(&mut self.chunk[have..], self.offset + have as u64)?;
        self.chunk.truncate(have + count);
        Ok(self.chunk.len() >= wanted)
    }
}

/// The record of a body, and whether its append goes on.
fn parse_body(body: &[u8], expected: Position, last_source: &mut Arc<str>) -> Result<(Record, bool), String> {
    let position = Position(u64_at(body, 0));
    if position != expected {
        return Err(format!("a frame of position {position} where {expected} belongs"));
    }
    let (code, goes_on) = (body[24] & !GOES_ON, body[24] & GOES_ON != 0);
    let stream = Stream::from_code(code).ok_or_else(|| format!("stream code {code}"))?;
    let (mut texts, mut rest) = ([""; 3], &body[HEADER..]);
    for (i, text) in texts.iter_mut().enumerate() {
        let length = u32_at(body, 25 + 4 * i) as usize;
        let (bytes, tail) = rest.split_at_checked(length).ok_or("lengths beyond the frame")?;
        *text = std::str::from_utf8(bytes).map_err(|_| "a name that is not UTF-8")?;
        rest = tail;
    }
    // Neighbours mostly have one source: they share its text.
    if **last_source != *texts[0] {
        *last_source = texts[0].into();
    }
    let entry = Entry {
        stream,
        source: Arc::clone(last_source),
        key: texts[1].into(),
        event_time: Timestamp::from_micros(u64_at(body, 8) as i64),
        available_at: Timestamp::from_micros(u64_at(body, 16) as i64),
        id: texts[2].into(),
        payload: rest.to_vec(),
    };
    Ok((Record { position, entry }, goes_on))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(array)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}
