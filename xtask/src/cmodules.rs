// SPDX-License-Identifier: MIT OR Apache-2.0
//! Modules in C of this source tree: folders with a Kbuild of their own, as anybody's would be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::kbuild::{self, Folder, Modules};
use crate::kernel::Kernel;
use crate::paths;

/// A folder.
struct CModules {
    /// Its name among the folders that the kernel's build works in.
    name: &'static str,
    /// Where it is.
    source: &'static str,
    /// The modules that its build makes, those first that others need.
    modules: &'static [&'static str],
    /// Whether they are for users, or only for tests.
    shipped: bool,
}

const FOLDERS: &[CModules] = &[
    CModules {
        name: "sample_c",
        source: "drivers/sample-c",
        modules: &["sample_c", "sample_c_loader"],
        shipped: true,
    },
    CModules {
        name: "c_api",
        source: "tests/vm/c-api",
        modules: &[
            "umd_c_api",
            "umd_c_loader",
            "umd_c_old",
            "umd_c_byhand",
            "umd_c_managed",
            "umd_c_managed_loader",
        ],
        shipped: false,
    },
];

/// Builds them all, as far as anything changed.
pub(crate) fn build(
    kernel: &Kernel,
    umd_symvers: &Path,
    symbols: &BTreeSet<String>,
) -> Result<Modules> {
    let out = kernel.out();
    let mut modules = Modules::default();
    for folder in FOLDERS {
        let place = Folder::new(kernel, folder.name)?;
        place.copy(&sources(&paths::root().join(folder.source))?)?;
        place.make_own(folder.modules, &[umd_symvers], symbols)?;
        for name in folder.modules {
            let (list, directory) = if folder.shipped {
                (&mut modules.shipped, out.clone())
            } else {
                (&mut modules.test, out.join("test"))
            };
            list.push(kbuild::publish(&place.module(name), &directory)?);
        }
    }
    Ok(modules)
}

/// What was written by somebody: not what a build in the folder itself has left there.
fn sources(directory: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = kbuild::files_of(directory)?;
    files.retain(|(name, _)| {
        let name = name.to_string_lossy();
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        name == "Kbuild" || matches!(ending, Some("c" | "h" | "S")) && !name.ends_with(".mod.c")
    });
    Ok(files)
}
