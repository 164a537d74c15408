// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel that looks for bugs: Debian's source in a small configuration with what the kernel has to check itself.
//!
//! It is built once, in `target/kernels/debug`, and again when its configuration, `xtask/debug.config`, changes.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::kernel::{Kernel, Needs, download};
use crate::setup::{self, Setup};
use crate::{paths, progress, run};

/// What `--kernel` calls it, and its directory.
pub(crate) const NAME: &str = "debug";

/// Debian's package with the source, and what it unpacks to.
const SOURCE: &str = "linux-source-6.12";

/// What it takes to build a kernel, besides what modules take.
const PACKAGES: &[&str] = &[
    "bc",
    "bison",
    "flex",
    "gcc",
    "libc6-dev",
    "libelf-dev",
    "libssl-dev",
    "make",
    "pahole",
    "xz-utils",
];

const NEEDS: &Needs = &Needs {
    // Each access to memory, and each lock, costs a check.
    slowness: 10,
    // What the checks keep account in.
    memory: 2048,
    kasan: false,
    // Freed memory is written over and has a fence, and both are looked at later. BPF and the log are for root, as
    // Debian has it.
    options: "slab_debug=FZP sysctl.kernel.unprivileged_bpf_disabled=2 sysctl.kernel.dmesg_restrict=1",
};

/// The kernel, built as far as that has not been done.
pub(crate) fn prepare(setup: Setup) -> Result<Kernel> {
    let home = paths::kernels().join(NAME);
    let wanted = paths::read(&paths::root().join("xtask/debug.config"))?;
    // Both are written last: they stand for a source, and a kernel, that are there to their end.
    let (unpacked, built) = (home.join("source"), home.join("built"));
    setup.packages(PACKAGES)?;
    if !unpacked.is_file() {
        let version = setup::retry_updated(|| unpack(&home))?;
        paths::write_if_changed(&unpacked, version.as_bytes())?;
    }
    let mut hasher = DefaultHasher::new();
    (&wanted, paths::read(&unpacked)?).hash(&mut hasher);
    let key = format!("{:016x}", hasher.finish());
    if !fs::read_to_string(&built).is_ok_and(|old| old == key) {
        build(&home, &wanted)?;
        paths::write_if_changed(&built, key.as_bytes())?;
    }
    let build = build_tree(&home);
    let release = fs::read_to_string(build.join("include/config/kernel.release"))?;
    let release = release.trim().to_owned();
    Kernel {
        name: NAME.into(),
        image: build.join("arch/x86/boot/bzImage"),
        modules: Some(home.join("root/lib/modules").join(&release)),
        build,
        release,
        needs: NEEDS,
    }
    .checked()
}

/// Where it is built.
fn build_tree(home: &Path) -> PathBuf {
    home.join("build")
}

/// Fetches the source and unpacks it; returns the package's file name, which tells its version.
fn unpack(home: &Path) -> Result<String> {
    let debs = download(&format!("kernel {NAME}"), &[SOURCE])?;
    let deb = debs.first().context("apt downloaded nothing")?;
    progress::step(
        &format!("kernel {NAME}: unpacking"),
        Duration::from_secs(25),
        || {
            if home.exists() {
                fs::remove_dir_all(home)
                    .with_context(|| format!("cannot remove {}", home.display()))?;
            }
            let package = home.join("package");
            paths::create_dir(&package)?;
            run::stdout(Command::new("dpkg").arg("-x").arg(deb).arg(&package))?;
            let archive = package.join(format!("usr/src/{SOURCE}.tar.xz"));
            run::stdout(
                Command::new("tar")
                    .arg("-C")
                    .arg(home)
                    .arg("-xf")
                    .arg(&archive),
            )?;
            fs::remove_dir_all(&package).context("cannot remove the unpacked package")
        },
    )?;
    let name = deb.file_name().unwrap_or_default();
    Ok(name.to_string_lossy().into_owned())
}

/// Configures the source and builds image and modules, in the background of whatever else the machine does.
fn build(home: &Path, wanted: &[u8]) -> Result<()> {
    let (tree, root) = (build_tree(home), home.join("root"));
    let fragment = home.join("fragment");
    paths::create_dir(&tree)?;
    paths::write_if_changed(&fragment, wanted)?;
    let make = || {
        let mut make = Command::new("nice");
        let processors = thread::available_parallelism().map_or(1, usize::from);
        make.args(["-n", "19", "make"])
            .env_remove("MAKEFLAGS")
            .env_remove("MFLAGS")
            .env("LC_ALL", "C")
            .env("KCONFIG_ALLCONFIG", &fragment)
            .arg(format!("-j{processors}"))
            .arg("-C")
            .arg(home.join(SOURCE))
            .arg(format!("O={}", tree.display()));
        make
    };
    run::stdout(make().arg("allnoconfig"))?;
    let config = fs::read_to_string(tree.join(".config"))?;
    taken(&String::from_utf8_lossy(wanted), &config)?;
    let name = format!("kernel {NAME}: building, once");
    progress::step(&name, Duration::from_secs(1200), || {
        run::stdout(make().args(["bzImage", "modules"])).map(drop)
    })?;
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    let mut install = make();
    install
        .arg(format!("INSTALL_MOD_PATH={}", root.display()))
        .args(["INSTALL_MOD_STRIP=1", "modules_install"]);
    run::stdout(&mut install).map(drop)
}

/// Fails where the kernel's configuration has a line of ours otherwise: an option that is gone, or that needs another.
fn taken(wanted: &str, config: &str) -> Result<()> {
    let lines = |text: &'_ str| -> Vec<String> {
        let options = text
            .lines()
            .filter(|line| line.starts_with("CONFIG_") || line.ends_with(" is not set"));
        options.map(str::to_owned).collect()
    };
    let config = lines(config);
    let lost: Vec<String> = lines(wanted)
        .into_iter()
        .filter(|line| !config.contains(line))
        .collect();
    ensure!(
        lost.is_empty(),
        "the kernel's configuration does not take these lines of xtask/debug.config: {}",
        lost.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_got_lost_are_named() {
        let config = "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n# CONFIG_D is off\n";
        let wanted = "# a comment\nCONFIG_A=y\n\n# CONFIG_C is not set\n";
        taken(wanted, config).expect("all are there");
        let error = taken("CONFIG_A=y\nCONFIG_B=y\nCONFIG_E=y\n", config).expect_err("two are not");
        let text = error.to_string();
        assert!(text.ends_with(": CONFIG_B=y, CONFIG_E=y"), "{text}");
    }
}
