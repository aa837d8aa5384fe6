//! What is known is a function of the log: a fold over its records.

use perennial_types::Record;

use crate::{Declared, PipelineError};

/// State that is derived from the log, record by record, and can be saved and restored at a position.
///
/// Folds are applied on one thread in the order of positions, live and in recovery by the same code.
pub trait Fold: Send {
    /// The name of its section in a snapshot.
    fn name(&self) -> &'static str;

    /// Take one record into account. `declared` already reflects it.
    ///
    /// # Errors
    /// When the record cannot be understood; the log then stops, since later states would be wrong.
    fn apply(&mut self, record: &Record, declared: &Declared) -> Result<(), PipelineError>;

    /// The state as bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    fn save(&self) -> Result<Vec<u8>, PipelineError>;

    /// Take the state from bytes that `save` wrote.
    ///
    /// # Errors
    /// When the bytes are not from `save` of this version; every fold is then reset.
    fn load(&mut self, bytes: &[u8], declared: &Declared) -> Result<(), PipelineError>;

    /// Go back to before the first record.
    fn reset(&mut self);
}
