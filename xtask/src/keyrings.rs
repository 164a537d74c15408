// SPDX-License-Identifier: MIT OR Apache-2.0
//! `keyrings`: every key of Debian's packages of keyrings, as the PGP driver has it and as GnuPG has it; in a program, and in kernels.
//! And what apt has downloaded with such keys' signatures, as gpgv has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::kbuild::{self, Modules};
use crate::kernel::{self, Id, Kernel};
use crate::rootfs::Add;
use crate::setup::{self, Setup};
use crate::test::Length;
use crate::vm::CLOCK_SECONDS;
use crate::{guest, paths, progress, run};

const PACKAGES: &[&str] = &[
    "debian-keyring",
    "debian-archive-keyring",
    "archlinux-keyring",
];

/// Those of their files that are not parts of others.
const RINGS: &[&str] = &[
    "debian-keyring",
    "debian-maintainers",
    "debian-nonupload",
    "debian-role-keys",
    "debian-archive-keyring",
    "debian-archive-removed-keys",
    "archlinux",
];

/// Where in the packages they are.
const RINGS_DIR: &str = "usr/share/keyrings";

/// Where apt keeps what it has downloaded.
const LISTS: &str = "/var/lib/apt/lists";

/// Fetches the keyrings, which are not installed, and compares; prints how many keys agree.
pub(crate) fn run(kernels: &[Id], setup: Setup) -> Result<()> {
    setup.packages(&["gpgv"])?;
    let rings = Rings::fetch(setup)?;
    for (package, what, name) in [
        (
            "pgp-handler",
            "what the handler says",
            "each_packet_is_what_gnupg_lists",
        ),
        ("umd-pgp", "what is believed", "each_key_is_what_gnupg_says"),
    ] {
        rings.compare(package, what, name, &[])?;
    }
    let archive = rings.path("debian-archive-keyring");
    rings.compare(
        "umd-pgp",
        "what apt has downloaded",
        "what_apt_has_downloaded",
        &[
            ("UMD_INRELEASE", signed_lists()?),
            ("UMD_ARCHIVE_KEYRING", archive),
        ],
    )?;
    if kernels.is_empty() {
        return Ok(());
    }
    setup.packages(setup::VM)?;
    let keys = rings.write(1, setup)?;
    let program = guest::build()?;
    for id in kernels {
        let kernel = id.prepare(setup)?;
        let modules = kbuild::build(&kernel, setup)?;
        check(&kernel, &modules, &program, &keys)?;
    }
    Ok(())
}

/// A short test gives kernels one key of so many.
const SHORT: usize = 16;

/// The keys as a kernel is given them, and what it is to say of each: a directory. Keyrings that were fetched before will do.
pub(crate) fn keys(length: Length, setup: Setup) -> Result<PathBuf> {
    let rings = match Rings::at_hand() {
        Some(rings) => rings,
        None => Rings::fetch(setup)?,
    };
    let every = match length {
        Length::Short => SHORT,
        Length::Full => 1,
    };
    rings.write(every, setup)
}

fn home() -> PathBuf {
    paths::umd().join("keyrings")
}

/// The directory of keyrings.
struct Rings(PathBuf);

impl Rings {
    fn at_hand() -> Option<Self> {
        let rings = Self(home().join(RINGS_DIR));
        let are_there = RINGS
            .iter()
            .all(|ring| Path::new(&rings.path(ring)).exists());
        are_there.then_some(rings)
    }

    fn fetch(setup: Setup) -> Result<Self> {
        setup.packages(setup::PGP)?;
        let home = home();
        paths::create_dir(&home)?;
        let download = || kernel::download("keyrings", PACKAGES);
        for deb in setup::retry_updated(download)? {
            run::stdout(Command::new("dpkg").arg("-x").arg(deb).arg(&home))?;
        }
        Ok(Self(home.join(RINGS_DIR)))
    }

    /// Writes one of `every` keys for a kernel.
    fn write(&self, every: usize, setup: Setup) -> Result<PathBuf> {
        setup.packages(&["keyutils"])?;
        let keys = home().join("keys");
        if keys.exists() {
            fs::remove_dir_all(&keys)?;
        }
        paths::create_dir(&keys)?;
        self.compare(
            "umd-pgp",
            "for a kernel",
            "each_key_is_written_for_a_kernel",
            &[
                ("UMD_KEYRINGS_OUT", keys.display().to_string()),
                ("UMD_KEYRINGS_TIME", CLOCK_SECONDS.to_string()),
                ("UMD_KEYRINGS_EVERY", every.to_string()),
            ],
        )?;
        Ok(keys)
    }

    fn path(&self, ring: &str) -> String {
        self.0.join(format!("{ring}.gpg")).display().to_string()
    }

    /// Runs a test of a package's, and prints what it has counted.
    fn compare(
        &self,
        package: &str,
        what: &str,
        test: &str,
        environment: &[(&str, String)],
    ) -> Result<()> {
        let name = format!("keyrings: {what}");
        let rings: Vec<String> = RINGS.iter().map(|ring| self.path(ring)).collect();
        let said = progress::step(&name, Duration::from_secs(60), || {
            run::stdout(
                run::cargo()
                    .args(["test", "--quiet", "--package", package, "--test=keyrings"])
                    .args(["--", "--ignored", "--nocapture", "--exact", test])
                    .env("UMD_KEYRINGS", rings.join(":"))
                    .envs(environment.iter().cloned()),
            )
        })?;
        let counted = |line: &&str| line.contains(" of ") || line.contains(" keys for ");
        let lines: Vec<&str> = said.lines().filter(counted).collect();
        ensure!(!lines.is_empty(), "the test {test} has counted nothing");
        for line in lines {
            progress::print(&format!("# {line}"));
        }
        Ok(())
    }
}

/// The files that apt has downloaded with a signature around them; it is asked to, where it has none.
fn signed_lists() -> Result<String> {
    let lists = setup::retry_updated(|| {
        let lists: Vec<String> = paths::entries(Path::new(LISTS))?
            .iter()
            .map(|path| path.display().to_string())
            .filter(|path| path.ends_with("InRelease"))
            .collect();
        if lists.is_empty() {
            bail!("apt has downloaded no InRelease file");
        }
        Ok(lists)
    })?;
    // A mirror's port is in the name, with a colon.
    Ok(lists.join("\n"))
}

/// Has a kernel look at each of the keys.
pub(crate) fn check(kernel: &Kernel, modules: &Modules, program: &Path, keys: &Path) -> Result<()> {
    let name = format!("keyrings: what Linux {} says", kernel.release);
    progress::step(&name, Duration::from_secs(60), || {
        let machine = guest::machine(kernel, modules, program, &["keyrings"])?
            .adds([
                Add::new(keys, Some("/usr/share/umd-keyrings"))?,
                Add::new(Path::new("/usr/bin/keyctl"), None)?,
            ])
            .deterministic(true);
        let outcome = machine.run_lines(&mut |line| {
            if let Some(said) = line.strip_prefix("# ") {
                progress::print(&format!("# {}: {said}", kernel.name));
            }
        })?;
        outcome.check()
    })
}
