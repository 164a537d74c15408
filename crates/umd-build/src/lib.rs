// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds a handler for the program that embeds it, from that program's build script:
//!
//! ```no_run
//! umd_build::handler("../handler").build();
//! ```
//!
//! The package in that directory is built, for release, into `$OUT_DIR/NAME.umd`, from where `umd::include_handler!("NAME")`
//! takes it. NAME is the package's name, or what [`Handler::bin`] says.
//!
//! # What is particular about this build
//!
//! - It is always the same, whatever the outer one is: small, optimized over all crates, without symbols. Flags for the outer
//!   build's code (RUSTFLAGS, wrappers, profiles) are for that code: a sanitizer's or a profiler's runtime has no place in a
//!   handler.
//! - It has a target directory of its own within OUT_DIR. Cargo would wait for the outer build's otherwise, and that for it.
//! - It runs again when a source file of the handler, of a crate that it has by path, or a manifest of these has changed.
//! - It is offline where cargo's settings or `CARGO_NET_OFFLINE` say so. Cargo does not tell build scripts of `--offline`.
//! - It never changes the Cargo.lock of the outer build.
//!
//! # Other files
//!
//! Where `UMD_HANDLER_NAME` is set (the name in upper case, dashes as underscores: `UMD_HANDLER_SAMPLE_HANDLER`), the file with
//! that path is taken and nothing is built: for those who build programs from packages, and for one file in two programs.
//!
//! # What is checked
//!
//! Either file is looked at before it is taken: see [`check`].

#![forbid(unsafe_code)]

pub mod check;
mod error;
mod outer;

use std::path::{Path, PathBuf};
use std::{env, fs};

pub use error::Error;
use outer::Outer;

