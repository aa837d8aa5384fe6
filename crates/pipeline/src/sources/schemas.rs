//! Schemas that messages name by an id, fetched once each.

use perennial_log::formats::MessageDecoder;
use perennial_remote::{Registry, RemoteError};
use perennial_types::{KafkaStream, Kind};

/// The registry of a source, if it has one.
#[derive(Debug)]
pub(crate) struct Schemas(Option<Registry>);

impl Schemas {
    /// # Errors
    /// When the registry's address cannot be used.
    pub(crate) fn of(stream: &KafkaStream) -> Result<Self, RemoteError> {
        Ok(Self(stream.registry.as_deref().map(Registry::new).transpose()?))
    }

    /// Have the decoder know what it needs for a value.
    ///
    /// # Errors
    /// When the registry does not answer; that it has no such schema is an answer.
    pub(crate) async fn teach(&self, decoder: &mut MessageDecoder, value: &[u8]) -> Result<(), RemoteError> {
        let (Some(registry), Some(id)) = (&self.0, decoder.unknown_schema(value)) else { return Ok(()) };
        match registry.schema(id).await {
            Ok(written) => decoder.learn(id, &written),
            Err(error) if error.kind() == Kind::NotFound => decoder.learn_missing(id),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
