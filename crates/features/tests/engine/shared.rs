//! Golden data that lies beside the repository, where it is there.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

/// A setting of the tests.
#[expect(clippy::disallowed_methods, reason = "settings of a test; the engine reads none")]
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A path below the directory of shared data: that of `PERENNIAL_SHARED`, or `shared` beside the repository.
pub(crate) fn path(below: &str) -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    setting("PERENNIAL_SHARED").map_or_else(beside, PathBuf::from).join(below)
}

/// The rows of a file, compressed or not; nothing where it is not there.
#[expect(clippy::disallowed_methods, reason = "golden values are files; the engine reads none")]
pub(crate) fn open(path: &Path) -> Option<csv::Reader<Box<dyn std::io::Read>>> {
    let file = File::open(path).ok()?;
    let compressed = path.extension().is_some_and(|extension| extension == "gz");
    let read: Box<dyn std::io::Read> =
        if compressed { Box::new(GzDecoder::new(file)) } else { Box::new(std::io::BufReader::new(file)) };
    Some(csv::Reader::from_reader(read))
}

/// Say that a test had nothing to compare with. Not `eprintln!`: what a passing test prints that way is never
/// shown.
pub(crate) fn not_checked(why: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "NOT CHECKED: {why}").unwrap();
}
