//! Declarations from files: validate, plan, apply.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use perennial_log::formats;
use perennial_project::Project;
use perennial_remote::{ProjectFile, Registry, RemoteError};
use perennial_types::{Kind, StreamSpec, Timestamp};

use crate::cli::Server;
use crate::output::say;

/// The declarations' files, by name; of a directory all `.yaml` and `.yml` files.
pub(crate) fn read(project: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut paths = Vec::new();
    if project.is_dir() {
        let entries = fs::read_dir(project).with_context(|| format!("cannot read {}", project.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", project.display()))?.path();
            if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.is_empty() {
            bail!("{} holds no .yaml or .yml file", project.display());
        }
    } else {
        paths.push(project.to_owned());
    }
    let read = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((path.display().to_string(), text))
    };
    paths.iter().map(read).collect()
}

pub(crate) async fn validate(project: &Path) -> anyhow::Result<ExitCode> {
    let files = read(project)?;
    match Project::parse(&files) {
        Ok(parsed) => {
            let plan = parsed.diff(None).map_err(|faults| anyhow::anyhow!(listed(&faults)))?;
            say(format!("project {:?} is valid ({})", parsed.name, parsed.hash().short()));
            for view in plan.views {
                say(format!("  view {:?} takes about {} bytes for each key", view.name, view.bytes_per_key));
            }
            compare_with_registries(&parsed).await
        }
        Err(faults) => {
            eprintln!("{}", listed(&faults));
            eprintln!("{} fault{}", faults.len(), if faults.len() == 1 { "" } else { "s" });
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Compare the columns of every source with what its topic is written by, as far as its registry can be asked.
async fn compare_with_registries(project: &Project) -> anyhow::Result<ExitCode> {
    let mut differences = Vec::new();
    for source in &project.sources {
        let StreamSpec::Kafka(stream) = &source.stream else { continue };
        let Some(address) = &stream.registry else { continue };
        let subject = format!("{}-value", stream.topic);
        match Registry::new(address)?.latest(&subject).await {
            Ok(written) => {
                let found = formats::differences(source, stream, &written);
                if found.is_empty() {
                    say(format!("  source {:?} fits subject {subject:?} of {address}", source.name));
                }
                differences.extend(found.into_iter().map(|one| (&source.name, one)));
            }
            Err(error) if error.kind() == Kind::NotFound => {
                say(format!("  source {:?}: {address} has no subject {subject:?} yet", source.name));
            }
            Err(error) => say(format!("  source {:?} was not compared with its topic: {error}", source.name)),
        }
    }
    for (source, difference) in &differences {
        eprintln!("Source {source:?}: stream.kafka.registry: {difference}");
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) async fn plan(project: &Path, server: &Server) -> anyhow::Result<ExitCode> {
    let files = files(project)?;
    report(server.client()?.plan(&files).await)
}

pub(crate) async fn apply(
    project: &Path,
    at: Option<Timestamp>,
    server: &Server,
) -> anyhow::Result<ExitCode> {
    let files = files(project)?;
    report(server.client()?.apply(&files, at).await)
}

fn files(project: &Path) -> anyhow::Result<Vec<ProjectFile>> {
    Ok(read(project)?.into_iter().map(|(name, text)| ProjectFile { name, text }).collect())
}

fn report(answer: Result<perennial_remote::ProjectChange, RemoteError>) -> anyhow::Result<ExitCode> {
    match answer {
        Ok(change) => {
            say(change.text.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("error: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}

pub(crate) fn listed(faults: &[perennial_project::Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
