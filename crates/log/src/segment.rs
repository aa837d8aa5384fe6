//! The files of a log directory.

use std::path::{Path, PathBuf};

use perennial_types::Position;

use crate::LogError;
use crate::storage::Files;

/// In which forms a segment is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The position of its first record, which names its files.
    pub(crate) first: Position,
    /// As frames.
    pub(crate) frames: bool,
    /// As Parquet; then the frames, if they are there, are a copy.
    pub(crate) parquet: bool,
}

/// The segments of a directory by first position, and the unfinished files in it.
pub(crate) struct Listing {
    pub(crate) segments: Vec<Segment>,
    pub(crate) unfinished: Vec<PathBuf>,
}

impl Listing {
    pub(crate) fn of(files: &dyn Files, dir: &Path) -> Result<Self, LogError> {
        let names = || files.list(dir).map_err(LogError::io("list", dir));
        let mut listing = Self { segments: Vec::new(), unfinished: Vec::new() };
        let mut seen = names()?;
        // A directory may change while it is listed: a segment that became Parquet just then can be missing
        // in both forms. Its Parquet file had its name before its frames were gone, so a second look finds it.
        seen.extend(names()?);
        seen.sort();
        seen.dedup();
        for name in seen {
            let Some((stem, ending)) = name.split_once('.') else { continue };
            let Some(first) = parse_stem(stem) else { continue };
            match ending {
                "frames" => listing.segments.push(Segment { first, frames: true, parquet: false }),
                "parquet" => listing.segments.push(Segment { first, frames: false, parquet: true }),
                "parquet.new" => listing.unfinished.push(dir.join(name)),
                _ => {}
            }
        }
        listing.segments.sort_by_key(|segment| segment.first);
        listing.segments.dedup_by(|later, kept| {
            let same = later.first == kept.first;
            if same {
                kept.frames |= later.frames;
                kept.parquet |= later.parquet;
            }
            same
        });
        Ok(listing)
    }

    /// The segment in which a position stands or would stand.
    pub(crate) fn holding(&self, position: Position) -> Option<Segment> {
        let after = self.segments.partition_point(|segment| segment.first <= position);
        after.checked_sub(1).map(|i| self.segments[i])
    }
}

pub(crate) fn frames_path(dir: &Path, first: Position) -> PathBuf {
    dir.join(format!("{:020}.frames", first.0))
}

pub(crate) fn parquet_path(dir: &Path, first: Position) -> PathBuf {
    dir.join(format!("{:020}.parquet", first.0))
}

/// The name of a Parquet file that is being written.
pub(crate) fn unfinished_path(dir: &Path, first: Position) -> PathBuf {
    dir.join(format!("{:020}.parquet.new", first.0))
}

fn parse_stem(stem: &str) -> Option<Position> {
    let digits = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    if digits { stem.parse().ok().map(Position) } else { None }
}
