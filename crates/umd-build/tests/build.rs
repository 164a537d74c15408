// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs whose build script has a handler built: what it makes, from what, and when again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, str};

use umd_build::check;

/// The limit of a build in seconds. It ends builds that wait for each other. One build takes about
/// ten seconds, and many times that on a busy machine.
const HANG_GUARD: &str = "1800";

/// A program with a build script, and a handler beside it, in a directory of the test's own.
struct Project {
    /// The program's. Cargo would give programs of one name the same OUT_DIR.
    name: String,
    directory: PathBuf,
}

/// The repository that this is.
fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn temporary() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

impl Project {
    /// A program of this build script.
    fn new(name: &str, script: &str) -> Self {
        let directory = temporary().join("build").join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        let name = format!("program-{name}");
        let project = Self { name, directory };
        let umd_build = repository().join("crates/umd-build");
        project.write(
            "program/Cargo.toml",
            &format!(
                "[package]\nname = {:?}\nedition = \"2024\"\n\
                 [build-dependencies]\numd-build = {{ path = {umd_build:?} }}\n[workspace]\n",
                project.name
            ),
        );
        project.write("program/build.rs", &format!("fn main() {{ {script} }}"));
        project.write(
            "program/src/main.rs",
            "fn main() { print!(\"{}\", env!(\"OUT_DIR\")) }",
        );
        project
    }

    /// The same, and a handler `echo-handler` of one source file and a crate of its own.
    fn with_handler(name: &str, script: &str) -> Self {
        let project = Self::new(name, script);
        let umd_handler = repository().join("crates/umd-handler");
        project.write(
            "handler/Cargo.toml",
            &format!(
                "[package]\nname = \"echo-handler\"\nedition = \"2024\"\n\
                 [dependencies]\numd-handler = {{ path = {umd_handler:?} }}\nproto = {{ path = \"../proto\" }}\n\
                 [build-dependencies]\numd-handler = {{ path = {umd_handler:?} }}\n[workspace]\n"
            ),
        );
        project.write(
            "handler/build.rs",
            "fn main() { for a in umd_handler::LINK_ARGS { println!(\"cargo::rustc-link-arg-bins={a}\"); } }",
        );
        project.write(
            "handler/src/main.rs",
            "#![no_std]\n#![no_main]\numd_handler::handler!(request = 64, reply = 64, |_request, reply| {\n\
             reply[..4].copy_from_slice(proto::WORD);\nOk(4)\n});",
        );
        project.write(
            "proto/Cargo.toml",
            "[package]\nname = \"proto\"\nedition = \"2024\"\n",
        );
        project.proto("first");
        project
    }

