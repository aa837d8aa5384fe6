//! Bytes under their own hash.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use perennial_types::ContentHash;

use crate::StoreError;

/// Tells apart what several threads write at once.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// A directory of blobs: `<first two digits>/<hash>`. What is there is complete and never changes. The
/// calls block on files; an async caller runs them on a blocking thread.
#[derive(Clone, Debug)]
pub struct Blobs {
    directory: PathBuf,
}

impl Blobs {
    /// The blobs in `directory`, which is made if it is not there. What an interrupted write left is removed,
    /// so one process at a time opens a directory.
    ///
    /// # Errors
    /// When the directory cannot be made or cleared.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let unfinished = directory.join("unfinished");
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StoreError::file("remove", &unfinished)(error));
            }
            _ => fs::create_dir_all(&unfinished).map_err(StoreError::file("create", &unfinished))?,
        }
        Ok(Self { directory: directory.to_owned() })
    }

    /// Store the bytes; when this returns they survive a power cut. Bytes that are there already cost a read.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<ContentHash, StoreError> {
        let hash = ContentHash::of(bytes);
        let path = self.path(&hash);
        if fs::read(&path).is_ok_and(|stored| stored == bytes) {
            return Ok(hash);
        }
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.directory.join("unfinished").join(format!("{hash}.{number}"));
        let mut file = File::create(&unfinished).map_err(StoreError::file("create", &unfinished))?;
        file.write_all(bytes).map_err(StoreError::file("write", &unfinished))?;
        file.sync_all().map_err(StoreError::file("sync", &unfinished))?;
        let parent = self.directory.join(&hash.to_string()[..2]);
        fs::create_dir_all(&parent).map_err(StoreError::file("create", &parent))?;
        fs::rename(&unfinished, &path).map_err(StoreError::file("rename", &unfinished))?;
        for directory in [&parent, &self.directory] {
            let opened = File::open(directory).and_then(|directory| directory.sync_all());
            opened.map_err(StoreError::file("sync", directory))?;
        }
        Ok(hash)
    }

    /// The bytes of this hash.
    ///
    /// # Errors
    /// When there are none, they are damaged, or they cannot be read.
    pub fn get(&self, hash: &ContentHash) -> Result<Vec<u8>, StoreError> {
        let path = self.path(hash);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(StoreError::NotFound {
                    what: "blob",
                    name: hash.to_string(),
                    help: String::new(),
                });
            }
            Err(error) => return Err(StoreError::file("read", &path)(error)),
        };
        match ContentHash::of(&bytes) {
            found if found == *hash => Ok(bytes),
            found => Err(StoreError::Damaged { expected: *hash, found, path }),
        }
    }

    /// The size of the blob; nothing if it is not there.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn size(&self, hash: &ContentHash) -> Result<Option<u64>, StoreError> {
        let path = self.path(hash);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::file("look at", &path)(error)),
        }
    }

    /// Whether the blob is there.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.size(hash)?.is_some())
    }

    /// Where the blob lies, for programs that read files.
    pub fn path(&self, hash: &ContentHash) -> PathBuf {
        let name = hash.to_string();
        self.directory.join(&name[..2]).join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_types::Kind;

    #[test]
    fn what_is_put_is_what_is_got_however_often() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).unwrap();
        let hash = blobs.put(b"weights").unwrap();
        assert_eq!(blobs.put(b"weights").unwrap(), hash);
        let again = Blobs::open(directory.path()).unwrap();
        assert_eq!(again.get(&hash).unwrap(), b"weights");
        assert_eq!(again.size(&hash).unwrap(), Some(7));
        let other = ContentHash::of(b"other");
        assert!(!again.exists(&other).unwrap());
        assert_eq!(again.get(&other).unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn damage_is_seen_by_a_reader_and_mended_by_a_writer() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).unwrap();
        let hash = blobs.put(b"weights").unwrap();
        fs::write(blobs.path(&hash), b"weighs").unwrap();
        assert!(matches!(blobs.get(&hash), Err(StoreError::Damaged { .. })));
        blobs.put(b"weights").unwrap();
        assert_eq!(blobs.get(&hash).unwrap(), b"weights");
    }

    #[test]
    fn what_an_interrupted_write_left_is_gone_after_opening() {
        let directory = tempfile::tempdir().unwrap();
        let left = directory.path().join("unfinished/abc.0");
        fs::create_dir_all(left.parent().unwrap()).unwrap();
        fs::write(&left, b"half").unwrap();
        Blobs::open(directory.path()).unwrap();
        assert!(!left.exists());
    }
}
