//! What is known is a function of the log: a fold over its records.

use perennial_types::Record;

use crate::{Declared, PipelineError};

/// State that is derived from the log, record by record or run by run, and can be saved and restored at a position.
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

    /// Take a run of records into account, in their order, as [`Fold::apply`] one by one would. No record but
    /// the only one of a run is a control record, so that `declared` is the same for all of them.
    ///
    /// # Errors
    /// As [`Fold::apply`]; some of the run may have been taken then.
    fn apply_run(&mut self, records: &[Record], declared: &Declared) -> Result<(), PipelineError> {
        records.iter().try_for_each(|record| self.apply(record, declared))
    }

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
