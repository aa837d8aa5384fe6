//! One program for all targets: `PERENNIAL_FUZZ_TARGET` says which one it runs. Everything that reads bytes from
//! outside, or from a disk, has one.

#![no_main]

mod decoders;
mod languages;
mod seeds;
mod stored;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// What a target does with bytes: nothing may panic, run for ever or take memory without bound.
type Target = fn(&[u8]);

/// Every target by its name, as `cargo xtask fuzz` lists them.
const TARGETS: [(&str, Target); 11] = [
    ("json", decoders::json),
    ("csv", decoders::csv),
    ("avro", decoders::avro),
    ("protobuf", decoders::protobuf),
    ("wire", decoders::wire),
    ("writer_schema", decoders::writer_schema),
    ("frames", stored::frames),
    ("parquet", stored::parquet),
    ("snapshot", stored::snapshot),
    ("declarations", languages::declarations),
    ("expression", languages::expression),
];

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PERENNIAL_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("PERENNIAL_FUZZ_TARGET is {name:?}, which is no target")).1
});

/// Where the corpus begins: with inputs that are right, so that mutations of them are nearly right.
fn begin() {
    let name = std::env::var("PERENNIAL_FUZZ_TARGET").unwrap_or_default();
    let Some(corpus) = std::env::var_os("PERENNIAL_FUZZ_CORPUS") else { return };
    for (number, seed) in seeds::of(&name).iter().enumerate() {
        let path = std::path::Path::new(&corpus).join(format!("seed-{number}"));
        std::fs::write(path, seed).expect("the corpus can be written");
    }
}

fuzz_target!(init: begin(), |data: &[u8]| CHOSEN(data));