    fn proto(&self, word: &str) {
        let word = &word[..4];
        self.write(
            "proto/src/lib.rs",
            &format!("#![no_std]\npub static WORD: &[u8; 4] = b{word:?};"),
        );
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.directory.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Has cargo build the program, in this environment besides.
    fn build(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        // Two builds that wait for each other would wait for ever: all of them are ended then.
        let mut cargo = Command::new("timeout");
        cargo
            .args([HANG_GUARD, env!("CARGO"), "build", "--offline"])
            .args(arguments)
            .current_dir(self.directory.join("program"))
            .env("CARGO_TARGET_DIR", temporary().join("build/target"))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        cargo.envs(environment.iter().copied());
        cargo.output().unwrap()
    }

    /// The handler that a build for debugging has left.
    fn built(&self, environment: &[(&str, &str)]) -> PathBuf {
        let output = self.build(&[], environment);
        assert!(output.status.success(), "{}", told(&output));
        self.made("debug")
    }

    /// The handler that lies in the program's OUT_DIR.
    fn made(&self, profile: &str) -> PathBuf {
        let program = temporary()
            .join("build/target")
            .join(profile)
            .join(&self.name);
        let output = Command::new(program).output().unwrap();
        let out = PathBuf::from(str::from_utf8(&output.stdout).unwrap());
        let mut files = fs::read_dir(out).unwrap().map(|file| file.unwrap().path());
        let handler = |path: &PathBuf| path.extension().is_some_and(|end| end == "umd");
        files.find(handler).unwrap()
    }

    /// What is said where the build fails.
    fn complaint(&self, environment: &[(&str, &str)]) -> String {
        let output = self.build(&[], environment);
        assert_eq!(output.status.code(), Some(101), "{}", told(&output));
        told(&output)
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const PLAIN: &str = "umd_build::handler(\"../handler\").build()";

/// All in one test: they would wait for each other's lock otherwise, and the first build's results are for all.
#[test]
fn handlers_are_built() {
    is_built_as_it_should_be_whatever_the_outer_build_is_like();
    is_built_again_when_something_has_changed();
    another_file_is_taken_and_checked();
    what_went_wrong_is_said();
    has_a_standard_library();
}

fn is_built_as_it_should_be_whatever_the_outer_build_is_like() {
    let project = Project::with_handler("plain", PLAIN);
    let path = project.built(&[]);
    assert_eq!(path.file_name().unwrap(), "echo-handler.umd");
    let handler = fs::read(path).unwrap();
    assert_eq!(check::flaws(&handler, 16 * 1024), []);

    let shared = temporary().join("build/shared");
    let shared = shared.to_str().unwrap();
    // A wrapper that no compiler survives, flags that none knows, a profile with all of it, and one directory for all builds.
    let odd = [
        ("CLIPPY_ARGS", "-Dwarnings"),
        ("CARGO_BUILD_BUILD_DIR", shared),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
        ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
        ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
        ("CARGO_PROFILE_RELEASE_PANIC", "unwind"),
        ("CARGO_PROFILE_RELEASE_STRIP", "none"),
        (
            "RUSTFLAGS",
            "-Ctarget-cpu=native -Clink-arg=-pie -Crelocation-model=pic",
        ),
    ];
    // For release and with a target: the very directory that the handler's build would lock.
    let target = "x86_64-unknown-linux-gnu";
    let output = project.build(&["--release", "--target", target], &odd);
    assert!(output.status.success(), "{}", told(&output));
    let again = fs::read(project.made(&format!("{target}/release"))).unwrap();
    assert_eq!(check::flaws(&again, 16 * 1024), []);
    assert!(
        handler == again,
        "{} and {} bytes",
        handler.len(),
        again.len()
    );
}

fn is_built_again_when_something_has_changed() {
    let project = Project::with_handler("again", PLAIN);
    let has = |word: &str| {
        let handler = fs::read(project.built(&[])).unwrap();
        handler.windows(4).any(|bytes| bytes == word.as_bytes())
    };
    assert!(has("firs") && !has("seco"));
    // A crate of the handler's: known to nobody but its build.
    project.proto("second");
    assert!(has("seco") && !has("firs"));
    let output = project.build(&["-v"], &[]);
    assert!(
        told(&output).contains("Fresh program-again"),
        "{}",
        told(&output)
    );
    project.write(
        "proto/Cargo.toml",
        "[package]\nname = \"proto\"\nrust-version = \"9.9\"\n",
    );
    let complaint = project.complaint(&[]);
    assert!(complaint.contains("rustc 9.9"), "{complaint}");
}

fn another_file_is_taken_and_checked() {
    let project = Project::with_handler("file", PLAIN);
    let good = project.built(&[]);
    let file = project.directory.join("other.umd");
    let mut bytes = fs::read(good).unwrap();
    bytes.extend(b"otherwise");
    fs::write(&file, &bytes).unwrap();
    let variable = |path: &Path| path.to_str().unwrap().to_owned();
    let taken = project.built(&[("UMD_HANDLER_ECHO_HANDLER", &variable(&file))]);
    assert!(fs::read(taken).unwrap() == bytes);
    // A change of that file is seen.
    bytes.extend(b", and again");
    fs::write(&file, &bytes).unwrap();
    let taken = project.built(&[("UMD_HANDLER_ECHO_HANDLER", &variable(&file))]);
    assert!(fs::read(taken).unwrap() == bytes);
    // This very program is linked with shared libraries.
    let dynamic = std::env::current_exe().unwrap();
    let complaint = project.complaint(&[("UMD_HANDLER_ECHO_HANDLER", &variable(&dynamic))]);
    for words in [
        "interpreter",
        "libc.so.6",
        "link it statically",
        "at most 1048576",
    ] {
        assert!(complaint.contains(words), "{words}: {complaint}");
    }
    let gone = project.complaint(&[("UMD_HANDLER_ECHO_HANDLER", "/nowhere/x.umd")]);
    assert!(gone.contains("/nowhere/x.umd: No such file"), "{gone}");
}

fn what_went_wrong_is_said() {
    let nowhere = Project::new("nowhere", "umd_build::handler(\"../gone\").build()");
    let complaint = nowhere.complaint(&[]);
    assert!(
        complaint.contains("gone/Cargo.toml: name the handler's directory"),
        "{complaint}"
    );

    let broken = Project::with_handler("broken", PLAIN);
    broken.write(
        "proto/src/lib.rs",
        "#![no_std]\npub static WORD: &[u8; 4] = this_is_not_there;",
    );
    let complaint = broken.complaint(&[]);
    for words in ["does not build", "cannot find value `this_is_not_there`"] {
        assert!(complaint.contains(words), "{words}: {complaint}");
    }

    let name = "umd_build::handler(\"../handler\").bin(\"other\").build()";
    let complaint = Project::with_handler("name", name).complaint(&[]);
    assert!(
        complaint.contains("no bin target named `other`"),
        "{complaint}"
    );

    let size = "umd_build::handler(\"../handler\").size_max(100).build()";
    let complaint = Project::with_handler("size", size).complaint(&[]);
    assert!(complaint.contains("at most 100 are allowed"), "{complaint}");

    // In the hands of the script's own author.
    let hands = "let error = umd_build::handler(\"../gone\").try_build().unwrap_err();\n\
                 assert!(matches!(error, umd_build::Error::NoPackage(_)));\n\
                 std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/x.umd\", \"\").unwrap();";
    Project::new("hands", hands).built(&[]);
}

fn has_a_standard_library() {
    let script = "umd_build::handler(\"../handler\").standard_library().build()";
    let project = Project::with_handler("standard", script);
    fs::remove_file(project.directory.join("handler/build.rs")).unwrap();
    let umd_handler_std = repository().join("crates/umd-handler-std");
    project.write(
        "handler/Cargo.toml",
        &format!(
            "[package]\nname = \"std-handler\"\nedition = \"2024\"\n\
             [dependencies]\numd-handler-std = {{ path = {umd_handler_std:?} }}\n[workspace]\n"
        ),
    );
    project.write(
        "handler/src/main.rs",
        "fn main() { umd_handler_std::main(64, 64, |request, reply| {\n\
         let text = format!(\"{request:?}\");\nreply[..text.len()].copy_from_slice(text.as_bytes());\nOk(text.len()) }) }",
    );
    let path = project.built(&[]);
    assert_eq!(path.file_name().unwrap(), "std-handler.umd");
    let handler = fs::read(path).unwrap();
    assert_eq!(check::flaws(&handler, check::SIZE_MAX_STD), []);
}
