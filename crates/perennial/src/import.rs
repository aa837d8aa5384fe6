//! Files of rows, sent to a source of a running service.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use perennial_log::files::rows;
use perennial_project::Project;
use perennial_remote::Client;
use perennial_types::{SourceSpec, Timestamp};
use serde_json::Value as Json;

use crate::cli::Server;
use crate::output::say;

/// Rows of one request.
const ROWS: usize = 5_000;
/// How many refused rows are printed one by one.
const SHOWN: usize = 20;

#[derive(Default)]
struct Sent {
    accepted: u64,
    duplicates: u64,
    refused: Vec<String>,
}

pub(crate) async fn run(
    source: &str,
    file: &Path,
    at: Option<Timestamp>,
    server: &Server,
) -> anyhow::Result<ExitCode> {
    let client = server.client()?;
    let spec = declared(&client, source).await?;
    let style = ProgressStyle::with_template("{spinner} {pos} rows, {per_sec}")?;
    let bar = ProgressBar::new_spinner().with_style(style);
    let (mut sent, mut batch) = (Sent::default(), Vec::new());
    for (number, row) in (1_usize..).zip(rows(file, &spec)?) {
        match row {
            Ok(row) => batch.push(row),
            Err(problem) => sent.refused.push(problem.to_string()),
        }
        if batch.len() == ROWS {
            send(&client, source, &batch, at, &mut sent).await?;
            batch.clear();
        }
        bar.set_position(number as u64);
    }
    send(&client, source, &batch, at, &mut sent).await?;
    bar.finish_and_clear();
    say(format!(
        "{} rows accepted, {} were there already, {} refused",
        sent.accepted,
        sent.duplicates,
        sent.refused.len()
    ));
    sent.refused.iter().take(SHOWN).for_each(|reason| say(format!("  {reason}")));
    Ok(if sent.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn send(
    client: &Client,
    source: &str,
    batch: &[Json],
    at: Option<Timestamp>,
    sent: &mut Sent,
) -> anyhow::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let refused = |row: &perennial_remote::RefusedRow| format!("row {} of a batch: {}", row.line, row.reason);
    match client.events(source, batch, at).await {
        Ok(receipt) => {
            sent.accepted += receipt.accepted;
            sent.duplicates += receipt.duplicates;
            sent.refused.extend(receipt.refused.iter().map(refused));
            Ok(())
        }
        Err(error) => match error.problem() {
            Some(problem) if !problem.refused.is_empty() => {
                sent.refused.extend(problem.refused.iter().map(refused));
                Ok(())
            }
            Some(_) | None => Err(error).context("sending rows"),
        },
    }
}

async fn declared(client: &Client, source: &str) -> anyhow::Result<SourceSpec> {
    let running = client.project().await?;
    let project: Project = serde_json::from_value(running["declarations"].clone())
        .context("the service's declarations cannot be read by this program")?;
    let names: Vec<&str> = project.sources.iter().map(|spec| &*spec.name).collect();
    let help = perennial_types::did_you_mean(source, names);
    let found = project.sources.iter().find(|spec| &*spec.name == source);
    found.cloned().with_context(|| format!("no source {source:?}{help}"))
}
