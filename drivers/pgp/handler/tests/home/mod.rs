// SPDX-License-Identifier: MIT OR Apache-2.0
//! A GnuPG of a test's own, with keys of its own.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that goes with the test, and what time it is for its gpg.
pub struct Home(PathBuf, AtomicU32);

/// When gpg is asked for the first time. Each time after that is a second later: what comes first when is not left to the clock, which may
/// be set while a test runs.
const BEGIN: u32 = 1_700_000_000;

impl Home {
    pub fn new() -> Self {
        Self(directory(), AtomicU32::new(BEGIN))
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("GNUPGHOME", &self.0)
            .env("LC_ALL", "C.UTF-8")
            .current_dir(&self.0);
        command
    }

    /// gpg, a second later than before.
    fn command_of_gpg(&self) -> Command {
        let now = self.1.fetch_add(1, Ordering::Relaxed);
        let mut command = self.command("gpg");
        command.arg(format!("--faked-system-time={now}!"));
        command
    }

    /// What gpg writes to its output; it has to succeed.
    pub fn gpg(&self, arguments: &[&str]) -> Vec<u8> {
        let always = [
            "--batch",
            "--yes",
            "--no-tty",
            "--quiet",
            "--trust-model",
            "always",
        ];
        let mut command = self.command_of_gpg();
        let output = command.args(always).args(arguments).output();
        succeeded(output.expect("gpg is there"), arguments)
    }

    /// Has somebody sit at `gpg --edit-key`.
    pub fn edit(&self, key: &str, input: &str) {
        self.write("typed", input.as_bytes());
        let typed = std::fs::File::open(self.0.join("typed")).unwrap();
        let mut command = self.command_of_gpg();
        command.args([
            "--no-tty",
            "--quiet",
            "--status-fd",
            "2",
            "--command-fd",
            "0",
        ]);
        let output = command.args(["--edit-key", key]).stdin(typed).output();
        succeeded(output.expect("gpg is there"), &["--edit-key", key]);
    }

    pub fn fingerprint(&self, key: &str) -> String {
        first_fingerprint(&self.gpg(&["--with-colons", "--list-keys", key]))
    }

    /// Of a key that is in a file only.
    pub fn fingerprint_of_file(&self, name: &str) -> String {
        first_fingerprint(&self.gpg(&[
            "--trust-model",
            "pgp",
            "--with-colons",
            "--show-keys",
            name,
        ]))
    }

    /// Revokes a key by what was made with it for that day.
    pub fn revoke(&self, key: &str) {
        let name = format!("openpgp-revocs.d/{}.rev", self.fingerprint(key));
        let text = String::from_utf8(self.read(&name)).unwrap();
        // A colon guards it.
        self.write("revocation", text.replace("\n:-----", "\n-----").as_bytes());
        self.gpg(&["--import", "revocation"]);
    }

    /// `gpg --list-packets`
    pub fn list(&self, input: &[u8]) -> String {
        self.write("listed", input);
        let mut command = self.command_of_gpg();
        command.args(["--batch", "--no-tty", "--list-packets", "listed"]);
        // It fails where it has no key to check a signature, and lists all the same.
        let output = command.output().expect("gpg is there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// One that nobody had before. The agent's socket is in it, so its path has to be short.
fn directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("umd-pgp-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut make = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
        match make.create(&path) {
            Ok(()) => return path,
            // Left by a test that was killed, whose process had the same number.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}

fn first_fingerprint(list: &[u8]) -> String {
    let list = String::from_utf8_lossy(list);
    let mut lines = list.lines().filter(|line| line.starts_with("fpr:"));
    let line = lines.next().unwrap();
    line.split(':').nth(9).unwrap().to_owned()
}

fn succeeded(output: Output, arguments: &[&str]) -> Vec<u8> {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "gpg {arguments:?}: {errors}");
    output.stdout
}

impl Drop for Home {
    fn drop(&mut self) {
        let mut command = self.command("gpgconf");
        command.args(["--kill", "all"]);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
