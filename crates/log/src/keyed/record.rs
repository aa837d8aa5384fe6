//! How a key's bytes stand in a segment, little-endian:
//!
//! ```text
//! length u32 | crc32c u32 of length and body | body: hash u64 | expires i64 | length of key u32 | key | value
//! ```
//!
//! A commit is a record whose length of key is the largest there is; its note is the value.

use super::Keyed;

/// The bytes before the body.
pub(super) const PREFIX: usize = 8;
const HEADER: usize = 8 + 8 + 4;
const COMMIT: u32 = u32::MAX;
/// The longest body, in bytes: a length above it is a damaged one.
const MAX_BODY: usize = 1 << 30;

/// What a record says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    /// A key has these bytes.
    Key(Keyed<'a>),
    /// What stands before is durable.
    Commit(&'a [u8]),
}

/// The first bytes of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    body: usize,
    crc: u32,
}

impl Head {
    /// The head of the record with which `bytes` begins.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (Some(length), Some(crc)) = (word(bytes, 0), word(bytes, 4)) else {
            return Err(format!("{} bytes of a record", bytes.len()));
        };
        let body = length as usize;
        if !(HEADER..=MAX_BODY).contains(&body) {
            return Err(format!("a record of {length} bytes"));
        }
        Ok(Self { body, crc })
    }

    /// The length of the whole record.
    pub(super) fn len(self) -> usize {
        PREFIX + self.body
    }

    /// The body of the record with which `bytes` begins.
    pub(super) fn body(self, bytes: &[u8]) -> Result<Body<'_>, String> {
        let body = bytes
            .get(PREFIX..self.len())
            .ok_or_else(|| format!("{} bytes of a record of {}", bytes.len(), self.len()))?;
        if checksum(self.body as u32, body) != self.crc {
            return Err("the checksum does not fit".to_owned());
        }
        let (header, rest) = body.split_at(HEADER);
        let long = |at: usize| header[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        let key_len = word(header, 16).unwrap_or(COMMIT);
        if key_len == COMMIT {
            return Ok(Body::Commit(rest));
        }
        let (key, value) = rest.split_at_checked(key_len as usize).ok_or("a key beyond its record")?;
        Ok(Body::Key(Keyed { hash: long(0), expires: long(8).cast_signed(), key, value, known: false }))
    }
}

impl Body<'_> {
    /// Append the record to `buffer`.
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        let (hash, expires, key_len, key, value) = match self {
            Self::Key(Keyed { hash, key, value, expires, .. }) => {
                (*hash, *expires, key.len() as u32, *key, *value)
            }
            Self::Commit(note) => (0, i64::MAX, COMMIT, [].as_slice(), *note),
        };
        let start = buffer.len();
        let length = (HEADER + key.len() + value.len()) as u32;
        buffer.extend_from_slice(&length.to_le_bytes());
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&hash.to_le_bytes());
        buffer.extend_from_slice(&expires.to_le_bytes());
        buffer.extend_from_slice(&key_len.to_le_bytes());
        buffer.extend_from_slice(key);
        buffer.extend_from_slice(value);
        let crc = checksum(length, &buffer[start + PREFIX..]);
        buffer[start + 4..start + PREFIX].copy_from_slice(&crc.to_le_bytes());
    }
}

fn checksum(length: u32, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), body)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
