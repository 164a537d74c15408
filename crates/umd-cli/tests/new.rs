// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `umd new` writes, built and run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with tests that need more of it")]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{umd, umd_in};
use serde_json::Value;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Flags for a fuzz target that any stable compiler knows; those of cargo-fuzz but for the sanitizer's.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1";

fn place() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new");
    fs::create_dir_all(&place).unwrap();
    place
}

/// A driver as `umd new` writes it, where none is.
fn new(name: &str, more: &[&str]) -> PathBuf {
    let directory = place().join(name);
    let _ = fs::remove_dir_all(&directory);
    let arguments = ["new", name, "--umd-path", REPOSITORY];
    let told = umd_in(&place(), &[&arguments[..], more].concat()).fine();
    assert!(told.contains(&format!("cd {name} && cargo run")), "{told}");
    never_late(&directory);
    directory
}

/// Gives the driver a deadline that its handler meets on a busy machine too.
fn never_late(directory: &Path) {
    let library = directory.join("src/lib.rs");
    let text = fs::read_to_string(&library).unwrap();
    let (usual, long) = ("(Duration::from_secs(2))", "(Duration::from_secs(300))");
    let deadline = format!(".deadline{usual}\n");
    assert!(text.contains(&deadline), "{text}");
    let both = format!(".deadline{long}\n        .start_deadline{long}\n");
    fs::write(&library, text.replace(&deadline, &both)).unwrap();
}

/// What cargo's command prints on its standard output. All drivers share the build of their dependencies.
fn cargo(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", place().join("target"))
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = text(&output.stdout);
    assert!(
        output.status.success(),
        "{arguments:?}\n{told}{}",
        text(&output.stderr)
    );
    told
}

/// Builds it, runs it, tests it. Returns its handler.
fn works(directory: &Path) -> String {
    assert_eq!(
        cargo(directory, &["run", "--quiet"], &[]),
        "\"a handler cannot open anything\" has 5 words; the longest has 8 bytes\n"
    );
    assert_eq!(
        cargo(directory, &["run", "--quiet", "--", "größer"], &[]),
        "\"größer\" has 1 words; the longest has 8 bytes\n"
    );
    let tests = cargo(directory, &["test"], &[]);
    for test in [
        "words_are_counted",
        "a_handler_that_is_gone_is_replaced",
        "what_is_no_text_is_refused_and_the_next_one_served",
        "words_are_what_is_between_spaces",
        "absurd_replies_are_refused",
    ] {
        assert!(tests.contains(&format!("{test} ... ok")), "{test}: {tests}");
    }
    cargo(directory, &["fmt", "--all", "--check"], &[]);
    cargo(
        directory,
        &["fmt", "--manifest-path=fuzz/Cargo.toml", "--check"],
        &[],
    );
    let name = directory.file_name().unwrap().to_str().unwrap();
    let handler = handler(&place().join("target/debug/build"), name);
    handler.to_str().unwrap().to_owned()
}

/// The handler that was embedded last.
fn handler(builds: &Path, name: &str) -> PathBuf {
    let builds = fs::read_dir(builds)
        .unwrap()
        .map(|build| build.unwrap().path());
    let file = format!("out/{name}-handler.umd");
    let handlers = builds
        .map(|build| build.join(&file))
        .filter(|file| file.exists());
    handlers
        .max_by_key(|file| fs::metadata(file).unwrap().modified().unwrap())
        .unwrap()
}

fn calls(check: &Value) -> Vec<&str> {
    let calls = check["system_calls"].as_array().unwrap().iter();
    calls.map(|call| call["name"].as_str().unwrap()).collect()
}

fn fits<'v>(check: &'v Value, lockdown: &str) -> &'v str {
    let mut fits = check["lockdowns"].as_array().unwrap().iter();
    let fit = fits.find(|fit| fit["lockdown"] == lockdown).unwrap();
    fit["fits"].as_str().unwrap()
}

#[test]
fn a_new_driver_answers() {
    let directory = new("demo", &[]);
    let handler = works(&directory);
    let check = umd(&["check", &handler, "--lockdown", "strict", "--json"]).fine_json();
    assert_eq!(fits(&check, "strict"), "yes");
    assert!(!calls(&check).contains(&"mmap"));

    let fuzz = [
        "run",
        "--quiet",
        "--manifest-path=fuzz/Cargo.toml",
        "--target=x86_64-unknown-linux-gnu",
    ];
    // Into a directory of the test's, with the fuzzer's own options.
    let options = ["--", "-runs=20000", "-seed=1", "-max_len=100"];
    let target = place().join("fuzz");
    let environment = [
        ("RUSTFLAGS", COVERAGE),
        ("CARGO_TARGET_DIR", target.to_str().unwrap()),
    ];
    cargo(&directory, &[&fuzz[..], &options].concat(), &environment);
}

#[test]
fn a_new_driver_with_a_standard_library_answers() {
    let handler = works(&new("demo-std", &["--std"]));
    umd(&["check", &handler]).fine();
    let check = umd(&["check", &handler, "--lockdown", "strict", "--json"]).found_json();
    assert_eq!(fits(&check, "strict"), "no");
    for call in ["read", "write", "mmap", "munmap", "futex", "exit_group"] {
        assert!(calls(&check).contains(&call), "{call}: {:?}", calls(&check));
    }
}

#[test]
fn nothing_is_overwritten() {
    let place = place();
    let directory = place.join("there");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("mine"), "mine").unwrap();
    fs::write(place.join("file"), "mine").unwrap();
    for name in ["there", "file"] {
        let failed = umd_in(&place, &["new", name, "--umd-path", REPOSITORY]).failed();
        assert!(failed.contains("exists"), "{failed}");
    }
    assert_eq!(fs::read(place.join("file")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

#[test]
fn a_wrong_name_or_place_makes_nothing() {
    let place = place();
    for name in ["9x", "../x", "", "fn", "x y"] {
        let usage = umd_in(&place, &["new", name]).usage();
        assert!(usage.contains("crate"), "{usage}");
    }
    let _ = fs::remove_dir_all(place.join("nowhere"));
    let arguments = ["new", "nowhere", "--umd-path", "/"];
    let failed = umd_in(&place, &arguments).failed();
    assert!(failed.contains("is not umd's source tree"), "{failed}");
    assert!(!place.join("nowhere").exists());
    let json = umd_in(&place, &[&arguments[..], &["--json"]].concat()).failed_json();
    assert!(json["error"].as_str().unwrap().contains("source tree"));
}

#[test]
fn crates_come_from_where_one_says() {
    let place = place();
    for name in ["by-default", "by-version"] {
        let _ = fs::remove_dir_all(place.join(name));
    }
    // From the tree that the command was built from.
    let json = umd_in(&place, &["new", "by-default", "--json"]).fine_json();
    let tree = fs::canonicalize(REPOSITORY).unwrap();
    assert_eq!(json["umd"], tree.to_str().unwrap());
    for file in json["files"].as_array().unwrap() {
        assert!(
            place
                .join("by-default")
                .join(file.as_str().unwrap())
                .is_file(),
            "{file}"
        );
    }
    let manifest = fs::read_to_string(place.join("by-default/Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("umd = {{ path = {:?} }}", tree.join("crates/umd"))));
    let json = umd_in(
        &place,
        &["new", "by-version", "--umd-version", "0.1", "--json"],
    )
    .fine_json();
    assert_eq!(json["umd"], Value::Null);
    let manifest = fs::read_to_string(place.join("by-version/handler/Cargo.toml")).unwrap();
    assert!(manifest.contains("umd-handler = \"0.1\""), "{manifest}");
}
