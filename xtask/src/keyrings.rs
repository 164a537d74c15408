// SPDX-License-Identifier: MIT OR Apache-2.0
//! `keyrings`: every key of Debian's packages of keyrings, as the PGP driver has it and as GnuPG has it; in a program, and in kernels.
//! And what apt has downloaded with such keys' signatures, as gpgv has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::kernel::{self, Id};
use crate::rootfs::Add;
use crate::setup::{self, Setup};
use crate::{guest, kbuild, paths, progress, run};

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

/// Where apt keeps what it has downloaded.
const LISTS: &str = "/var/lib/apt/lists";

/// Fetches the keyrings, which are not installed, and compares; prints how many keys agree.
pub(crate) fn run(kernels: &[Id], setup: Setup) -> Result<()> {
    setup.packages(setup::PGP)?;
    setup.packages(&["gpgv"])?;
    let home = paths::umd().join("keyrings");
    paths::create_dir(&home)?;
    for deb in kernel::download("keyrings", PACKAGES)? {
        run::stdout(Command::new("dpkg").arg("-x").arg(deb).arg(&home))?;
    }
    let rings = Rings(home.join("usr/share/keyrings"));
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
    let lists = signed_lists()?;
    rings.compare(
        "umd-pgp",
        "what apt has downloaded",
        "what_apt_has_downloaded",
        &[
            ("UMD_INRELEASE", lists),
            ("UMD_ARCHIVE_KEYRING", rings.path("debian-archive-keyring")),
        ],
    )?;
    if kernels.is_empty() {
        return Ok(());
    }
    setup.packages(setup::VM)?;
    setup.packages(&["keyutils"])?;
    let keys = home.join("keys");
    if keys.exists() {
        fs::remove_dir_all(&keys)?;
    }
    paths::create_dir(&keys)?;
    rings.compare(
        "umd-pgp",
        "for a kernel",
        "each_key_is_written_for_a_kernel",
        &[("UMD_KEYRINGS_OUT", keys.display().to_string())],
    )?;
    let program = guest::build()?;
    for id in kernels {
        boot(id, &program, &keys, setup)?;
    }
    Ok(())
}

/// The directory of keyrings.
struct Rings(PathBuf);

impl Rings {
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
        for line in said.lines().filter(counted) {
            progress::print(line);
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
    Ok(lists.join(":"))
}

/// Has a kernel look at each of the keys.
fn boot(id: &Id, program: &Path, keys: &Path, setup: Setup) -> Result<()> {
    let kernel = id.prepare(setup)?;
    let modules = kbuild::build(&kernel, setup)?;
    let name = format!("keyrings: what Linux {} says", kernel.release);
    progress::step(&name, Duration::from_secs(300), || {
        let machine = guest::machine(&kernel, &modules, program, &["keyrings"])?
            .adds([
                Add::new(keys, Some("/usr/share/umd-keyrings"))?,
                Add::new(Path::new("/usr/bin/keyctl"), None)?,
            ])
            .deterministic(true);
        let outcome = machine.run_lines(&mut |line| match line.strip_prefix("# ") {
            Some(said) => progress::print(&format!("{}: {said}", kernel.name)),
            None if line.starts_with("not ok") => progress::print(line),
            None => {}
        })?;
        outcome.check()
    })
}
