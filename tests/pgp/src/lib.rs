// SPDX-License-Identifier: MIT OR Apache-2.0
//! GnuPG and rpm in directories of their own, which go away with them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::DirBuilder;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The present of most tests: keys are made before.
pub const NOW: u64 = 1_700_000_000;

/// GnuPG in a home of its own.
pub struct Gpg {
    home: PathBuf,
}

impl Default for Gpg {
    fn default() -> Self {
        Self { home: directory() }
    }
}

/// Creates a new directory. The agent creates its socket there, so the path has to be short.
fn directory() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/tmp/umd-pgp-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return path,
            // Left by a test that was killed, whose process had the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}

impl Gpg {
    /// Where it is at home; there is room for a test's files.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Runs gpg.
    pub fn output(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(&self.home)
            .args(["--batch", "--quiet"])
            .args(["--pinentry-mode", "loopback", "--passphrase", ""])
            .arg(format!("--faked-system-time={NOW}!"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg is installed");
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Runs gpg, which must succeed; what it says to its standard output.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.output(arguments, input);
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gpg {arguments:?}: {why}");
        output.stdout
    }

    /// The same, some time before.
    pub fn run_at(&self, time: u64, arguments: &[&str]) {
        let time = format!("--faked-system-time={time}!");
        let mut all = vec![&time[..]];
        all.extend(arguments);
        self.run(&all, &[]);
    }

    /// Makes a primary key; returns its fingerprint.
    pub fn make(&self, user_id: &str, algorithm: &str, usage: &str, expires: &str) -> String {
        self.run_at(
            NOW - 1000,
            &["--quick-gen-key", user_id, algorithm, usage, expires],
        );
        let listing = self.run(
            &["--with-colons", "--list-keys", &format!("={user_id}")],
            &[],
        );
        field(&listing, "fpr", 9)
    }

    /// Makes a subkey.
    pub fn add_subkey(&self, fingerprint: &str, algorithm: &str, usage: &str, expires: &str) {
        self.run_at(
            NOW - 900,
            &["--quick-add-key", fingerprint, algorithm, usage, expires],
        );
    }

    /// Changes a key by commands.
    pub fn run_edit(&self, fingerprint: &str, commands: &[u8]) {
        self.run(
            &[
                "--no-batch",
                "--no-tty",
                "--command-fd=0",
                "--yes",
                "--edit-key",
                fingerprint,
            ],
            commands,
        );
    }

    /// Revokes a key with the certificate that was made with it.
    pub fn revoke(&self, fingerprint: &str) {
        let path = self
            .home
            .join("openpgp-revocs.d")
            .join(format!("{fingerprint}.rev"));
        let certificate = std::fs::read_to_string(path).unwrap();
        // A colon in front keeps people from using it by accident.
        let certificate = certificate.replace(":-----BEGIN", "-----BEGIN");
        self.run(&["--import"], certificate.as_bytes());
    }

    /// A key, not in an armor.
    pub fn export(&self, fingerprint: &str) -> Vec<u8> {
        self.run(&["--export", fingerprint], &[])
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(&self.home)
            .args(["--kill", "gpg-agent"])
            .status();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn field(listing: &[u8], kind: &str, number: usize) -> String {
    String::from_utf8_lossy(listing)
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == kind)
        .map(|fields| fields[number].to_string())
        .unwrap_or_default()
}

const SPEC: &str = "Name: hello
Version: 1
Release: 1
Summary: A package to look at
License: MIT
BuildArch: noarch
%description
It says hello.
%install
mkdir -p %{buildroot}/usr/share/hello
echo hello > %{buildroot}/usr/share/hello/hello
%files
/usr/share/hello/hello
";

/// rpm with directories of its own, in the home of a [`Gpg`].
pub struct Rpm<'g> {
    /// Where its directories are, and whose keys sign.
    pub gpg: &'g Gpg,
}

impl Rpm<'_> {
    /// Runs one of rpm's programs.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let home = self.gpg.home().display();
        let define = |what: &str, value: &str| ["--define".to_string(), format!("{what} {value}")];
        Command::new(program)
            .args(define("_topdir", &format!("{home}/rpm")))
            .args(define("_dbpath", &format!("{home}/db")))
            .args(define("__gpg", "/usr/bin/gpg"))
            .args(define("_gpg_path", &format!("{home}")))
            .args(define(
                "_gpg_sign_cmd_extra_args",
                "--batch --pinentry-mode loopback",
            ))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("rpm is installed")
    }

    /// The same, which must succeed.
    pub fn must(&self, program: &str, arguments: &[&str]) {
        let output = self.run(program, arguments);
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {why}");
    }

    /// A package that is not signed.
    pub fn build(&self) -> PathBuf {
        let spec = self.gpg.home().join("hello.spec");
        std::fs::write(&spec, SPEC).unwrap();
        self.must("rpmbuild", &["-bb", spec.to_str().unwrap()]);
        self.gpg.home().join("rpm/RPMS/noarch/hello-1-1.noarch.rpm")
    }

    /// A signed copy of a package.
    pub fn signed(&self, package: &Path, key: &str, arguments: &[&str]) -> PathBuf {
        let copy = package.with_file_name(format!("{key}{}.rpm", arguments.join("")));
        std::fs::copy(package, &copy).unwrap();
        let name = format!("_gpg_name {key}");
        let sign = ["--define", &name, "--addsign", copy.to_str().unwrap()];
        self.must("rpmsign", &[arguments, &sign].concat());
        copy
    }

    /// Has rpm trust a key.
    pub fn import(&self, key: &str) {
        let path = self.gpg.home().join(format!("{key}.asc"));
        let armored = self.gpg.run(&["--armor", "--export", key], &[]);
        std::fs::write(&path, armored).unwrap();
        self.must("rpmkeys", &["--import", path.to_str().unwrap()]);
    }

    /// Each of its lines that speaks of a signature or the payload, and what it says.
    pub fn checks(&self, package: &Path) -> Vec<(String, bool)> {
        let output = self.run("rpmkeys", &["-Kv", package.to_str().unwrap()]);
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|line| line.contains("Signature") || line.contains("Payload"))
            .map(|line| (line.trim().to_string(), line.ends_with(": OK")))
            .collect()
    }
}
