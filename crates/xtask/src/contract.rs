//! `cargo xtask contract`: whether the service keeps what its OpenAPI document promises.
//!
//! schemathesis makes requests of the document's forms and requests that are not, sends them to a service of
//! its own, and checks every answer: no status that is not documented, no body that is not of its schema, none
//! of status 500, no refusal of a request that is of its form and no acceptance of one that is not.

mod service;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::service::{Place, Service};
use crate::cargo::Cargo;
use crate::python;

/// The release that the settings beside this file were written for.
const SCHEMATHESIS: &str = "4.32.5";

/// The settings, and what settings cannot say.
const FILES: [(&str, &str); 2] = [
    ("schemathesis.toml", include_str!("contract/schemathesis.toml")),
    ("hooks.py", include_str!("contract/hooks.py")),
];

/// A run that takes longer is ended: 200 examples take three minutes on two busy cores.
const LONGEST: Duration = Duration::from_secs(45 * 60);

/// Examples that are made of each operation, if nothing else is said.
const EXAMPLES: u32 = 200;

/// Build the service, start one of its own, let schemathesis ask it, and stop it.
///
/// # Errors
/// When an answer was not of the contract, or one of the steps could not be done.
pub(crate) fn contract(arguments: &[String]) -> Result<()> {
    let examples = examples(arguments)?;
    let cargo = Cargo::new()?;
    cargo.run(&["build", "--package", "perennial"])?;
    let schemathesis = python::programs(&cargo, "schemathesis", SCHEMATHESIS)?.join("schemathesis");
    let place = Place::new()?;
    for (name, text) in FILES {
        fs::write(place.path().join(name), text).with_context(|| format!("write {name}"))?;
    }
    let begun = Instant::now();
    let service = Service::start(&cargo.program("debug", "perennial"), cargo.workspace(), place)?;
    let checked = check(&schemathesis, &service, examples);
    let in_force = service.answers();
    let stopped = service.stop();
    eprintln!("contract: {} s", begun.elapsed().as_secs());
    let place = stopped.context("after the checks")?;
    if let Err(error) = checked {
        let kept = place.keep();
        bail!("{error}; the service's log is {}", kept.join("service.log").display());
    }
    ensure!(
        in_force,
        "the key of the run was no longer in force at its end, so that checks saw refusals only"
    );
    Ok(())
}

fn examples(arguments: &[String]) -> Result<u32> {
    let wanted = match arguments {
        [] => return Ok(EXAMPLES),
        [flag, number] if flag == "--examples" => number.parse().ok().filter(|number| *number > 0),
        _ => None,
    };
    let found = arguments.join(" ");
    wanted.with_context(|| format!("contract takes --examples and a number above 0, found {found:?}"))
}

/// Let schemathesis ask; it prints what it found.
fn check(schemathesis: &Path, service: &Service, examples: u32) -> Result<()> {
    let mut asking = Command::new(schemathesis)
        .args(["--config-file", "schemathesis.toml", "run", "--continue-on-failure"])
        .args(["--max-examples", &examples.to_string(), "--request-timeout", "60"])
        .args(["--header", &format!("Authorization: Bearer {}", service.key().secret)])
        .arg(format!("{}/openapi.json", service.url()))
        .env("PERENNIAL_CONTRACT_KEY", &service.key().id)
        .current_dir(service.directory())
        .spawn()
        .context("start schemathesis")?;
    let begun = Instant::now();
    loop {
        if let Some(status) = asking.try_wait().context("wait for schemathesis")? {
            ensure!(status.success(), "schemathesis ended with {status}");
            return Ok(());
        }
        if begun.elapsed() > LONGEST {
            asking.kill().and_then(|()| asking.wait()).context("end schemathesis")?;
            bail!(
                "schemathesis was not done after {} minutes; ask for fewer --examples",
                LONGEST.as_secs() / 60
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_counted() {
        let read = |words: &[&str]| examples(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(read(&[]).unwrap(), 200);
        assert_eq!(read(&["--examples", "20"]).unwrap(), 20);
        for wrong in [&["--examples"][..], &["--examples", "0"], &["20"], &["--examples", "x"]] {
            assert!(read(wrong).unwrap_err().to_string().contains("--examples and a number"));
        }
    }
}