/// How a handler is built. Made by [`handler`].
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build()`"]
pub struct Handler {
    package: PathBuf,
    bin: Option<String>,
    runtime: Runtime,
    size_max: Option<u64>,
}

/// What a handler is linked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runtime {
    /// Nothing: `umd-handler`.
    Bare,
    /// The standard library: `umd-handler-std`.
    Standard,
}

/// The handler whose package is in this directory, relative to that of the package which is being built.
pub fn handler(package: impl Into<PathBuf>) -> Handler {
    Handler {
        package: package.into(),
        bin: None,
        runtime: Runtime::Bare,
        size_max: None,
    }
}

impl Handler {
    /// The handler has the standard library (`umd-handler-std`) and is linked statically with it.
    pub fn standard_library(mut self) -> Self {
        self.runtime = Runtime::Standard;
        self
    }

    /// The package's program of this name, instead of the one that is called as the package is.
    pub fn bin(mut self, name: impl Into<String>) -> Self {
        self.bin = Some(name.into());
        self
    }

    /// It may have so many bytes: [`check::SIZE_MAX`] otherwise, or [`check::SIZE_MAX_STD`] with the standard library.
    pub fn size_max(mut self, bytes: u64) -> Self {
        self.size_max = Some(bytes);
        self
    }

    /// Builds it. Where that fails the build ends here, and cargo shows why.
    pub fn build(self) {
        if let Err(error) = self.try_build() {
            // Cargo takes one line for each of these.
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
            std::process::exit(1);
        }
    }

    /// Builds it. Returns where it is.
    pub fn try_build(self) -> Result<PathBuf, Error> {
        let outer = Outer::from_environment()?;
        let manifest = outer.package.join(&self.package).join("Cargo.toml");
        if !manifest.is_file() {
            return Err(Error::NoPackage(manifest));
        }
        let package = outer.about(&manifest)?;
        let name = self.bin.clone().unwrap_or(package.name);
        let variable = variable(&name);
        println!("cargo::rerun-if-env-changed={variable}");
        let built = match env::var_os(&variable) {
            Some(path) => {
                let path = PathBuf::from(path);
                println!("cargo::rerun-if-changed={}", path.display());
                path
            }
            None => self.cargo_build(&outer, &manifest, &package.workspace, &name)?,
        };
        let bytes = fs::read(&built).map_err(|error| Error::File(built.clone(), error))?;
        let flaws = check::flaws(&bytes, self.bound());
        if !flaws.is_empty() {
            return Err(Error::Flawed(built, flaws));
        }
        let to = outer.out.join(format!("{name}.umd"));
        fs::write(&to, bytes).map_err(|error| Error::File(to.clone(), error))?;
        Ok(to)
    }

    fn bound(&self) -> u64 {
        self.size_max.unwrap_or(match self.runtime {
            Runtime::Bare => check::SIZE_MAX,
            Runtime::Standard => check::SIZE_MAX_STD,
        })
    }

    /// Has cargo build it. Returns where it is, and tells the outer cargo what it was made from.
    fn cargo_build(
        &self,
        outer: &Outer,
        manifest: &Path,
        workspace: &Path,
        name: &str,
    ) -> Result<PathBuf, Error> {
        let directory = outer.out.join("handler");
        let mut cargo = outer.cargo(self.runtime.flags());
        cargo
            .args(["build", "--quiet", "--release", "--manifest-path"])
            .arg(manifest)
            .args(["--bin", name, "--target", &outer.target, "--target-dir"])
            .arg(&directory)
            // Else one that is set for all of a user's builds would be the outer one's too.
            .env("CARGO_BUILD_BUILD_DIR", &directory);
        let own = outer.about(&outer.package.join("Cargo.toml"))?;
        if own.workspace == workspace {
            // Just made right by the outer build.
            cargo.arg("--locked");
        }
        // What cargo says goes to ours, which cargo shows if it fails.
        let status = cargo
            .status()
            .map_err(|error| Error::Cargo(cargo.get_program().into(), error))?;
        if !status.success() {
            return Err(Error::Build(manifest.to_path_buf()));
        }
        let built = directory.join(&outer.target).join("release").join(name);
        let sources = sources(&built.with_extension("d"))?;
        let manifests = sources.iter().filter_map(|source| manifest_of(source));
        let shared = ["Cargo.toml", "Cargo.lock"].map(|file| workspace.join(file));
        let mut changes: Vec<PathBuf> = manifests.chain(shared).collect();
        changes.extend(sources.iter().cloned());
        changes.sort();
        changes.dedup();
        // One that is not there would have it built each time.
        for path in changes.iter().filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        Ok(built)
    }
}

impl Runtime {
    /// What the compiler is told.
    fn flags(self) -> &'static str {
        match self {
            // A handler's own build script says the rest (`umd_handler::LINK_ARGS`).
            Self::Bare => "",
            Self::Standard => "-Ctarget-feature=+crt-static",
        }
    }
}

/// The environment variable that names another file.
fn variable(name: &str) -> String {
    format!("UMD_HANDLER_{}", name.replace('-', "_").to_uppercase())
}

/// The files that a program was made from, as its `.d` file has them.
fn sources(list: &Path) -> Result<Vec<PathBuf>, Error> {
    let text = fs::read_to_string(list).map_err(|error| Error::File(list.to_path_buf(), error))?;
    Ok(text.lines().flat_map(prerequisites).collect())
}

/// What stands behind the colon of a rule in make's language; a space within a name has a backslash before it.
fn prerequisites(rule: &str) -> Vec<PathBuf> {
    const SPACE: &str = "\\ ";
    // No path of cargo's has one.
    const STAND_IN: &str = "\0";
    let rule = rule.replace(SPACE, STAND_IN);
    let (_, files) = rule.split_once(": ").unwrap_or_default();
    files
        .split_whitespace()
        .map(|file| file.replace(STAND_IN, " ").into())
        .collect()
}

/// The manifest of the package that a source file belongs to.
fn manifest_of(source: &Path) -> Option<PathBuf> {
    source
        .ancestors()
        .skip(1)
        .map(|directory| directory.join("Cargo.toml"))
        .find(|manifest| manifest.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_has_the_name_in_upper_case() {
        assert_eq!(variable("sample-handler"), "UMD_HANDLER_SAMPLE_HANDLER");
    }

    #[test]
    fn a_rule_is_read() {
        let paths = |rule| -> Vec<String> {
            let paths = prerequisites(rule).into_iter();
            paths.map(|path| path.display().to_string()).collect()
        };
        assert_eq!(
            paths("/out/x: /a/b.rs /c\\ d/e.rs"),
            ["/a/b.rs", "/c d/e.rs"]
        );
        assert_eq!(paths("/out\\ of/x: /a"), ["/a"]);
        assert!(paths("/out/x:").is_empty());
        assert!(paths("").is_empty());
    }
}
