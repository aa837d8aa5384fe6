//! A schema registry as Confluent documents its replies: there is none that the package registries offer to run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A registry on a free port, with the schemas that it was given.
pub(crate) struct FakeRegistry {
    pub(crate) address: String,
    schemas: Arc<Mutex<BTreeMap<u32, String>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl FakeRegistry {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let schemas: Arc<Mutex<BTreeMap<u32, String>>> = Arc::default();
        let known = Arc::clone(&schemas);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let known = Arc::clone(&known);
                tokio::spawn(async move { drop(answer(stream, &known).await) });
            }
        });
        Ok(Self { address, schemas, serving })
    }

    /// Register an Avro schema under an id; the highest id is the newest of every subject.
    pub(crate) fn register(&self, id: u32, schema: &str) {
        if let Ok(mut schemas) = self.schemas.lock() {
            schemas.insert(id, schema.to_owned());
        }
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answer one request of a connection, and close it.
async fn answer(stream: TcpStream, known: &Mutex<BTreeMap<u32, String>>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut header = String::new();
    while stream.read_line(&mut header).await? > 2 {
        header.clear();
    }
    let path = line.split(' ').nth(1).unwrap_or_default();
    let (status, body) = reply(path, &known.lock().map(|known| known.clone()).unwrap_or_default());
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(format!("{head}{body}").as_bytes()).await?;
    Ok(())
}

fn reply(path: &str, known: &BTreeMap<u32, String>) -> (&'static str, Json) {
    let found = |schema: &String| ("200 OK", json!({"schema": schema}));
    let missing = |code, message| ("404 Not Found", json!({"error_code": code, "message": message}));
    if let Some(id) = path.strip_prefix("/schemas/ids/") {
        let schema = id.parse().ok().and_then(|id: u32| known.get(&id));
        return schema.map_or_else(|| missing(40403, "Schema not found"), found);
    }
    match path.strip_prefix("/subjects/").and_then(|rest| rest.strip_suffix("/versions/latest")) {
        Some(subject) => match known.last_key_value() {
            Some((id, schema)) => {
                ("200 OK", json!({"subject": subject, "version": id, "id": id, "schema": schema}))
            }
            None => missing(40401, "Subject not found"),
        },
        None => missing(404, "HTTP 404 Not Found"),
    }
}
