//! What the commands need of the machine, and how it gets there.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Something that cargo cannot fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// `cc`, by which Rust links.
    Linker,
    /// `c++`, by which libFuzzer is built.
    Cxx,
    /// `make`, by which the client of Kafka is built.
    Make,
    /// The programs of a Postgres server.
    Postgres,
    /// A Python that makes virtual environments.
    Python,
    /// Java and Maven, by which the tests get and run a broker of Kafka.
    Java,
}

/// Directories whose entries hold the programs of one Postgres version each.
const POSTGRES_VERSIONS: [&str; 2] = ["/usr/lib/postgresql", "/usr"];

/// Keeps Debian's package from starting a server of its own: the service starts one where it wants it.
const NO_CLUSTER: (&str, &str) =
    ("/etc/postgresql-common/createcluster.d/perennial.conf", "create_main_cluster = false\n");

impl Need {
    /// What `contract` takes.
    pub(crate) const CONTRACT: &'static [Self] = &[Self::Linker, Self::Make, Self::Postgres, Self::Python];
    /// What `fuzz` takes.
    pub(crate) const FUZZ: &'static [Self] = &[Self::Linker, Self::Make, Self::Cxx];
    /// What building, playing and testing take.
    pub(crate) const ALL: &'static [Self] = &[Self::Linker, Self::Make, Self::Postgres, Self::Java];
    /// What playing an example takes.
    pub(crate) const DEMO: &'static [Self] = &[Self::Linker, Self::Make, Self::Postgres];
    /// What compiling takes; the image of `docker/` needs no more.
    pub(crate) const BUILD: &'static [Self] = &[Self::Linker, Self::Make];

    /// The needs that the arguments of `cargo xtask install` name.
    ///
    /// # Errors
    /// When they name none.
    pub(crate) fn named(arguments: &[String]) -> Result<&'static [Self]> {
        match arguments {
            [] => Ok(Self::ALL),
            [only] if only == "build" => Ok(Self::BUILD),
            others => bail!("install takes nothing or \"build\", found {:?}", others.join(" ")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Linker => "a C compiler (cc)",
            Self::Cxx => "a C++ compiler (c++)",
            Self::Make => "make",
            Self::Postgres => "a Postgres server (initdb, postgres)",
            Self::Python => "Python with venv (python3)",
            Self::Java => "Java 17 and Maven (java, mvn)",
        }
    }

    /// The packages of Debian and Ubuntu.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Linker => &["gcc", "libc6-dev"],
            Self::Cxx => &["g++"],
            Self::Make => &["make"],
            Self::Postgres => &["postgresql"],
            Self::Python => &["python3-venv"],
            Self::Java => &["openjdk-17-jre-headless", "maven"],
        }
    }

    fn present(self) -> bool {
        match self {
            Self::Linker => ["cc", "clang"].iter().any(|name| on_path(name)),
            Self::Cxx => ["c++", "clang++"].iter().any(|name| on_path(name)),
            Self::Make => on_path("make"),
            Self::Java => on_path("java") && on_path("mvn"),
            Self::Postgres => {
                on_path("initdb") || POSTGRES_VERSIONS.iter().any(|parent| has_initdb(Path::new(parent)))
            }
            // Debian packs what fills a virtual environment apart from Python.
            Self::Python => {
                let found = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
                found.is_ok_and(|found| found.status.success())
            }
        }
    }
}

/// Install what is missing.
///
/// # Errors
/// When something is missing that only the user can install; the message is the command to run.
pub(crate) fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.present()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|need| need.name()).collect();
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages()).copied().collect();
    let line = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    if !on_path("apt-get") {
        bail!("missing: {}; install it with this system's package manager", names.join(", "));
    }
    if !is_root()? {
        bail!("missing: {}; run\n\n    sudo {line}\n", names.join(", "));
    }
    eprintln!("installing {}", names.join(", "));
    if missing.contains(&Need::Postgres) {
        let (path, text) = NO_CLUSTER;
        let directory = Path::new(path).parent().context("the setting has a directory")?;
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(path, text))
            .with_context(|| format!("write {path}"))?;
    }
    if !package_lists_present() {
        apt_get(&["update"])?;
    }
    let arguments: Vec<&str> = line.split(' ').skip(1).collect();
    if apt_get(&arguments).is_err() {
        // Lists that are old name versions that the mirrors no longer have.
        apt_get(&["update"])?;
        apt_get(&arguments)?;
    }
    match missing.iter().find(|need| !need.present()) {
        Some(need) => bail!("apt-get ended well, but {} is still missing", need.name()),
        None => Ok(()),
    }
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let line = format!("apt-get {}", arguments.join(" "));
    eprintln!("> {line}");
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("start apt-get")?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(())
}

/// Whether this process may install: the owner of its own entry in /proc is root.
fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata("/proc/self").context("read /proc/self")?.uid() == 0)
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Whether a directory below `parent` holds `bin/initdb`: `15/bin` or `pgsql-16/bin`.
fn has_initdb(parent: &Path) -> bool {
    let Ok(entries) = fs::read_dir(parent) else { return false };
    entries.flatten().map(|entry| entry.path().join("bin/initdb")).any(|path: PathBuf| path.is_file())
}

fn package_lists_present() -> bool {
    let Ok(entries) = fs::read_dir("/var/lib/apt/lists") else { return false };
    entries.flatten().any(|entry| is_package_list(&entry.file_name()))
}

/// Mirrors' lists are named `…_Packages`, compressed or not.
fn is_package_list(name: &OsStr) -> bool {
    name.to_string_lossy().contains("_Packages")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_by_its_initdb_below_a_version() {
        let parent = std::env::temp_dir().join(format!("xtask-install-{}", std::process::id()));
        fs::create_dir_all(parent.join("15/bin")).unwrap();
        assert!(!has_initdb(&parent));
        fs::write(parent.join("15/bin/initdb"), "").unwrap();
        assert!(has_initdb(&parent));
        fs::remove_dir_all(&parent).unwrap();
        assert!(!has_initdb(&parent));
    }

    #[test]
    fn lists_of_packages_are_told_from_other_files() {
        assert!(is_package_list(OsStr::new(
            "deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages.lz4"
        )));
        assert!(!is_package_list(OsStr::new("lock")));
    }
}
