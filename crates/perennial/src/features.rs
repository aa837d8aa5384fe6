//! Features of a file of entities and times, from the log's files alone.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use perennial_log::LogReader;
use perennial_log::files::whole;
use perennial_log::table::{write_csv, write_table};
use perennial_pipeline::{
    Declared, Filled, Mode, PipelineOptions, ReplayOptions, Spine, SpineReplay, Wanted,
};
use perennial_project::{Compiled, Project};
use perennial_types::{Column, DataType, SourceSpec, did_you_mean};

use crate::cli::{AsOf, FeaturesOptions, SpineOptions, TrainingSetOptions};
use crate::declarations;
use crate::output::say;

/// What is declared, and the log that it is declared over.
struct History {
    reader: LogReader,
    compiled: Compiled,
    sources: Vec<Arc<SourceSpec>>,
}

pub(crate) fn run(options: &FeaturesOptions) -> anyhow::Result<ExitCode> {
    let history = History::open(&options.spine)?;
    let wanted = match &options.model {
        Some(model) => history.model(model)?,
        None => history.views(&options.views)?,
    };
    let filled = history.fill(&options.as_of, &wanted, None, &options.spine)?;
    tell(&filled, &options.spine)?;
    Ok(ExitCode::SUCCESS)
}

/// Make a training set of a file of requests with labels, and let lineage know.
pub(crate) async fn training_set(options: &TrainingSetOptions) -> anyhow::Result<ExitCode> {
    let history = History::open(&options.options)?;
    let wanted = history.model(&options.model)?;
    let Wanted::Model(model) = &wanted else { bail!("{:?} is no model", options.model) };
    let label = options.label.as_deref().unwrap_or(&model.label);
    let filled = history.fill(&options.spine, &wanted, Some(label), &options.options)?;
    tell(&filled, &options.options)?;
    if !options.unrecorded {
        let mut summary = serde_json::to_value(&filled.summary)?;
        let name = options.spine.file_name().unwrap_or_default().to_string_lossy();
        if let Some(streams) = summary["streams"].as_array_mut() {
            streams.push(format!("file.{name}").into());
        }
        let recorded = options.server.client()?.record_dataset(&options.model, &summary).await;
        recorded.context(
            "the file is written, but lineage does not know of it: is the service running? --unrecorded leaves it out",
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

impl History {
    fn open(options: &SpineOptions) -> anyhow::Result<Self> {
        let reader = LogReader::open(PipelineOptions::new(&options.data).log_dir())?;
        let project = match &options.project {
            Some(project) => match Project::parse(&declarations::read(project)?) {
                Ok(project) => project,
                Err(faults) => bail!(declarations::listed(&faults)),
            },
            None => {
                let declared = Declared::of_log(&reader, reader.head())?;
                let goal = declared.goal().context(
                    "nothing is declared in this log yet: apply a project, or name one with --project",
                )?;
                goal.project.clone()
            }
        };
        let compiled = project.compile().map_err(|faults| anyhow::anyhow!(declarations::listed(&faults)))?;
        Ok(Self { reader, compiled, sources: project.sources.into_iter().map(Arc::new).collect() })
    }

    fn views(&self, names: &[String]) -> anyhow::Result<Wanted> {
        let known = &self.compiled.views;
        let find = |name: &String| {
            let help = did_you_mean(name, known.iter().map(|view| &*view.spec().name));
            self.compiled.view(name).cloned().with_context(|| format!("no feature view {name:?}{help}"))
        };
        Ok(Wanted::Views(names.iter().map(find).collect::<anyhow::Result<_>>()?))
    }

    fn model(&self, name: &str) -> anyhow::Result<Wanted> {
        let help = did_you_mean(name, self.compiled.models.iter().map(|model| &*model.spec.name));
        let model = self.compiled.model(name).cloned();
        Ok(Wanted::Model(model.with_context(|| format!("no model {name:?}{help}"))?))
    }

    /// Answer a file and write the answer; every row has a label where there are labels.
    fn fill(
        &self,
        file: &Path,
        wanted: &Wanted,
        label: Option<&str>,
        options: &SpineOptions,
    ) -> anyhow::Result<Filled> {
        let write = ending(&options.out)?;
        let mut columns = wanted.columns();
        let further = [(&*options.time, DataType::Timestamp), (Spine::POSITION, DataType::Int64)];
        for (name, data_type) in further {
            if columns.iter().all(|column| *column.name != *name) {
                columns.push(Column { name: name.into(), data_type, nullable: true });
            }
        }
        let spine = Spine::new(whole(file, &columns)?, &options.time)?;
        if let Some(label) = label {
            spine.require_number(label)?;
        }
        let mode = match options.mode {
            AsOf::Known => Mode::AsKnown,
            AsOf::Occurred => Mode::AsOccurred,
            AsOf::Served => Mode::AsServed,
        };
        let replay = SpineReplay {
            reader: &self.reader,
            sources: &self.sources,
            mode,
            options: ReplayOptions { threads: options.threads, events_at_once: options.events_at_once },
        };
        let style = ProgressStyle::with_template("{bar:40} position {pos} of {len}, {eta} to go")?;
        let bar = ProgressBar::new(0).with_style(style);
        let filled = replay.fill(&spine, wanted, &mut |position, end| {
            bar.set_length(end.0);
            bar.set_position(position.0);
        })?;
        bar.finish_and_clear();
        match write {
            Ending::Csv => write_csv(&options.out, &filled.schema, &filled.rows)?,
            Ending::Parquet => {
                let summary = serde_json::to_string(&filled.summary)?;
                let metadata = [("perennial".to_owned(), summary)];
                write_table(&options.out, &filled.schema, &filled.rows, &metadata)?;
            }
        }
        Ok(filled)
    }
}

enum Ending {
    Csv,
    Parquet,
}

fn ending(out: &Path) -> anyhow::Result<Ending> {
    match out.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Ok(Ending::Csv),
        Some("parquet") => Ok(Ending::Parquet),
        Some(_) | None => bail!("{}: expected a file that ends in .parquet or .csv", out.display()),
    }
}

fn tell(filled: &Filled, options: &SpineOptions) -> anyhow::Result<()> {
    let summary = &filled.summary;
    if options.json {
        say(serde_json::to_string_pretty(summary)?);
        return Ok(());
    }
    say(format!(
        "{} rows with {} features {} in {}, from {} events of positions {} to {}",
        summary.rows,
        summary.features.len(),
        summary.mode.replace('_', " "),
        options.out.display(),
        summary.events,
        summary.from_position,
        summary.to_position,
    ));
    for view in &summary.views {
        say(format!("  view {:?} {}", view.name, view.version.short()));
    }
    say(format!("  content hash {}", summary.content_hash));
    Ok(())
}
