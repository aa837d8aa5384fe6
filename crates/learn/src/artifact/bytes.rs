//! Little-endian numbers and counted texts.

use perennial_types::ContentHash;

use super::DIGEST;
use crate::error::LearnError;

/// Bytes in the making.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    /// How many things follow.
    pub(super) fn count(&mut self, count: usize) {
        assert!(count <= u32::MAX as usize, "columns and texts of a model are far below 2^32");
        self.raw(&(count as u32).to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.count(text.len());
        self.raw(text);
    }

    pub(super) fn written(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Bytes that are read from the front; whatever they claim is checked against what is there.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len() }
    }

    /// Check the digest at the end, and read on without it.
    pub(super) fn before_digest(self, all: &'a [u8]) -> Result<Self, LearnError> {
        let Some(body) = self.rest.len().checked_sub(DIGEST) else {
            return Err(corrupt(format!("it ends after {} bytes", all.len())));
        };
        let (content, digest) = all.split_at(all.len() - DIGEST);
        if ContentHash::of(content).as_bytes().as_slice() != digest {
            return Err(corrupt(format!("the SHA-256 of its {} bytes is another", all.len())));
        }
        Ok(Self { rest: &self.rest[..body], length: content.len() })
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], LearnError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            let (at, left) = (self.length - self.rest.len(), self.rest.len());
            return Err(corrupt(format!("byte {at} announces {length} bytes, but {left} are left")));
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, LearnError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, LearnError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, LearnError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, LearnError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A number of rows: nobody has counted beyond 2^53, and adding to it must not overflow.
    pub(super) fn tally(&mut self) -> Result<u64, LearnError> {
        let at = self.length - self.rest.len();
        let tally = self.u64()?;
        if tally <= 1 << 53 { Ok(tally) } else { Err(corrupt(format!("byte {at} announces {tally} rows"))) }
    }

    /// A finite double: nothing else is ever saved.
    pub(super) fn f64(&mut self) -> Result<f64, LearnError> {
        let at = self.length - self.rest.len();
        let value = f64::from_bits(self.u64()?);
        if value.is_finite() {
            Ok(value)
        } else {
            Err(corrupt(format!("the number at byte {at} is {value}")))
        }
    }

    /// How many things of at least `size` bytes follow.
    pub(super) fn count(&mut self, size: usize) -> Result<usize, LearnError> {
        let at = self.length - self.rest.len();
        let count = u32::from_le_bytes(self.array()?) as usize;
        match count.checked_mul(size) {
            Some(bytes) if bytes <= self.rest.len() => Ok(count),
            Some(_) | None => {
                Err(corrupt(format!("byte {at} announces {count} items, more than there is room for")))
            }
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a [u8], LearnError> {
        let length = self.count(1)?;
        self.take(length)
    }

    /// Check that everything was read.
    pub(super) fn end(&self) -> Result<(), LearnError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(corrupt(format!("{left} bytes are left over"))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LearnError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

pub(super) fn corrupt(fault: impl Into<String>) -> LearnError {
    LearnError::Corrupt(fault.into())
}
