//! The image of `docker/` is built by the steps that a bare machine takes: its Dockerfile is held to them here.

use std::fs;
use std::path::{Path, PathBuf};

use crate::install::Need;

/// An instruction of the Dockerfile, its lines joined: `("RUN", "cargo …")`.
type Instruction = (String, String);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn instructions() -> Vec<Instruction> {
    let text = fs::read_to_string(root().join("docker/Dockerfile")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let split = |line: &str| {
        let (word, rest) = line.split_once(' ').unwrap();
        (word.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    joined.lines().map(split).collect()
}

/// The arguments of every instruction of a kind.
fn all(word: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == word).map(|(_, rest)| rest).collect()
}

/// The commands of every `RUN`, its options left out.
fn commands() -> Vec<String> {
    let runs = all("RUN").into_iter().map(|run| {
        let words = run.split(' ').skip_while(|word| word.starts_with("--"));
        words.collect::<Vec<_>>().join(" ")
    });
    runs.flat_map(|run| run.split(" && ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn packages_come_by_the_install_command_alone_and_before_the_build() {
    let commands = commands();
    for installer in ["apt", "apt-get", "dpkg", "apk", "curl", "wget", "pip"] {
        let used = commands.iter().find(|command| command.split(' ').any(|word| word == installer));
        assert_eq!(used, None, "the Dockerfile installs by {installer}, past cargo xtask install");
    }
    let installs = commands.iter().position(|command| command.starts_with("cargo xtask install"));
    let builds = commands.iter().position(|command| command.starts_with("cargo build"));
    assert!(installs.unwrap() < builds.unwrap());
    let arguments = commands[installs.unwrap()].split(' ').skip(3).map(str::to_owned);
    assert_eq!(Need::named(&arguments.collect::<Vec<_>>()).unwrap(), Need::BUILD);
}

#[test]
fn the_build_is_the_one_of_the_demo() {
    let build = commands().into_iter().find(|command| command.starts_with("cargo build")).unwrap();
    assert_eq!(build, "cargo build --release --locked --package perennial");
    let demo = fs::read_to_string(root().join("crates/xtask/src/main.rs")).unwrap();
    assert!(demo.contains(r#""build", "--release", "--package", "perennial""#));
}

#[test]
fn rust_is_that_of_the_workspace_and_both_stages_have_one_c_library() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let version = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    let stages = all("FROM");
    assert_eq!(stages, [format!("rust:{version}-bookworm AS build"), "debian:bookworm-slim".to_owned()]);
}

#[test]
fn what_is_copied_from_the_build_is_what_the_build_puts_there() {
    let copied = all("COPY").into_iter().find(|copy| copy.starts_with("--from=build")).unwrap();
    let [_, from, _] = copied.split(' ').collect::<Vec<_>>()[..] else { panic!("{copied}") };
    let puts = commands().into_iter().find(|command| command.starts_with("cp ")).unwrap();
    assert_eq!(puts, format!("cp target/release/perennial {from}"));
}

#[test]
fn the_service_is_not_run_by_root() {
    let words: Vec<String> = instructions().into_iter().map(|(word, _)| word).collect();
    assert_eq!(all("USER"), ["perennial"]);
    assert!(
        commands().iter().any(|command| command.starts_with("useradd") && command.ends_with(" perennial"))
    );
    let user = words.iter().position(|word| word == "USER").unwrap();
    let last_run = words.iter().rposition(|word| word == "RUN").unwrap();
    assert!(last_run < user, "nothing is run in the image as root after the user is set");
}
