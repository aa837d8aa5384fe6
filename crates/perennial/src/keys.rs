//! Keys: made, listed and revoked, at a running service or in the data directory of a stopped one.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use perennial_control::{KeyAdded, NewKey, Scope};
use perennial_log::LogOptions;
use perennial_pipeline::{Pipeline, PipelineOptions};
use perennial_remote::{CreatedKey, Key};
use perennial_server::{KeyFold, KeyRing};
use perennial_store::Blobs;
use perennial_types::{Clock, Secret, TimeSpan, Timestamp};
use serde::Serialize;

use crate::cli::{Keeper, KeyCommand, ServeOptions};
use crate::clock::SystemClock;
use crate::output::say;
use crate::serve;

pub(crate) async fn run(command: KeyCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Create { name, scopes, expires_in, keeper } => {
            print(&create(&keeper, name, scopes, expires_in).await?)?;
        }
        KeyCommand::List { keeper } => print(&list(&keeper).await?)?,
        KeyCommand::Revoke { id, keeper } => print(&revoke(&keeper, &id).await?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(answer: &impl Serialize) -> anyhow::Result<()> {
    say(serde_json::to_string_pretty(answer)?);
    Ok(())
}

async fn create(
    keeper: &Keeper,
    name: String,
    scopes: Vec<Scope>,
    expires_in: Option<TimeSpan>,
) -> anyhow::Result<CreatedKey> {
    let Some(data) = &keeper.data else {
        let scopes: Vec<String> = scopes.iter().map(|scope| scope.name().to_owned()).collect();
        return Ok(keeper.server.client()?.create_key(&name, &scopes, expires_in).await?);
    };
    let stopped = Stopped::open(data).await?;
    let now = SystemClock.now();
    let wanted = NewKey { name, scopes, expires_at: expires_in.map(|span| now + span) };
    let created = stopped.ring.create(wanted, now).await;
    stopped.close().await?;
    let (added, secret) = created?;
    Ok(CreatedKey { key: shown(&added, None), secret: secret.reveal().to_owned() })
}

async fn list(keeper: &Keeper) -> anyhow::Result<Vec<Key>> {
    let Some(data) = &keeper.data else { return Ok(keeper.server.client()?.keys().await?) };
    let stopped = Stopped::open(existing(data)?).await?;
    let known = stopped.ring.known();
    stopped.close().await?;
    Ok(known.iter().map(|key| shown(&key.added, key.revoked_at)).collect())
}

async fn revoke(keeper: &Keeper, id: &str) -> anyhow::Result<Key> {
    let Some(data) = &keeper.data else { return Ok(keeper.server.client()?.revoke_key(id).await?) };
    let stopped = Stopped::open(existing(data)?).await?;
    let revoked = stopped.ring.revoke(id, SystemClock.now()).await;
    let known = stopped.ring.known();
    stopped.close().await?;
    let revoked = revoked?;
    let key = known.iter().find(|key| *key.added.id == *id).context("a revoked key is known")?;
    Ok(shown(&key.added, Some(revoked.at)))
}

fn existing(data: &Path) -> anyhow::Result<&Path> {
    ensure!(data.is_dir(), "{} is no directory: no service ever ran there", data.display());
    Ok(data)
}

/// A key as the service would tell it.
fn shown(added: &KeyAdded, revoked_at: Option<Timestamp>) -> Key {
    Key {
        id: added.id.to_string(),
        name: added.name.to_string(),
        scopes: added.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        added_at: added.at,
        expires_at: added.expires_at,
        revoked_at,
    }
}

/// The keys of a service that is stopped.
struct Stopped {
    ring: KeyRing,
    pipeline: Pipeline,
    /// Nobody starts the service meanwhile.
    _lock: File,
}

impl Stopped {
    async fn open(data: &Path) -> anyhow::Result<Self> {
        let lock = serve::lock(data).context("to ask the running service, leave out --data")?;
        let fold = KeyFold::default();
        let handle = fold.handle();
        // No snapshot is written: it would lack the state that only a running service has.
        let options = PipelineOptions { snapshot_every: u64::MAX / 2, ..PipelineOptions::new(data) };
        let log_options = LogOptions::new(options.log_dir());
        let blobs = Blobs::open(&data.join("blobs"))?;
        let open = move || Pipeline::open(options, log_options, blobs, vec![Box::new(fold)]);
        let pipeline = tokio::task::spawn_blocking(open).await??;
        Ok(Self { ring: handle.ring(pipeline.clone()), pipeline, _lock: lock })
    }

    /// The last one who holds a pipeline waits until everything is on the disk.
    async fn close(self) -> anyhow::Result<()> {
        let Self { ring, pipeline, _lock: lock } = self;
        tokio::task::spawn_blocking(move || drop((ring, pipeline, lock))).await?;
        Ok(())
    }
}

/// The admin key that was given from outside, if any.
fn given(options: &ServeOptions) -> anyhow::Result<Option<Secret>> {
    let Some(path) = &options.admin_key_file else { return Ok(options.admin_key.clone()) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the admin key in {}", path.display()))?;
    Ok(Some(Secret::new(text.trim())))
}

/// Make the admin key that was given from outside known, if it is not.
pub(crate) async fn adopt(
    options: &ServeOptions,
    ring: &KeyRing,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<()> {
    let Some(secret) = given(options)? else { return Ok(()) };
    let adopted =
        ring.adopt(&secret, clock.now()).await.context("the admin key from outside is not taken")?;
    if let Some(added) = adopted {
        tracing::info!(id = %added.id, "the admin key from outside is known from now on");
    }
    Ok(())
}
