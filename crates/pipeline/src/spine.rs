//! Features of a spine: a table of entities and times, answered by a replay of the log. It is how a file is scored
//! in batch, and how a training set is made whose rows come from elsewhere.

mod history;
mod wanted;

use std::sync::Arc;

use perennial_features::point_in_time::Mode;
use perennial_log::LogReader;
use perennial_log::files::WholeFile;
use perennial_types::{
    ContentHash, DataType, Position, Row, Schema, SourceSpec, Timestamp, Value, did_you_mean,
};
use serde::Serialize;

use crate::PipelineError;
use crate::content::hash_of_table;
use history::History;

pub use wanted::Wanted;

/// How many bad rows a message names.
const SHOWN: usize = 20;

/// Entities and times that features are asked of, one row each; further columns are kept as they are.
#[derive(Clone, Debug)]
pub struct Spine {
    file: WholeFile,
    /// Where the time of a row stands.
    time: usize,
}

impl Spine {
    /// The column of the position that a read had seen, which [`Mode::AsServed`] goes by.
    pub const POSITION: &'static str = "position";

    /// Of a file whose column `time` says as of when each row is asked.
    ///
    /// # Errors
    /// When a row could not be read or has no time: up to twenty of them are named by line and column; when there
    /// is no such column.
    pub fn new(file: WholeFile, time: &str) -> Result<Self, PipelineError> {
        let found = file.schema.index_of(time).ok_or_else(|| {
            let help = did_you_mean(time, file.schema.names());
            PipelineError::Invalid(format!("{} has no column {time:?}{help}", file.path.display()))
        })?;
        let column = &file.schema.columns()[found];
        if column.data_type != DataType::Timestamp {
            let (path, data_type) = (file.path.display(), column.data_type);
            return Err(PipelineError::Invalid(format!(
                "{path}: column {time:?} is {data_type}, not a timestamp"
            )));
        }
        let spine = Self { file, time: found };
        let unread = spine.file.problems.iter().map(ToString::to_string);
        let timeless = spine.without(found, "a time as of which to ask");
        refuse(unread.chain(timeless).collect())?;
        Ok(spine)
    }

    /// The columns, in the order of the file.
    pub fn schema(&self) -> &Schema {
        &self.file.schema
    }

    /// The rows, in the order of the file.
    pub fn rows(&self) -> &[Row] {
        &self.file.rows
    }

    /// Refuse rows that lack a number in a column, as labels must not.
    ///
    /// # Errors
    /// When there is no such column or it holds no numbers; up to twenty rows without one are named.
    pub fn require_number(&self, name: &str) -> Result<(), PipelineError> {
        let (at, data_type) = self.column(name)?;
        if !(data_type.numeric() || data_type == DataType::Boolean) {
            let path = self.file.path.display();
            return Err(PipelineError::Invalid(format!(
                "{path}: column {name:?} is {data_type}, not a number"
            )));
        }
        refuse(self.without(at, "a number").collect())
    }

    fn column(&self, name: &str) -> Result<(usize, DataType), PipelineError> {
        let at = self.schema().index_of(name).ok_or_else(|| {
            let help = did_you_mean(name, self.schema().names());
            PipelineError::Invalid(format!("{} has no column {name:?}{help}", self.file.path.display()))
        })?;
        Ok((at, self.schema().columns()[at].data_type))
    }

    /// What is wrong with the rows whose value in a column is NULL.
    fn without(&self, column: usize, wanted: &'static str) -> impl Iterator<Item = String> {
        let name = &self.schema().columns()[column].name;
        let rows = self.rows().iter().enumerate().filter(move |(_, row)| row[column].null());
        rows.map(move |(row, _)| {
            self.file.problem(row, format!("column {name:?} is empty; expected {wanted}")).to_string()
        })
    }

    fn at(&self, row: usize) -> Timestamp {
        match self.rows()[row][self.time] {
            Value::Timestamp(at) => at,
            // The column is one of timestamps, and no row lacks one.
            _ => Timestamp::MIN,
        }
    }

    /// The position that each row had seen.
    fn positions(&self) -> Result<Vec<Position>, PipelineError> {
        let (at, data_type) = self.column(Self::POSITION).map_err(|error| {
            PipelineError::Invalid(format!(
                "{error}: a row is replayed as served at the position that its read had seen"
            ))
        })?;
        if data_type != DataType::Int64 {
            let (path, name) = (self.file.path.display(), Self::POSITION);
            return Err(PipelineError::Invalid(format!(
                "{path}: column {name:?} is {data_type}, not an int64"
            )));
        }
        refuse(self.without(at, "the position that was seen").collect())?;
        let position = |row: &Row| match row[at] {
            Value::Int64(position) => Position(u64::try_from(position).unwrap_or_default()),
            _ => Position::START,
        };
        Ok(self.rows().iter().map(position).collect())
    }
}

/// Refuse rows, the first of which are named.
fn refuse(problems: Vec<String>) -> Result<(), PipelineError> {
    if problems.is_empty() {
        return Ok(());
    }
    let mut text = problems.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
    if problems.len() > SHOWN {
        text.push_str(&format!("\n… and {} more", problems.len() - SHOWN));
    }
    Err(PipelineError::Invalid(text))
}

