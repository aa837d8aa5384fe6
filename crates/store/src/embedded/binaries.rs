//! Finding the programs of a Postgres server on this machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::StoreError;

/// The oldest major version that the migrations and queries are written for.
const OLDEST: u32 = 14;

/// Directories that hold one directory for each version, and where the programs are inside it.
const VERSIONED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Library/PostgreSQL", "", "bin"),
];

/// Directories that hold one version.
const PLAIN: [&str; 3] =
    ["/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql/bin", "/usr/libexec/postgresql"];

/// A directory with `postgres` and `initdb` of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    directory: PathBuf,
    major: u32,
}

impl Binaries {
    /// The newest usable ones, or those of version `wanted` if a cluster of that version exists.
    /// A `given` directory is the only one looked at.
    pub(super) fn find(
        given: Option<&Path>,
        search_path: &[PathBuf],
        wanted: Option<u32>,
    ) -> Result<Self, StoreError> {
        let directories = match given {
            Some(directory) => vec![directory.to_owned()],
            None => usual_directories().into_iter().chain(search_path.iter().cloned()).collect(),
        };
        let mut complete: Vec<Self> =
            directories.iter().filter_map(|directory| Self::inspect(directory)).collect();
        // The sort is stable: of two installations of one version the earlier directory stays first.
        complete.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
        let fits = |binaries: &&Self| match wanted {
            Some(major) => binaries.major == major,
            None => binaries.major >= OLDEST,
        };
        complete.iter().find(fits).cloned().ok_or_else(|| missing(given, &complete, wanted))
    }

    /// The program of this name.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What the directory holds; nothing unless both programs are there and say their version.
    fn inspect(directory: &Path) -> Option<Self> {
        // A single `postgres` somewhere on the path may be a link or a wrapper far from its other programs.
        if !directory.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(directory.join("postgres")).arg("--version").output().ok()?;
        let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { directory: directory.to_owned(), major })
    }
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-1)`.
fn major_version(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn usual_directories() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (parent, prefix, inside) in VERSIONED {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let names = names.filter(|name| {
            name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        });
        found.extend(names.map(|name| Path::new(parent).join(name).join(inside)));
    }
    found.extend(PLAIN.map(PathBuf::from));
    found
}

fn missing(given: Option<&Path>, complete: &[Binaries], wanted: Option<u32>) -> StoreError {
    let versions: BTreeSet<String> = complete.iter().map(|binaries| binaries.major.to_string()).collect();
    let versions = versions.into_iter().collect::<Vec<_>>().join(", ");
    let place = given.map(|directory| format!(" in {}", directory.display())).unwrap_or_default();
    let searched = match (wanted, versions.is_empty()) {
        (Some(wanted), true) => format!("{place}, and the data directory was made by version {wanted}"),
        (Some(wanted), false) => {
            format!(" for a data directory made by version {wanted}: only version {versions} is here")
        }
        (None, true) => place,
        (None, false) => format!(": only version {versions} is here"),
    };
    let version = wanted.map(|major| format!("-{major}")).unwrap_or_default();
    StoreError::PostgresMissing {
        searched,
        help: format!(
            "install it with `apt install postgresql{version}`, `dnf install postgresql-server` or `brew install \
             postgresql`, or name the directory of its programs, or give the address of a database"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_the_server_says() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn the_message_about_missing_binaries_says_how_to_install_them() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(empty.path()), &[], None).unwrap_err();
        let place = empty.path().display();
        assert_eq!(
            error.to_string(),
            format!(
                "no Postgres server (14 or newer) found in {place}; install it with `apt install postgresql`, \
                 `dnf install postgresql-server` or `brew install postgresql`, or name the directory of its \
                 programs, or give the address of a database"
            )
        );
        assert_eq!(error.kind(), perennial_types::Kind::Unavailable);
    }

    #[test]
    fn a_directory_with_postgres_alone_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/true", directory.path().join("postgres")).unwrap();
        assert_eq!(Binaries::inspect(directory.path()), None);
    }

    #[test]
    fn a_cluster_of_another_version_is_named_in_the_message() {
        let newer = Binaries { directory: "/x".into(), major: 16 };
        let message = missing(None, &[newer], Some(15)).to_string();
        assert!(message.contains("made by version 15: only version 16 is here"), "{message}");
        assert!(message.contains("apt install postgresql-15"), "{message}");
    }
}
