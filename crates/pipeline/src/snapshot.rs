//! Snapshots: the folds' states at one position, so that a start replays only what came after.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use perennial_types::{ContentHash, Position};
use serde::{Deserialize, Serialize};

use crate::PipelineError;

/// Named sections of state at a position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) position: Position,
    pub(crate) sections: Vec<(String, Vec<u8>)>,
}

const MAGIC: &[u8; 8] = b"PRNLSNP1";
const KEPT: usize = 2;

impl Snapshot {
    /// The bytes of a section.
    pub(crate) fn section(&self, name: &str) -> Option<&[u8]> {
        self.sections.iter().find(|(section, _)| section == name).map(|(_, bytes)| bytes.as_slice())
    }

    /// Write durably, then remove all but the newest two.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), PipelineError> {
        let io = |error: std::io::Error| PipelineError::io(dir, error);
        fs::create_dir_all(dir).map_err(io)?;
        let body = postcard::to_stdvec(self).map_err(PipelineError::snapshot)?;
        let path = dir.join(format!("{:020}.snapshot", self.position.0));
        let temporary = path.with_extension("tmp");
        let mut file = File::create(&temporary).map_err(io)?;
        file.write_all(MAGIC).map_err(io)?;
        file.write_all(ContentHash::of(&body).as_bytes()).map_err(io)?;
        file.write_all(&body).map_err(io)?;
        file.sync_all().map_err(io)?;
        fs::rename(&temporary, &path).map_err(io)?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
        for old in Self::files(dir)?.iter().rev().skip(KEPT) {
            fs::remove_file(old).map_err(io)?;
        }
        Ok(())
    }

    /// The newest snapshot that is whole and not after `head`. Others are removed: one after the head is of
    /// records that a crash took back, and would be taken for the state of those that follow.
    pub(crate) fn newest(dir: &Path, head: Position) -> Result<Option<Self>, PipelineError> {
        for path in Self::files(dir)?.iter().rev() {
            let bytes = fs::read(path).map_err(|error| PipelineError::io(path, error))?;
            match Self::decode(&bytes) {
                Some(snapshot) if snapshot.position <= head => return Ok(Some(snapshot)),
                Some(_) | None => {
                    tracing::warn!(path = %path.display(), "removed a snapshot that is damaged or ahead of the log");
                    fs::remove_file(path).map_err(|error| PipelineError::io(path, error))?;
                }
            }
        }
        Ok(None)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC.as_slice())?;
        let (hash, body) = rest.split_at_checked(32)?;
        if ContentHash::of(body).as_bytes().as_slice() != hash {
            return None;
        }
        postcard::from_bytes(body).ok()
    }

    /// Snapshot files, oldest first.
    fn files(dir: &Path) -> Result<Vec<PathBuf>, PipelineError> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(PipelineError::io(dir, error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| PipelineError::io(dir, error))?.path();
            if path.extension().is_some_and(|extension| extension == "snapshot") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_snapshot_is_passed_over_for_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        for position in 1..=3 {
            let sections = vec![("a".to_owned(), vec![position as u8; 100])];
            Snapshot { position: Position(position), sections }.save(dir.path()).unwrap();
        }
        let files = Snapshot::files(dir.path()).unwrap();
        assert_eq!(files.len(), KEPT);
        let mut bytes = fs::read(&files[1]).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&files[1], bytes).unwrap();
        let newest = Snapshot::newest(dir.path(), Position(10)).unwrap().unwrap();
        assert_eq!(newest.section("a"), Some([2; 100].as_slice()));
        assert_eq!(Snapshot::newest(dir.path(), Position(1)).unwrap(), None);
    }
}
