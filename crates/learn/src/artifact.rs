//! A state as bytes, and its content hash.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `PERLEARN` |
//! | 2 | format version |
//! | 4 + n | the spec as JSON, kept as it is when loaded and saved again |
//! | 8 + 4 + 8 n | parameters: bias; how many weights; the weights |
//! | 1 | optimiser: 0 SGD, 1 L-BFGS; neither keeps a state |
//! | 4 + 24 n | how many number columns; count, mean and sum of squared deviations of each |
//! | 4 + … | how many categoricals; of each its type (0 none seen, 1 boolean, 2 int64, 3 string), how many values, the values |
//! | 1 (+ 24) | 0, or 1 and count, mean and sum of squared deviations of the labels |
//! | 8 | rows trained on |
//! | 32 | SHA-256 of everything before |
//!
//! Integers are little-endian; a double is its 64 bits; a string is its length in 4 bytes and UTF-8. Which
//! columns there are follows from the spec.

mod bytes;
mod state;

use perennial_types::ContentHash;

use self::bytes::{Reader, Writer};
use crate::error::LearnError;
use crate::fitted::Fitted;
use crate::pinned::Pinned;

const MAGIC: &[u8; 8] = b"PERLEARN";
const DIGEST: usize = 32;

/// The format that is written, and the newest that is read.
pub const FORMAT_VERSION: u16 = 1;

impl Fitted {
    /// The state as bytes; [`Fitted::load`] gives an equal state, which saves to equal bytes.
    pub fn save(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.raw(MAGIC);
        writer.u16(FORMAT_VERSION);
        writer.text(self.pinned.json());
        state::write_parameters(self, &mut writer);
        state::write_optimiser(self, &mut writer);
        state::write_transforms(self, &mut writer);
        writer.u64(self.rows_seen);
        let digest = ContentHash::of(writer.written());
        writer.raw(digest.as_bytes());
        writer.into_bytes()
    }

    /// Read a saved state.
    ///
    /// # Errors
    /// [`LearnError::Foreign`], [`LearnError::Newer`] or [`LearnError::Corrupt`]. No input panics or makes it
    /// reserve more memory than a small multiple of its length.
    pub fn load(bytes: &[u8]) -> Result<Self, LearnError> {
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len()).ok() != Some(MAGIC) {
            return Err(LearnError::Foreign);
        }
        let version = reader.u16()?;
        if version > FORMAT_VERSION {
            return Err(LearnError::Newer { found: version, known: FORMAT_VERSION });
        }
        if version == 0 {
            return Err(LearnError::Corrupt("there is no format version 0".to_owned()));
        }
        let mut reader = reader.before_digest(bytes)?;
        let pinned = Pinned::read(reader.text()?)?;
        let parameters = state::read_parameters(&mut reader)?;
        state::read_optimiser(&pinned, &mut reader)?;
        let (transforms, target) = state::read_transforms(&pinned, &mut reader)?;
        let rows_seen = reader.tally()?;
        reader.end()?;
        if parameters.weights.len() != transforms.width() {
            let (weights, columns) = (parameters.weights.len(), transforms.width());
            return Err(LearnError::Corrupt(format!("{weights} weights for {columns} columns")));
        }
        Ok(Self { pinned, parameters, transforms, target, rows_seen })
    }

    /// The identity of a model version: the hash of its parameters, optimiser state, fitted transformations (as
    /// declared and as fitted, that of the target included), input list and its parent's content hash. Times,
    /// ids, row counts, learner settings and output bounds are not in it.
    pub fn content_hash(&self, parent: Option<ContentHash>) -> ContentHash {
        let section = |write: fn(&Self, &mut Writer)| {
            let mut writer = Writer::default();
            write(self, &mut writer);
            writer.into_bytes()
        };
        ContentHash::of_parts([
            b"perennial model version 1".as_slice(),
            &section(state::write_parameters),
            &section(state::write_optimiser),
            &section(state::write_transforms),
            self.pinned.identity(),
            parent.as_ref().map_or(&[], |parent| parent.as_bytes().as_slice()),
        ])
    }
}
