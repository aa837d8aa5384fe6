//! A schema registry that speaks Confluent's REST API, as its clones do.

use std::collections::BTreeSet;
use std::sync::Arc;

use perennial_types::{Format, WriterSchema};
use serde::Deserialize;

use crate::client::Client;
use crate::error::RemoteError;

/// More schemas than one refers to in earnest.
const MOST_REFERENCES: usize = 200;

/// A client of one registry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    client: Client,
}

/// A schema as the registry answers.
#[derive(Deserialize)]
struct Registered {
    schema: String,
    #[serde(default, rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
}

#[derive(Clone, Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

impl Registry {
    /// A client of the registry at `address`, such as `http://127.0.0.1:8081`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address is not one of plain HTTP.
    pub fn new(address: &str) -> Result<Self, RemoteError> {
        Ok(Self { client: Client::new(address)? })
    }

    /// The schema of an id, with those that it refers to.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Unavailable` when the registry does not answer.
    pub async fn schema(&self, id: u32) -> Result<WriterSchema, RemoteError> {
        let path = ["schemas", "ids", &id.to_string()];
        let registered = self.client.get(self.client.url(&path, &[])).await?;
        self.with_references(registered).await
    }

    /// The newest schema of a subject (`<topic>-value` unless producers were told otherwise), with those that it
    /// refers to.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Unavailable` when the registry does not answer.
    pub async fn latest(&self, subject: &str) -> Result<WriterSchema, RemoteError> {
        let registered = self.version(subject, "latest").await?;
        self.with_references(registered).await
    }

    async fn version(&self, subject: &str, version: &str) -> Result<Registered, RemoteError> {
        let path = ["subjects", subject, "versions", version];
        self.client.get(self.client.url(&path, &[])).await
    }

    async fn with_references(&self, registered: Registered) -> Result<WriterSchema, RemoteError> {
        let format = format_of(&registered)?;
        let mut pending = registered.references.unwrap_or_default();
        let (mut references, mut seen): (Vec<(Arc<str>, Arc<str>)>, _) = (Vec::new(), BTreeSet::new());
        while let Some(reference) = pending.pop() {
            if !seen.insert(reference.name.clone()) {
                continue;
            }
            if seen.len() > MOST_REFERENCES {
                return Err(malformed(format!("it refers to more than {MOST_REFERENCES} others")));
            }
            let found = self.version(&reference.subject, &reference.version.to_string()).await?;
            references.push((reference.name.into(), found.schema.into()));
            pending.extend(found.references.unwrap_or_default());
        }
        Ok(WriterSchema { format, text: registered.schema.into(), references })
    }
}

fn format_of(registered: &Registered) -> Result<Format, RemoteError> {
    match registered.schema_type.as_deref() {
        None | Some("AVRO") => Ok(Format::Avro),
        Some("PROTOBUF") => Ok(Format::Protobuf),
        Some("JSON") => Ok(Format::Json),
        Some(other) => Err(malformed(format!("schemas of type {other:?} are not known"))),
    }
}

fn malformed(reason: String) -> RemoteError {
    RemoteError::Malformed { call: "GET a schema".to_owned(), reason }
}