/// How a log is replayed for a spine: no value depends on it.
#[derive(Clone, Copy, Debug)]
pub struct ReplayOptions {
    /// Threads that decode and replay.
    pub threads: usize,
    /// Events that are held at once. The keys of a spine that have more are answered in several passes over the
    /// log, some of them in each.
    pub events_at_once: usize,
}

impl Default for ReplayOptions {
    /// Two threads and two million events: about half a gigabyte.
    fn default() -> Self {
        Self { threads: 2, events_at_once: 2_000_000 }
    }
}

/// Answers spines from a log, which another process may be writing.
#[derive(Clone, Copy)]
pub struct SpineReplay<'a> {
    /// The log.
    pub reader: &'a LogReader,
    /// The sources of the views.
    pub sources: &'a [Arc<SourceSpec>],
    /// Which events a row sees.
    pub mode: Mode,
    /// How.
    pub options: ReplayOptions,
}

/// A spine with its features.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    /// The spine's columns in their order, then the features.
    pub schema: Schema,
    /// One for each row of the spine, in its order.
    pub rows: Vec<Row>,
    /// What it was made of.
    pub summary: SpineSummary,
}

/// What the features of a spine were made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpineSummary {
    /// Hash of columns, values and order.
    pub content_hash: ContentHash,
    /// Rows.
    pub rows: u64,
    /// Which events a row sees: `as_known`, `as_occurred`, `as_served`.
    pub mode: &'static str,
    /// The features, in the order of their columns.
    pub features: Vec<Arc<str>>,
    /// The views that were read.
    pub views: Vec<ViewVersion>,
    /// The streams that were read, as lineage names them.
    pub streams: Vec<Arc<str>>,
    /// Events of the spine's entities.
    pub events: u64,
    /// The log was read from here, where any event may still count.
    pub from_position: Position,
    /// And up to here.
    pub to_position: Position,
    /// The earliest time asked for.
    pub from_time: Timestamp,
    /// The latest one.
    pub to_time: Timestamp,
}

/// A view and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewVersion {
    /// Its name.
    pub name: Arc<str>,
    /// The hash of its definition.
    pub version: ContentHash,
}

impl SpineReplay<'_> {
    /// The features of every row. `progress` is told the position read and that of the end, over again for each
    /// pass.
    ///
    /// The result is a function of the log up to `to_position`, the spine and what is wanted.
    ///
    /// # Errors
    /// When the spine lacks a column or has one of a feature's name, or when the log cannot be read.
    pub fn fill(
        &self,
        spine: &Spine,
        wanted: &Wanted,
        progress: &mut dyn FnMut(Position, Position),
    ) -> Result<Filled, PipelineError> {
        let asked = wanted.ask(spine)?;
        let seen = match self.mode {
            Mode::AsServed => spine.positions()?,
            Mode::AsKnown | Mode::AsOccurred => vec![Position::START; spine.rows().len()],
        };
        let times: Vec<Timestamp> = (0..spine.rows().len()).map(|row| spine.at(row)).collect();
        let (from_time, to_time) = (times.iter().min().copied(), times.iter().max().copied());
        let up_to = self.up_to(&seen, to_time)?;
        let history = History { replay: self, up_to, times: &times, seen: &seen };
        let (columns, events) = history.answer(&asked.lookups(), progress)?;
        let schema = asked.schema()?;
        let rows = asked.rows(columns);
        let content_hash = hash_of_table(&schema, &rows);
        let views = wanted.views();
        let version = |view: &&Arc<perennial_features::View>| ViewVersion {
            name: Arc::clone(&view.spec().name),
            version: view.version(),
        };
        let mut streams: Vec<Arc<str>> =
            views.iter().map(|view| format!("event.{}", view.spec().from).into()).collect();
        streams.sort();
        streams.dedup();
        let summary = SpineSummary {
            content_hash,
            rows: rows.len() as u64,
            mode: mode_name(self.mode),
            features: schema.columns()[spine.schema().columns().len()..]
                .iter()
                .map(|column| Arc::clone(&column.name))
                .collect(),
            views: views.iter().map(version).collect(),
            streams,
            events,
            from_position: Position(1).min(up_to),
            to_position: up_to,
            from_time: from_time.unwrap_or_default(),
            to_time: to_time.unwrap_or_default(),
        };
        Ok(Filled { schema, rows, summary })
    }

    /// The last position that an answer may depend on.
    fn up_to(&self, seen: &[Position], latest: Option<Timestamp>) -> Result<Position, PipelineError> {
        let head = self.reader.refresh()?;
        let last = match (self.mode, latest) {
            (Mode::AsServed, _) => seen.iter().max().copied().unwrap_or(Position::START),
            (Mode::AsKnown, Some(latest)) => {
                Position(self.reader.first_at_or_after(latest)?.0.saturating_sub(1))
            }
            (Mode::AsKnown, None) => Position::START,
            (Mode::AsOccurred, _) => head,
        };
        Ok(last.min(head))
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::AsServed => "as_served",
        Mode::AsKnown => "as_known",
        Mode::AsOccurred => "as_occurred",
    }
}
