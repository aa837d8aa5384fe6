//! The embedded server, from first start to the marks that crashes leave.
#![expect(clippy::unwrap_used, reason = "what tests share fails like a test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use perennial_store::{Postgres, PostgresOptions, Store, StoreError};
use perennial_types::Kind;
use tempfile::TempDir;

/// A directory that the server's user can enter, whoever that is.
fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    place
}

async fn start(data_dir: &Path) -> Postgres {
    Postgres::start(data_dir, &PostgresOptions::default()).await.unwrap()
}

/// Write a mark that a later start must find.
async fn answers(postgres: &Postgres) {
    let store = Store::connect(&postgres.address()).await.unwrap();
    store.ready().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_second_start_serves_the_same_cluster_and_a_missing_part_of_a_first_one_is_made_again() {
    let place = place();
    let data_dir = place.path().join("postgres");
    // What an initdb that was interrupted leaves behind.
    fs::create_dir_all(data_dir.join("cluster.new/base")).unwrap();
    fs::write(data_dir.join("cluster.new/PG_VERSION"), "15\n").unwrap();

    let postgres = start(&data_dir).await;
    assert!(!postgres.adopted());
    assert!(!data_dir.join("cluster.new").exists());
    let store = Store::connect(&postgres.address()).await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    postgres.stop().await.unwrap();

    let postgres = start(&data_dir).await;
    let store = Store::connect(&postgres.address()).await.unwrap();
    store.ready().await.expect("the tables of the first start are there");
    store.close().await;
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_is_private_durable_and_never_root() {
    let place = place();
    let data_dir = place.path().join("postgres");
    let postgres = start(&data_dir).await;
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(data_dir.join("socket")), 0o700);
    assert_eq!(mode(data_dir.join("cluster")), 0o700);
    if Path::new("/proc/self").exists() {
        let owner = fs::metadata(format!("/proc/{}", postgres.pid())).unwrap().uid();
        assert_ne!(owner, 0);
        assert_eq!(owner, fs::metadata(data_dir.join("cluster")).unwrap().uid());
    }
    let store = Store::connect(&postgres.address()).await.unwrap();
    for (setting, wanted) in [("fsync", "on"), ("listen_addresses", ""), ("server_encoding", "UTF8")] {
        assert_eq!(store.setting(setting).await.unwrap(), wanted, "{setting}");
    }
    store.close().await;
    let pid = rustix::process::Pid::from_raw(postgres.pid().cast_signed()).unwrap();
    let group = rustix::process::getpgid(Some(pid)).unwrap();
    assert_ne!(group, rustix::process::getpgrp(), "Ctrl-C would reach the server");
    postgres.stop().await.unwrap();
    assert!(!data_dir.join("cluster/postmaster.pid").exists());
}

#[tokio::test]
async fn two_supervisors_of_one_directory_are_refused() {
    let place = place();
    let data_dir = place.path().join("postgres");
    let postgres = start(&data_dir).await;
    let error = Postgres::start(&data_dir, &PostgresOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().ends_with("is in use by another process; stop that one first"), "{error}");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_right_after_a_drop_waits_for_the_old_server_to_end() {
    let place = place();
    let data_dir = place.path().join("postgres");
    let first = start(&data_dir).await;
    let pid = first.pid();
    drop(first);
    let second = start(&data_dir).await;
    answers_unmigrated(&second).await;
    assert_ne!(second.pid(), pid);
    second.stop().await.unwrap();
}

async fn answers_unmigrated(postgres: &Postgres) {
    let store = Store::connect(&postgres.address()).await.unwrap();
    assert_eq!(store.setting("fsync").await.unwrap(), "on");
    store.close().await;
}

/// Not a test of its own: the process that the next test kills. It starts a server and waits.
#[tokio::test]
#[ignore = "run by a_server_that_outlives_its_service_is_adopted"]
async fn service_that_is_killed() {
    let data_dir = std::env::var("PERENNIAL_TEST_DATA_DIR").unwrap();
    let postgres = start(Path::new(&data_dir)).await;
    println!("\npid {}", postgres.pid());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_server_that_outlives_its_service_is_adopted() {
    let place = place();
    let data_dir = place.path().join("postgres");
    let mut service = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "service_that_is_killed", "--ignored", "--nocapture"])
        .env("PERENNIAL_TEST_DATA_DIR", &data_dir)
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let lines = BufReader::new(service.stdout.take().unwrap()).lines();
    let pid = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("pid ")?.parse::<u32>().ok());
    service.kill().unwrap();
    service.wait().unwrap();

    let postgres = start(&data_dir).await;
    assert!(postgres.adopted());
    assert_eq!(Some(postgres.pid()), pid);
    answers_unmigrated(&postgres).await;
    postgres.stop().await.unwrap();
    assert!(!data_dir.join("cluster/postmaster.pid").exists());

    let postgres = start(&data_dir).await;
    assert!(!postgres.adopted());
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn files_of_a_server_that_was_killed_do_not_stop_the_next_one() {
    let place = place();
    let data_dir = place.path().join("postgres");
    let postgres = start(&data_dir).await;
    let store = Store::connect(&postgres.address()).await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    let pid_file = data_dir.join("cluster/postmaster.pid");
    let left = fs::read_to_string(&pid_file).unwrap();
    let pid = rustix::process::Pid::from_raw(postgres.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    drop(postgres);
    // Meanwhile the id has gone to a process that lives, of the same user, and is no server.
    let owner = fs::metadata(&pid_file).unwrap();
    let mut stranger = Command::new("sleep");
    stranger.arg("600");
    if rustix::process::geteuid().is_root() {
        stranger.uid(owner.uid()).gid(owner.gid());
    }
    let mut stranger = stranger.spawn().unwrap();
    let rest = left.split_once('\n').unwrap().1;
    fs::write(&pid_file, format!("{}\n{rest}", stranger.id())).unwrap();
    let lock = data_dir.join("socket/.s.PGSQL.5432.lock");
    let text = fs::read_to_string(&lock).unwrap();
    fs::write(&lock, format!("{}\n{}", stranger.id(), text.split_once('\n').unwrap().1)).unwrap();

    let started = Postgres::start(&data_dir, &PostgresOptions::default()).await;
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    let postgres = started.unwrap();
    answers(&postgres).await;
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let place = place();
    let data_dir = place.path().join("postgres");
    start(&data_dir).await.stop().await.unwrap();
    fs::write(data_dir.join("cluster/postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
    let error = Postgres::start(&data_dir, &PostgresOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::PostgresFailed { .. }));
    let message = error.to_string();
    assert!(message.contains("did not start; the last lines of its log:"), "{message}");
    assert!(message.contains("unrecognized configuration parameter \"no_such_setting\""), "{message}");
}

#[tokio::test]
async fn a_data_directory_with_a_long_path_gets_its_socket_elsewhere() {
    let place = place();
    let data_dir = place.path().join("long".repeat(30)).join("postgres");
    let options = PostgresOptions { runtime_dir: place.path().to_owned(), ..PostgresOptions::default() };
    let postgres = Postgres::start(&data_dir, &options).await.unwrap();
    answers_unmigrated(&postgres).await;
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_is_unavailable() {
    let place = place();
    let postgres = start(&place.path().join("postgres")).await;
    let store = Store::connect(&postgres.address()).await.unwrap();
    store.migrate().await.unwrap();
    store.ready().await.unwrap();
    postgres.stop().await.unwrap();
    let away = tokio::time::timeout(Duration::from_secs(30), store.ready()).await.unwrap();
    assert_eq!(away.unwrap_err().kind(), Kind::Unavailable);
}
