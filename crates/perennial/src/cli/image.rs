//! What the image and the compose file of `docker/` say to this program is what it understands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use clap::{CommandFactory, Parser};
use serde_json::Value;

use super::{Cli, Command, Question};

/// Variables that other than the command line reads.
const FURTHER: [&str; 1] = ["PERENNIAL_LOG"];

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker").join(name);
    fs::read_to_string(path).unwrap()
}

/// The last stage of the Dockerfile, a line an instruction.
fn image() -> Vec<String> {
    let joined = file("Dockerfile").replace("\\\n", " ");
    let last = joined.rsplit("\nFROM ").next().unwrap();
    last.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn instruction(word: &str) -> String {
    let image = image();
    let line = image.iter().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("the image has no {word}")).trim().to_owned()
}

fn list(word: &str) -> Vec<String> {
    let text = instruction(word);
    serde_json::from_str(&text[text.find('[').unwrap()..]).unwrap()
}

fn environment() -> BTreeMap<String, String> {
    let pairs = instruction("ENV");
    let pair = |word: &str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pairs.split_whitespace().map(|word| pair(word).unwrap()).collect()
}

fn compose() -> Value {
    serde_saphyr::from_str(&file("compose.yaml")).unwrap()
}

/// Every variable that some command reads.
fn known_variables() -> BTreeSet<String> {
    fn collect(command: &clap::Command, found: &mut BTreeSet<String>) {
        let variables = command.get_arguments().filter_map(|argument| argument.get_env());
        found.extend(variables.map(|name| name.to_string_lossy().into_owned()));
        command.get_subcommands().for_each(|command| collect(command, found));
    }
    let mut found = FURTHER.map(str::to_owned).into();
    collect(&Cli::command(), &mut found);
    found
}

#[test]
fn the_image_starts_the_service_and_asks_for_its_health() {
    let entry = list("ENTRYPOINT");
    let started = Cli::try_parse_from([entry.clone(), list("CMD")].concat()).unwrap();
    assert!(matches!(started.command, Command::Serve(_)));
    let health = Cli::try_parse_from(list("HEALTHCHECK")).unwrap();
    assert!(matches!(health.command, Command::Ask(Question::Ready { .. })));
}

#[test]
fn every_variable_is_one_that_the_program_reads() {
    let known = known_variables();
    let compose = compose();
    let service = compose["services"]["perennial"]["environment"].as_object().unwrap();
    for name in environment().keys().chain(service.keys()) {
        assert!(known.contains(name), "nothing reads {name}");
    }
    assert!(service.contains_key("DATABASE_URL"), "the image has no Postgres of its own");
    assert!(service.contains_key("PERENNIAL_ADMIN_KEY"), "an exposed service does not start without");
}

#[test]
fn ports_and_directories_agree() {
    let (environment, compose) = (environment(), compose());
    let Command::Serve(defaults) = Cli::try_parse_from(["perennial", "serve"]).unwrap().command else {
        panic!("serve is another command")
    };
    let port = environment["PERENNIAL_PORT"].clone();
    assert_eq!(port, defaults.port.to_string());
    assert_eq!(instruction("EXPOSE"), port);
    let data = &environment["PERENNIAL_DATA"];
    assert_eq!(instruction("VOLUME"), *data);
    let service = &compose["services"]["perennial"];
    assert_eq!(service["ports"], serde_json::json!([format!("127.0.0.1:{port}:{port}")]));
    assert_eq!(service["volumes"], serde_json::json!([format!("data:{data}")]));
    assert!(file("README.md").contains(&format!("`{data}`")));
}

#[test]
fn what_is_published_is_published_on_loopback_and_what_is_mounted_is_declared() {
    let compose = compose();
    for (name, service) in compose["services"].as_object().unwrap() {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let (volume, _) = volume.as_str().unwrap().split_once(':').unwrap();
            assert!(
                compose["volumes"].get(volume).is_some(),
                "{name} mounts {volume:?}, which is not declared"
            );
        }
        assert!(
            service["healthcheck"].is_object() || name == "perennial",
            "nobody knows whether {name} is well"
        );
    }
}
