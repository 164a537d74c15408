// SPDX-License-Identifier: MIT OR Apache-2.0
//! Set-up: the Debian packages that the other commands need, installed where they are missing.

use std::io::{IsTerminal, Write};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::{progress, run};

/// What it takes to build modules.
pub(crate) const BUILD: &[&str] = &["gcc", "make", "libc6-dev", "libelf1", "kmod"];
/// What it takes to build modules and run them in virtual machines.
pub(crate) const VM: &[&str] = &[
    "gcc",
    "make",
    "libc6-dev",
    "libelf1",
    "kmod",
    "busybox-static",
    "iptables",
    "qemu-system-x86",
];

/// What the tests of the user-space host look at its system calls with.
pub(crate) const USER: &[&str] = &["strace"];

/// What the PGP driver's tests have keys, signatures and packages made with.
pub(crate) const PGP: &[&str] = &["gnupg", "rpm"];

/// What the PGP driver's tests ask where it is on the machine: not every system has it.
pub(crate) const PGP_WISHED: &[&str] = &["sqv"];

/// What it takes to build the fuzz targets: the fuzzer is C++.
pub(crate) const FUZZ: &[&str] = &["g++", "libc6-dev"];

/// A program that tells that a package is there, for machines without dpkg.
const PROGRAMS: &[(&str, &str)] = &[
    ("gcc", "gcc"),
    ("gcc-12", "gcc-12"),
    ("g++", "g++"),
    ("make", "make"),
    ("kmod", "kmod"),
    ("clang", "clang"),
    ("busybox-static", "busybox"),
    ("iptables", "xtables-legacy-multi"),
    ("qemu-system-x86", "qemu-system-x86_64"),
    ("strace", "strace"),
    ("gnupg", "gpg"),
    ("rpm", "rpmbuild"),
];

/// Held while apt runs: two of them, in parts that run side by side, would only refuse each other.
static APT: Mutex<()> = Mutex::new(());

/// How to go about set-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Do not ask before packages are installed.
    pub(crate) yes: bool,
}

impl Setup {
    /// Sees to it that these packages are installed.
    pub(crate) fn packages(self, wanted: &[&str]) -> Result<()> {
        if !run::on_path("dpkg-query") || !run::on_path("apt-get") {
            return without_dpkg(wanted);
        }
        let _one_at_a_time = APT.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<&str> = wanted.iter().copied().filter(|p| !installed(p)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        progress::note(&format!(
            "These packages are missing and will be installed: {}",
            missing.join(" ")
        ));
        if !self.agreed()? {
            bail!(
                "not installed; do it yourself: apt-get install {}",
                missing.join(" ")
            );
        }
        let mut install = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
        install.extend(&missing);
        as_root(&install)?;
        progress::step("installing packages", Duration::from_secs(60), || {
            retried(|| run::stdout(&mut as_root(&install)?).map(drop))
        })
    }

    /// Installs these packages where that is possible, and goes on without them where it is not.
    pub(crate) fn wished(self, packages: &[&str]) {
        if let Err(error) = self.packages(packages) {
            let names = packages.join(" ");
            progress::note(&format!("{names}: tests go on without: {error:#}"));
        }
    }

    /// Sees to it that cargo can format and lint: by rustup where it is at home, else by Debian's packages.
    pub(crate) fn cargo_tools(self) -> Result<()> {
        let tools = [
            ("fmt", "rustfmt", "rustfmt-web"),
            ("clippy", "clippy", "rust-web-clippy"),
        ];
        for (tool, component, package) in tools {
            let there = || {
                run::output(run::cargo().args([tool, "--version"]))
                    .is_ok_and(|output| output.status.success())
            };
            if there() {
                continue;
            }
            progress::note(&format!("cargo {tool} is missing and will be installed"));
            if run::on_path("rustup") {
                run::stdout(Command::new("rustup").args(["component", "add", component]))?;
            } else {
                self.packages(&[package])?;
            }
            if !there() {
                bail!("`cargo {tool}` is still missing: install it for the cargo that you use");
            }
        }
        Ok(())
    }

    fn agreed(self) -> Result<bool> {
        if self.yes || !std::io::stdin().is_terminal() {
            return Ok(true);
        }
        eprint!("Install them now? [Y/n] ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(matches!(
            answer.trim().to_lowercase().as_str(),
            "" | "y" | "yes"
        ))
    }
}

/// Tries something that reads apt's lists; when it fails, fetches fresh lists and tries once more.
pub(crate) fn retry_updated<T>(attempt: impl Fn() -> Result<T>) -> Result<T> {
    let _one_at_a_time = APT.lock().unwrap_or_else(PoisonError::into_inner);
    retried(attempt)
}

fn retried<T>(attempt: impl Fn() -> Result<T>) -> Result<T> {
    let lists_are_there = std::fs::read_dir("/var/lib/apt/lists").is_ok_and(|list| {
        list.flatten()
            .any(|file| file.file_name().to_string_lossy().contains("_Packages"))
    });
    if lists_are_there && let Ok(value) = attempt() {
        return Ok(value);
    }
    progress::step("apt-get update", Duration::from_secs(10), || {
        let update =
            as_root(&["apt-get", "update"]).and_then(|mut command| run::stdout(&mut command));
        // One dead source must not stop us: what counts is whether the next attempt succeeds.
        if let Err(error) = update {
            progress::note(&format!("apt-get update: {error:#}"));
        }
        Ok(())
    })?;
    attempt()
}

/// Whether a Debian package is installed.
pub(crate) fn installed(package: &str) -> bool {
    run::output(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
        .is_ok_and(|output| output.status.success() && output.stdout == b"installed")
}

/// A command that runs as root: as it is when we are, through sudo when not.
fn as_root(words: &[&str]) -> Result<Command> {
    let root = run::stdout(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = if root {
        Command::new("env")
    } else if run::on_path("sudo") {
        let mut sudo = Command::new("sudo");
        if !std::io::stdin().is_terminal() {
            sudo.arg("--non-interactive");
        }
        sudo.arg("env");
        sudo
    } else {
        bail!(
            "this needs root, and there is no sudo: run `{}` as root",
            words.join(" ")
        );
    };
    command.arg("DEBIAN_FRONTEND=noninteractive").args(words);
    Ok(command)
}

fn without_dpkg(wanted: &[&str]) -> Result<()> {
    let missing: Vec<String> = PROGRAMS
        .iter()
        .filter(|(package, program)| wanted.contains(package) && !run::on_path(program))
        .map(|(package, program)| format!("{program} (Debian's package {package})"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "this machine has no apt, so packages cannot be installed here; missing: {}",
        missing.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_apt_missing_programs_are_named() {
        assert!(without_dpkg(&["libc6-dev"]).is_ok());
        let known = without_dpkg(&["gcc", "make"]).map_err(|e| e.to_string());
        assert!(known.is_ok() || known.is_err_and(|e| e.contains("Debian's package")));
    }
}
