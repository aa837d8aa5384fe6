//! Keys from the command line: the service is not shown to others without one, and a stopped one is given one.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "outside of #[test] functions too, a failure here is the failure of a test"
)]

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const GIVEN: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";

fn perennial(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perennial"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("PERENNIAL_") || name == "DATABASE_URL")
    {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    perennial(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", error_of(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A data directory that the database's user can enter where tests run as root.
fn data() -> TempDir {
    let data = tempfile::tempdir().unwrap();
    std::fs::set_permissions(data.path(), Permissions::from_mode(0o755)).unwrap();
    data
}

/// A service that runs, and what it has logged when it is stopped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on http://") else {
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("the service did not start: {log}");
        };
        let port = address.rsplit_once(':').unwrap().1;
        Self { child, address: format!("http://127.0.0.1:{port}") }
    }

    fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.child.wait().unwrap().success(), "{log}");
        log
    }
}

fn path(data: &TempDir) -> &str {
    Path::to_str(data.path()).unwrap()
}

#[test]
fn an_exposed_service_names_the_command_that_lets_it_start() {
    let data = data();
    let serve = ["serve", "--bind", "0.0.0.0", "--port", "0", "--data", path(&data)];
    let refused = run(&serve);
    assert!(!refused.status.success());
    let text = error_of(&refused);
    let line = text.lines().find_map(|line| line.trim().strip_prefix("perennial ")).unwrap();
    let created = json(&run(&line.split(' ').collect::<Vec<_>>()));
    let secret = created["secret"].as_str().unwrap();

    let service = Running::start(perennial(&serve));
    let ask = |arguments: &[&str]| run(&[arguments, &["--server", &service.address]].concat());
    assert!(ask(&["ready"]).status.success(), "health asks for no key");
    assert!(error_of(&ask(&["status"])).contains("401"));
    json(&ask(&["status", "--key", secret]));
    let made = json(&ask(&["key", "create", "--name", "shop", "--scope", "predict", "--key", secret]));
    let shop = made["secret"].as_str().unwrap();
    assert!(error_of(&ask(&["status", "--key", shop])).contains("lacks the scope \"read\""));
    let busy = run(&["key", "list", "--data", path(&data)]);
    assert!(error_of(&busy).contains("in use by another service"), "{}", error_of(&busy));
    let id = made["id"].as_str().unwrap();
    json(&ask(&["key", "revoke", id, "--key", secret]));
    assert!(error_of(&ask(&["status", "--key", shop])).contains("was revoked"));
    let log = service.stop();
    for secret in [secret, shop] {
        assert!(!log.contains(secret.rsplit('_').next().unwrap()), "a secret was logged");
    }

    let listed = json(&run(&["key", "list", "--data", path(&data)]));
    let revoked = listed.as_array().unwrap().iter().find(|key| key["id"] == id).unwrap();
    assert!(revoked["revoked_at"].is_string() && revoked["secret"].is_null());
}

#[test]
fn an_admin_key_from_outside_is_taken_from_a_file_or_a_variable_and_taken_once() {
    let data = data();
    let short =
        perennial(&["serve", "--data", path(&data)]).env("PERENNIAL_ADMIN_KEY", "short").output().unwrap();
    assert!(error_of(&short).contains("has 5 characters; 32 are wanted"), "{}", error_of(&short));
    let file = data.path().join("admin.key");
    std::fs::write(&file, format!("{GIVEN}\n")).unwrap();
    let serve = ["serve", "--bind", "0.0.0.0", "--port", "0", "--data", path(&data)];

    let mut by_file = perennial(&serve);
    by_file.env("PERENNIAL_ADMIN_KEY_FILE", &file);
    let service = Running::start(by_file);
    json(&run(&["status", "--key", GIVEN, "--server", &service.address]));
    service.stop();

    let mut by_variable = perennial(&serve);
    by_variable.env("PERENNIAL_ADMIN_KEY", GIVEN);
    let service = Running::start(by_variable);
    let listed = json(&run(&["key", "list", "--key", GIVEN, "--server", &service.address]));
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let log = service.stop();
    assert!(!log.contains(GIVEN));
}

#[test]
fn keys_of_a_place_where_no_service_ran_are_not_listed() {
    let listed = run(&["key", "list", "--data", "/nonexistent/perennial"]);
    assert!(error_of(&listed).contains("no service ever ran there"), "{}", error_of(&listed));
}
