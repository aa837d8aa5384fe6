//! `crates/README.md` and the manifests say the same, and both keep the rules of the design.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its own repository has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

/// What a pure crate must not depend on, beside everything that has an owner elsewhere.
const WORLD: [&str; 14] = [
    "tokio",
    "futures-util",
    "rand",
    "rustix",
    "tempfile",
    "tower",
    "tower-http",
    "hyper",
    "bytes",
    "arc-swap",
    "parking_lot",
    "tracing",
    "metrics",
    "uuid",
];

/// A line of the map.
struct Row {
    name: String,
    pure: bool,
    uses: Vec<String>,
    owns: Vec<String>,
}

/// A package as its manifest says.
struct Package {
    directory: PathBuf,
    dependencies: Vec<String>,
    dev_dependencies: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn backticked(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn map() -> Vec<Row> {
    let text = fs::read_to_string(root().join("crates/README.md")).unwrap();
    let mut pure = false;
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            pure = title.starts_with("Pure");
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [name, _decides, uses, owns] = cells.as_slice()
            && name.starts_with('`')
        {
            let name = name.trim_matches('`').to_owned();
            rows.push(Row { name, pure, uses: backticked(uses), owns: backticked(owns) });
        }
    }
    assert!(rows.len() > 10, "the tables of crates/README.md were not found");
    rows
}

/// Every package of the workspace by its name in the map.
fn packages() -> BTreeMap<String, Package> {
    let entries = |path: &str| root().join(path).read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut directories: Vec<PathBuf> = entries("crates").chain(entries("examples")).collect();
    directories.retain(|directory| directory.is_dir());
    directories.push(root().join("tests"));
    let read = |directory: PathBuf| {
        let manifest: Table = fs::read_to_string(directory.join("Cargo.toml")).unwrap().parse().unwrap();
        let names = |section: &str| -> Vec<String> {
            manifest
                .get(section)
                .and_then(|table| table.as_table())
                .into_iter()
                .flatten()
                .map(|(k, _)| k.clone())
                .collect()
        };
        let mut dependencies = names("dependencies");
        dependencies.extend(names("build-dependencies"));
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        (name, Package { directory, dependencies, dev_dependencies: names("dev-dependencies") })
    };
    directories.into_iter().map(read).collect()
}

/// The name in the map of a dependency that is a package of the workspace.
fn internal<'a>(dependency: &'a str, map: &[Row]) -> Option<&'a str> {
    let name = dependency.strip_prefix("perennial-").unwrap_or(dependency);
    map.iter().any(|row| row.name == name).then_some(name)
}

fn is_owned(pattern: &str, dependency: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => dependency.starts_with(prefix),
        None => dependency == pattern,
    }
}

#[test]
fn the_map_names_every_package_and_no_other() {
    let in_map: BTreeSet<String> = map().into_iter().map(|row| row.name).collect();
    let in_workspace: BTreeSet<String> = packages().into_keys().collect();
    assert_eq!(in_map, in_workspace);
}

#[test]
fn the_arrows_of_the_map_are_those_of_the_manifests() {
    let map = map();
    let packages = packages();
    for row in &map {
        let used =
            packages[&row.name].dependencies.iter().filter_map(|dependency| internal(dependency, &map));
        let used: BTreeSet<&str> = used.collect();
        let ordered: Vec<&str> =
            map.iter().map(|row| row.name.as_str()).filter(|name| used.contains(name)).collect();
        assert_eq!(
            row.uses, ordered,
            "crates/README.md, line of `{}`: the right side is what its manifest says",
            row.name
        );
    }
}

#[test]
fn arrows_go_up_only_and_pure_crates_stay_among_themselves() {
    let map = map();
    for (i, row) in map.iter().enumerate() {
        for used in &row.uses {
            let above = map[..i].iter().find(|other| other.name == *used);
            let above =
                above.unwrap_or_else(|| panic!("`{}` uses `{used}`, which is not above it", row.name));
            assert!(!row.pure || above.pure, "`{}` is pure, but uses `{used}`, which is not", row.name);
        }
    }
}

#[test]
fn gateway_and_orchestrator_do_not_know_each_other() {
    let map = map();
    let row = |name: &str| map.iter().find(|row| row.name == name).unwrap();
    assert!(!row("orchestrator").uses.contains(&"gateway".to_owned()));
    assert!(!row("gateway").uses.contains(&"orchestrator".to_owned()));
}

#[test]
fn each_outside_system_has_one_owner() {
    let map = map();
    for (name, package) in &packages() {
        for dependency in &package.dependencies {
            let owner = map.iter().find(|row| row.owns.iter().any(|pattern| is_owned(pattern, dependency)));
            if let Some(owner) = owner {
                assert_eq!(
                    owner.name, *name,
                    "`{dependency}` belongs to `{}`, but `{name}` depends on it",
                    owner.name
                );
            }
        }
    }
}

#[test]
fn every_system_that_the_map_gives_to_a_crate_is_one_of_its_dependencies() {
    let packages = packages();
    for row in map() {
        for pattern in &row.owns {
            let dependencies = &packages[&row.name].dependencies;
            let there = dependencies.iter().any(|dependency| is_owned(pattern, dependency));
            assert!(there, "`{}` owns `{pattern}` in the map, but does not depend on it", row.name);
        }
    }
}

#[test]
fn pure_crates_depend_on_nothing_of_the_world_and_forbid_it_by_name() {
    let packages = packages();
    for row in map().iter().filter(|row| row.pure) {
        let package = &packages[&row.name];
        for dependency in &package.dependencies {
            assert!(
                !WORLD.contains(&dependency.as_str()),
                "`{}` is pure, but depends on `{dependency}`",
                row.name
            );
        }
        assert!(
            !package.dev_dependencies.contains(&"tokio".to_owned()),
            "tests of `{}` need no tokio",
            row.name
        );
        let settings = package.directory.join(".clippy.toml");
        let settings: Table = fs::read_to_string(&settings)
            .unwrap_or_else(|error| panic!("{}: {error}", settings.display()))
            .parse()
            .unwrap();
        let forbidden = settings["disallowed-methods"].as_array().unwrap();
        let paths: Vec<&str> = forbidden.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
        for path in
            ["std::time::SystemTime::now", "std::time::Instant::now", "std::env::var", "std::fs::read"]
        {
            assert!(paths.contains(&path), "crates/{}/.clippy.toml does not forbid {path}", row.name);
        }
    }
}
