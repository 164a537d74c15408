// SPDX-License-Identifier: MIT OR Apache-2.0
//! The build that this one is within, as its environment has it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Error;

/// What a handler is like, as in the profile `handler` of umd's own workspace.
const PROFILE: &[(&str, &str)] = &[
    ("OPT_LEVEL", "s"),
    ("LTO", "fat"),
    ("CODEGEN_UNITS", "1"),
    ("STRIP", "symbols"),
    ("PANIC", "abort"),
    ("DEBUG", "false"),
    ("SPLIT_DEBUGINFO", "off"),
    ("DEBUG_ASSERTIONS", "false"),
    ("OVERFLOW_CHECKS", "false"),
    ("INCREMENTAL", "false"),
    ("RPATH", "false"),
];

/// What is meant for the code of the outer build.
const OTHERS: &[&str] = &[
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_INCREMENTAL",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];

/// The outer build.
#[derive(Debug)]
pub(crate) struct Outer {
    cargo: OsString,
    /// The directory of the package whose build script this is.
    pub(crate) package: PathBuf,
    /// Where build scripts put what they make.
    pub(crate) out: PathBuf,
    /// What is built for.
    pub(crate) target: String,
}

impl Outer {
    /// Reads what cargo has told this build script.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        let of = |variable| env::var_os(variable).ok_or(Error::NoBuildScript(variable));
        let text = |variable| -> Result<String, Error> {
            Ok(of(variable)?.to_string_lossy().into_owned())
        };
        let target = target(&text("TARGET")?)?.to_owned();
        Ok(Self {
            cargo: of("CARGO")?,
            package: of("CARGO_MANIFEST_DIR")?.into(),
            out: of("OUT_DIR")?.into(),
            target,
        })
    }

    /// A cargo that knows nothing of the outer one's flags and has these for the target.
    pub(crate) fn cargo(&self, flags: &str) -> Command {
        let mut cargo = Command::new(&self.cargo);
        for variable in OTHERS {
            cargo.env_remove(variable);
        }
        for (name, value) in PROFILE {
            cargo.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
        }
        // Set, even to nothing, it wins over all other places where flags can be.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
        cargo
    }

    /// What cargo knows of the package with this manifest.
    pub(crate) fn about(&self, manifest: &Path) -> Result<Package, Error> {
        let mut cargo = self.cargo("");
        let output = cargo
            .args([
                "metadata",
                "--no-deps",
                "--format-version=1",
                "--manifest-path",
            ])
            .arg(manifest)
            .output()
            .map_err(|error| Error::Cargo(self.cargo.clone(), error))?;
        let unclear = |why: &str| Error::Unclear(manifest.to_path_buf(), why.to_owned());
        if !output.status.success() {
            return Err(unclear(String::from_utf8_lossy(&output.stderr).trim()));
        }
        let answer: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| unclear(&error.to_string()))?;
        let manifest = manifest.canonicalize();
        let manifest = manifest.map_err(|error| unclear(&error.to_string()))?;
        let packages = answer["packages"].as_array().map(Vec::as_slice);
        let package = packages.unwrap_or_default().iter().find(|package| {
            let path = package["manifest_path"].as_str().map(Path::new);
            path.and_then(|path| path.canonicalize().ok()).as_ref() == Some(&manifest)
        });
        let name = package.and_then(|package| package["name"].as_str());
        match (name, answer["workspace_root"].as_str()) {
            (Some(name), Some(root)) => Ok(Package {
                name: name.to_owned(),
                workspace: root.into(),
            }),
            _ => Err(unclear("it has no [package]")),
        }
    }
}

/// What cargo knows of a package.
#[derive(Debug)]
pub(crate) struct Package {
    /// What it is called.
    pub(crate) name: String,
    /// The directory of its workspace.
    pub(crate) workspace: PathBuf,
}

/// The target that handlers of a program for this one are built for. Not musl's: its programs bring start-up code of their
/// own, which a handler has already.
fn target(triple: &str) -> Result<&str, Error> {
    match triple.split('-').collect::<Vec<_>>()[..] {
        ["x86_64", _, "linux", "gnu"] => Ok(triple),
        _ => Err(Error::Target(triple.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_target_has_handlers() {
        let triple = "x86_64-unknown-linux-gnu";
        assert_eq!(target(triple).expect("a target"), triple);
        for triple in [
            "aarch64-unknown-linux-gnu",
            "x86_64-apple-darwin",
            "x86_64-unknown-linux-gnux32",
            "x86_64-unknown-linux-musl",
            "x86_64-unknown-none",
            "i686-unknown-linux-gnu",
            "",
        ] {
            let error = target(triple).expect_err("no target").to_string();
            assert!(
                error.contains(triple) && error.contains("build for x86_64-unknown-linux-gnu"),
                "{error}"
            );
        }
    }
}
