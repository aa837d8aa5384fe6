//! The broker that the tests of the Kafka source run: its jars, as Maven resolves them.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::Cargo;

/// The release that is tested against; `perennial-testkit` looks for it under the same name.
const RELEASE: &str = "4.1.0";

/// A broker that is there already, by which the tests need no other.
const GIVEN: &str = "PERENNIAL_TEST_KAFKA";

/// What Maven is asked for: the broker, and what prints its log.
fn project() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    let dependencies = [
        dependency("org.apache.kafka", "kafka_2.13", RELEASE),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"),
    ];
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>perennial</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencies>{}</dependencies></project>\n",
        dependencies.concat()
    )
}

/// Have the jars of the broker in the target directory.
///
/// # Errors
/// When Maven does not bring them.
pub(crate) fn resolve(cargo: &Cargo) -> Result<()> {
    let directory = cargo.target().join("kafka");
    let jars = directory.join(RELEASE);
    if jars.is_dir() || std::env::var_os(GIVEN).is_some() {
        return Ok(());
    }
    // They get their name when all of them are there.
    let unfinished = directory.join(format!("{RELEASE}.new"));
    fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    if unfinished.is_dir() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("remove {}", unfinished.display()))?;
    }
    let pom = directory.join("pom.xml");
    fs::write(&pom, project()).with_context(|| format!("write {}", pom.display()))?;
    let output = format!("-DoutputDirectory={}", unfinished.display());
    eprintln!("> mvn dependency:copy-dependencies (Kafka {RELEASE}, for the tests)");
    let status = Command::new("mvn")
        .args(["--batch-mode", "--quiet", "dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(output)
        .current_dir(&directory)
        .status()
        .context("start mvn")?;
    ensure!(
        status.success(),
        "mvn could not resolve Kafka {RELEASE}: it ended with {status}; name a broker by {GIVEN} instead"
    );
    fs::rename(&unfinished, &jars).with_context(|| format!("name {}", jars.display()))
}
