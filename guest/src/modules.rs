// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel modules: in by modprobe or directly, out by delete_module(2) as rmmod does it.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;

use crate::time::{ms, within};

/// delete_module(2): do not wait until nobody uses the module.
const O_NONBLOCK: i32 = 0o4000;

/// Our modules, those last that others need.
const OURS: &[&str] = &[
    "sample_umd",
    "sample_c_loader",
    "sample_c",
    "bpfilter_umd_loader",
    "bpfilter_umd",
    "umd_test",
    "umd_bench",
    "umd_pgp",
    "umd_pgp_hostile",
    "umd_c_loader",
    "umd_c_api",
    "umd_c_old",
    "umd_c_byhand",
    "umd_c_managed_loader",
    "umd_c_managed",
    "umd",
];

/// Loads a module and what it depends on.
pub(crate) fn load(name: &str) -> Result<()> {
    load_with(name, &[])
}

/// Loads a module with these parameters, `name=value`.
pub(crate) fn load_with(name: &str, parameters: &[&str]) -> Result<()> {
    let output = Command::new("modprobe")
        .arg(name)
        .args(parameters)
        .output()
        .context("cannot run modprobe")?;
    ensure!(
        output.status.success(),
        "modprobe {name}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// The file of one of our modules.
pub(crate) fn file(name: &str) -> Result<PathBuf> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let path = format!("/lib/modules/{}/updates/{name}.ko", release.trim());
    Ok(PathBuf::from(path))
}

/// Loads a module from its file, as insmod does.
pub(crate) fn insert(file: &Path) -> Result<(), Errno> {
    insert_with(file, c"")
}

/// The same with parameters, separated by spaces.
pub(crate) fn insert_with(file: &Path, parameters: &CStr) -> Result<(), Errno> {
    let file = File::open(file).map_err(|_| Errno::NOENT)?;
    rustix::system::finit_module(&file, parameters, 0)
}

/// A parameter of a module that is loaded.
pub(crate) fn parameter(module: &str, name: &str) -> Option<String> {
    let value = fs::read_to_string(format!("/sys/module/{module}/parameters/{name}")).ok()?;
    Some(value.trim().to_owned())
}

/// Unloads a module, as rmmod does.
pub(crate) fn remove(name: &str) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    rustix::system::delete_module(&name, O_NONBLOCK)
}

/// Unloads a module that nobody uses any more. A process that has just ended gives back its
/// reference to umd.ko a moment later, hence the patience.
pub(crate) fn unload(name: &str) -> Result<()> {
    let mut last = Errno::AGAIN;
    within(
        ms(5_000),
        &format!("{name} can be unloaded"),
        || match remove(name) {
            Ok(()) | Err(Errno::NOENT) => true,
            Err(error) => {
                last = error;
                false
            }
        },
    )
    .with_context(|| format!("{last}, used {:?} times", users(name)))
}

/// Whether a module is loaded.
pub(crate) fn is_loaded(name: &str) -> bool {
    Path::new("/sys/module").join(name).exists()
}

/// How many references to a module there are.
pub(crate) fn users(name: &str) -> Result<usize> {
    let path = format!("/sys/module/{name}/refcnt");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    Ok(text.trim().parse()?)
}

/// How many modules depend on a module.
pub(crate) fn holders(name: &str) -> usize {
    fs::read_dir(format!("/sys/module/{name}/holders")).map_or(0, Iterator::count)
}

/// Our modules that are loaded.
pub(crate) fn ours() -> Vec<&'static str> {
    OURS.iter()
        .copied()
        .filter(|name| is_loaded(name))
        .collect()
}
