// SPDX-License-Identifier: MIT OR Apache-2.0
//! `keyrings`: every key of Debian's packages of keyrings, as the PGP driver has it and as GnuPG has it.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::setup::{self, Setup};
use crate::{kernel, paths, progress, run};

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

/// Fetches the keyrings, which are not installed, and compares; prints how many keys agree.
pub(crate) fn run(setup: Setup) -> Result<()> {
    setup.packages(setup::PGP)?;
    let home = paths::umd().join("keyrings");
    paths::create_dir(&home)?;
    for deb in kernel::download("keyrings", PACKAGES)? {
        run::stdout(Command::new("dpkg").arg("-x").arg(deb).arg(&home))?;
    }
    let directory = home.join("usr/share/keyrings");
    let rings: Vec<String> = RINGS
        .iter()
        .map(|ring| directory.join(format!("{ring}.gpg")).display().to_string())
        .collect();
    for (package, what) in [
        ("pgp-handler", "what the handler says"),
        ("umd-pgp", "what is believed"),
    ] {
        let name = format!("keyrings: {what}");
        let said = progress::step(&name, Duration::from_secs(60), || {
            run::stdout(
                run::cargo()
                    .args(["test", "--quiet", "--package", package])
                    .args(["--test=keyrings", "--", "--ignored", "--nocapture"])
                    .env("UMD_KEYRINGS", rings.join(":")),
            )
        })?;
        for line in said.lines().filter(|line| line.contains(" of ")) {
            progress::print(line);
        }
    }
    Ok(())
}
