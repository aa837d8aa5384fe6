//! The history of sources, from files: the same rows, older, taken into a log before anything else, so that
//! everything follows from one log in one order.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perennial_log::decode::decode_events;
use perennial_log::files::rows;
use perennial_log::{Appended, Durability, Order};
use perennial_project::{HistorySpec, Project};
use perennial_types::{AvailableAt, Entry, Position, SourceSpec, Stream, Timestamp};

use crate::{Pipeline, PipelineError};

/// How many bad rows a message names.
const SHOWN: usize = 20;
/// Rows of one append.
const BATCH: usize = 10_000;

/// What was taken of history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryTaken {
    /// Files read.
    pub files: usize,
    /// Rows that are events now.
    pub rows: u64,
    /// Of them those that were taken before an interruption.
    pub there_already: u64,
    /// Rows of an id that an earlier row has.
    pub duplicates: u64,
    /// Rows at or after the cut-over: the live stream has them.
    pub after_cut_over: u64,
}

impl Pipeline {
    /// Take the history of a project's sources into a log that has nothing else yet, in the order in which it became
    /// known; paths are relative to `base`. A log that was interrupted in this is gone on with. Blocks.
    ///
    /// Of a source whose rows are known on arrival, history was known when it happened.
    ///
    /// # Errors
    /// When files are missing or have bad rows, up to twenty of which are named, when rows lie after `now`, or when
    /// the log has other records: nothing is taken then.
    pub fn take_history(
        &self,
        project: &Project,
        base: &Path,
        now: Timestamp,
    ) -> Result<HistoryTaken, PipelineError> {
        let mut taken = HistoryTaken::default();
        if project.histories.is_empty() || self.declared().goal().is_some() {
            return Ok(taken);
        }
        let mut history: Vec<Entry> = Vec::new();
        for source in &project.sources {
            if let Some(spec) = project.histories.get(&source.name) {
                read(source, spec, base, now, &mut taken, &mut history)?;
            }
        }
        history.sort_by_key(|entry| entry.available_at);
        taken.rows = history.len() as u64;
        taken.there_already = self.check_begun(&history)?;
        let from = usize::try_from(taken.there_already).unwrap_or(usize::MAX);
        for batch in history[from.min(history.len())..].chunks(BATCH) {
            let appended = self.append(batch.to_vec(), Durability::Synced, Order::Refuse)?.wait()?;
            if let Some(other) = appended.iter().find(|one| !matches!(one, Appended::At(_))) {
                let reason = format!("a row of history was not taken as it came: {other:?}");
                return Err(PipelineError::Stopped(reason));
            }
        }
        Ok(taken)
    }

    /// How many records of this history the log has already; it must have no others.
    fn check_begun(&self, history: &[Entry]) -> Result<u64, PipelineError> {
        let head = self.head();
        if head == Position::START {
            return Ok(0);
        }
        let mut expected = history.iter();
        for record in self.reader().read(Position(1), head)? {
            let record = record?;
            if expected.next() != Some(&record.entry) {
                return Err(PipelineError::Invalid(format!(
                    "history comes before everything else, and this log has another record at position {}: start with \
                     a data directory of its own",
                    record.position
                )));
            }
        }
        Ok(head.0)
    }
}

/// Read the files of one source.
fn read(
    source: &SourceSpec,
    spec: &HistorySpec,
    base: &Path,
    now: Timestamp,
    taken: &mut HistoryTaken,
    history: &mut Vec<Entry>,
) -> Result<(), PipelineError> {
    // Its rows became known when they happened, or when they say.
    let source = &SourceSpec { at_most_ahead: None, ..source.clone() };
    let mut ids: HashSet<Arc<str>> = HashSet::new();
    let mut problems: Vec<String> = Vec::new();
    for path in files(base, &spec.files)? {
        taken.files += 1;
        for row in rows(&path, source)? {
            let entry = match row {
                Ok(row) => decode(source, &row),
                Err(problem) => Err(problem.to_string()),
            };
            let entry = match entry {
                Ok(entry) => entry,
                Err(reason) => {
                    problems.push(reason);
                    continue;
                }
            };
            if spec.until.is_some_and(|until| entry.event_time >= until) {
                taken.after_cut_over += 1;
            } else if !entry.id.is_empty() && !ids.insert(Arc::clone(&entry.id)) {
                taken.duplicates += 1;
            } else if entry.available_at > now {
                problems.push(format!(
                    "{}: a row became known at {}, which is not yet",
                    path.display(),
                    entry.available_at
                ));
            } else {
                history.push(entry);
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = problems.iter().take(SHOWN).cloned().collect();
    let more = problems.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!("\n… and {more} more") };
    Err(PipelineError::Invalid(format!("history of source {:?}:\n{}{more}", source.name, shown.join("\n"))))
}

fn decode(source: &SourceSpec, row: &serde_json::Value) -> Result<Entry, String> {
    let decoded = decode_events(source, row.to_string().as_bytes(), Timestamp::MIN).pop();
    let entry = decoded.ok_or("an empty row")?.map_err(|letter| letter.reason)?;
    debug_assert_eq!(entry.stream, Stream::Event);
    Ok(match source.available_at {
        AvailableAt::Arrival => Entry { available_at: entry.event_time, ..entry },
        AvailableAt::Column(_) => entry,
    })
}

/// The files that a pattern names, by name: `*` stands for any text within the last part of the path.
fn files(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, PipelineError> {
    let path = base.join(pattern);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(PipelineError::Invalid(format!("{pattern:?} names no files")));
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| PipelineError::io(dir, error))? {
        let entry = entry.map_err(|error| PipelineError::io(dir, error))?;
        if entry.file_name().to_str().is_some_and(|file| matches(name, file)) {
            found.push(entry.path());
        }
    }
    if found.is_empty() {
        return Err(PipelineError::NotFound(format!("{} names no file", path.display())));
    }
    found.sort();
    Ok(found)
}

/// Whether `text` is of a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, fits) in [
            ("a.csv", "a.csv", true),
            ("a.csv", "b.csv", false),
            ("*.parquet", "2024-05.parquet", true),
            ("*.parquet", "2024-05.csv", false),
            ("rides-*-v*.csv", "rides-05-v2.csv", true),
            ("rides-*-v*.csv", "rides-05.csv", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
