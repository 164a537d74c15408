// SPDX-License-Identifier: MIT OR Apache-2.0
//! Modules: Rust objects, C and handlers put together by the kernel's own build, in a folder of their own.
//!
//! `target/umd/K/` then holds the modules, `Module.symvers`, `include/` and `build`, a link to the kernel's
//! build tree; `test/` holds the modules that are not shipped.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::kernel::Kernel;
use crate::rustkernel::Builder;
use crate::setup::{self, Setup};
use crate::{bpf, check, cmodules, paths, progress, run};

/// A driver module of this source tree.
struct Driver {
    /// The module's name.
    name: &'static str,
    /// The crate that is its manager, or its loader.
    manager: &'static str,
    /// The program that is its handler; none where another module carries it.
    handler: Option<&'static str>,
    /// What it has of `kernel/shim/driver` besides its entry.
    shim: &'static [&'static str],
    /// Whether it is for users, or only for tests and benchmarks.
    shipped: bool,
}

const DRIVERS: &[Driver] = &[
    Driver {
        name: "sample_umd",
        manager: "drivers/sample/manager",
        handler: Some("sample-handler"),
        shim: &["securityfs.c"],
        shipped: true,
    },
    Driver {
        name: "bpfilter_umd",
        manager: "drivers/bpfilter/manager",
        handler: None,
        shim: &["sockopt.c"],
        shipped: true,
    },
    Driver {
        name: "bpfilter_umd_loader",
        manager: "drivers/bpfilter/loader",
        handler: Some("bpfilter-handler"),
        shim: &[],
        shipped: true,
    },
    Driver {
        name: "umd_pgp",
        manager: "drivers/pgp/manager",
        handler: Some("pgp-handler"),
        shim: PGP_SHIM,
        shipped: true,
    },
    Driver {
        name: "umd_pgp_hostile",
        manager: "drivers/pgp/manager",
        handler: Some("pgp-hostile-handler"),
        shim: PGP_SHIM,
        shipped: false,
    },
    Driver {
        name: "umd_test",
        manager: "tests/vm/manager",
        handler: Some("hostile-handler"),
        shim: &["securityfs.c"],
        shipped: false,
    },
    Driver {
        name: "umd_bench",
        manager: "benches/vm/manager",
        handler: Some("bench-handler"),
        shim: &["securityfs.c"],
        shipped: false,
    },
];

/// What the PGP driver has, whoever sits in its seat.
const PGP_SHIM: &[&str] = &[
    "securityfs.c",
    "keys.c",
    "hash.c",
    "verify.c",
    "source.c",
    "log.c",
];

/// The program that umd.ko carries: it prepares processes for handlers that know nothing of umd.
const LAUNCHER: &str = "umd-launcher";

/// In a module's folder: stands for a build that ended well, and tells what went into it.
const STAMP: &str = ".umd-built";

/// Modules that were built for a kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Modules {
    /// Those for users.
    pub(crate) shipped: Vec<PathBuf>,
    /// Those for tests and benchmarks only.
    pub(crate) test: Vec<PathBuf>,
}

/// Builds all modules for a kernel, as far as anything changed.
pub(crate) fn build(kernel: &Kernel, setup: Setup) -> Result<Modules> {
    let builder = builder(kernel, setup)?;
    progress::step(
        &format!("kernel {}: building modules", kernel.name),
        Duration::from_secs(10),
        || build_all(kernel, &builder),
    )
}

/// Builds umd.ko for a kernel, and the module in a folder against it.
pub(crate) fn build_foreign(kernel: &Kernel, setup: Setup, folder: &ForeignFolder) -> Result<()> {
    let builder = builder(kernel, setup)?;
    let umd = progress::step(
        &format!("kernel {}: building umd.ko", kernel.name),
        Duration::from_secs(10),
        || build_umd(kernel, &builder, &handlers(&[])?),
    )?;
    progress::print(&publish(&umd.ko, &kernel.out())?.display().to_string());
    let symvers = kernel.out().join("Module.symvers");
    // No other module of ours exports anything.
    paths::write_if_changed(&symvers, &paths::read(&umd.symvers)?)?;
    let mut make = kbuild(kernel, &folder.0, &[&symvers]);
    progress::note(&run::shown(&make));
    let status = make.status().context("cannot run make")?;
    if !status.success() {
        bail!(
            "the build of {} for kernel {} failed ({status})",
            folder.0.display(),
            kernel.name
        );
    }
    Ok(())
}

/// A folder from elsewhere that the kernel's build can make a module of.
#[derive(Clone, Debug)]
pub(crate) struct ForeignFolder(PathBuf);

impl FromStr for ForeignFolder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let folder = fs::canonicalize(text).map_err(|error| format!("{text}: {error}"))?;
        if !folder.is_dir() {
            return Err(format!("{text} is no directory; a module is built in one"));
        }
        if !folder.join("Kbuild").is_file() && !folder.join("Makefile").is_file() {
            return Err(format!(
                "{text} holds neither a Kbuild nor a Makefile with `obj-m := my_driver.o`"
            ));
        }
        Ok(Self(folder))
    }
}

fn builder(kernel: &Kernel, setup: Setup) -> Result<Builder> {
    setup.packages(setup::BUILD)?;
    setup.packages(bpf::PACKAGES)?;
    if kernel.build.join("vmlinux").is_file() {
        setup.packages(&["pahole"])?;
    }
    Builder::new(setup, kernel.needs.kasan)
}

/// umd.ko as it was built, with what it exports.
struct Umd {
    ko: PathBuf,
    symvers: PathBuf,
    /// The symbols that the kernel and umd.ko export.
    symbols: BTreeSet<String>,
}

fn build_umd(kernel: &Kernel, builder: &Builder, handlers: &Path) -> Result<Umd> {
    let root = paths::root();
    let out = kernel.out();
    copy_tree(&root.join("kernel/include"), &out.join("include"))?;
    link(&kernel.build, &out.join("build"))?;

    let umd_object = builder.object("umd", &root.join("crates/umd-kernel"), &["host"])?;
    let umd = Folder::new(kernel, "umd")?;
    umd.put(
        Path::new("launcher.blob"),
        &paths::read(&handlers.join(LAUNCHER))?,
    )?;
    umd.copy(&files_of(&root.join("kernel"))?)?;
    for (name, content) in bpf::skeleton()? {
        umd.put(&name, &content)?;
    }
    umd.put(Path::new("umd_rust.bin"), &paths::read(&umd_object)?)?;
    let mut symbols = exported(&kernel.build.join("Module.symvers"))?;
    let ko = umd.make(&[], &[], &symbols)?;
    if kernel.needs.slowness == 1 {
        check::umd_size(&paths::read(&ko)?)?;
    }
    let symvers = umd.path.join("Module.symvers");
    symbols.extend(exported(&symvers)?);
    Ok(Umd {
        ko,
        symvers,
        symbols,
    })
}

fn build_all(kernel: &Kernel, builder: &Builder) -> Result<Modules> {
    let (root, out) = (paths::root(), kernel.out());
    let names: Vec<&str> = { DRIVERS.iter() }
        .filter_map(|driver| driver.handler)
        .collect();
    let handlers = handlers(&names)?;
    let Umd {
        ko: umd_ko,
        symvers: umd_symvers,
        symbols,
    } = build_umd(kernel, builder, &handlers)?;
    let slow: &[&str] = if kernel.needs.slowness > 1 {
        &["slow"]
    } else {
        &[]
    };
    // One after the other, for they share crates; the kernel's builds then run side by side.
    let objects = DRIVERS
        .iter()
        .map(|driver| {
            let features = if driver.shipped { &[] } else { slow };
            builder.object(driver.name, &root.join(driver.manager), features)
        })
        .collect::<Result<Vec<_>>>()?;
    let folders = thread::scope(|scope| {
        let jobs: Vec<_> = DRIVERS
            .iter()
            .zip(&objects)
            .map(|(driver, object)| {
                scope.spawn(|| {
                    build_driver(kernel, driver, object, &handlers, &umd_symvers, &symbols)
                })
            })
            .collect();
        jobs.into_iter()
            .map(|job| {
                job.join()
                    .unwrap_or_else(|_| Err(anyhow!("a build thread panicked")))
            })
            .collect::<Result<Vec<_>>>()
    })?;

    let mut symvers = fs::read_to_string(&umd_symvers)?;
    let mut modules = cmodules::build(kernel, &umd_symvers, &symbols)?;
    modules.shipped.insert(0, publish(&umd_ko, &out)?);
    for (driver, folder) in DRIVERS.iter().zip(&folders) {
        let ko = folder.path.join(format!("{}.ko", driver.name));
        if driver.shipped {
            modules.shipped.push(publish(&ko, &out)?);
            symvers += &fs::read_to_string(folder.path.join("Module.symvers")).unwrap_or_default();
        } else {
            modules.test.push(publish(&ko, &out.join("test"))?);
        }
    }
    paths::write_if_changed(&out.join("Module.symvers"), symvers.as_bytes())?;
    Ok(modules)
}

fn build_driver(
    kernel: &Kernel,
    driver: &Driver,
    object: &Path,
    handlers: &Path,
    umd_symvers: &Path,
    symbols: &BTreeSet<String>,
) -> Result<Folder> {
    let root = paths::root();
    let manager = root.join(driver.manager);
    let shim = root.join("kernel/shim/driver");
    let part = |name: &str| (PathBuf::from(name), shim.join(name));
    let own = c_files(&manager)?;
    let folder = Folder::new(kernel, driver.name)?;
    let kbuild = ("Kbuild".into(), root.join("kernel/driver.Kbuild"));
    folder.copy(&[kbuild, part("driver.h"), part("entry.c")])?;
    let parts: Vec<_> = driver.shim.iter().map(|name| part(name)).collect();
    folder.copy(&parts)?;
    folder.copy(&own)?;
    folder.put(Path::new("driver_rust.bin"), &paths::read(object)?)?;
    if let Some(name) = driver.handler {
        let handler = paths::read(&handlers.join(name))?;
        if driver.shipped {
            check::handler_size(name, handler.len() as u64)?;
        }
        folder.put(Path::new("handler.blob"), &handler)?;
    }
    let c_files: Vec<String> = parts
        .iter()
        .chain(&own)
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".c"))
        .collect();
    let mut variables = vec![format!("UMD_PARTS={}", c_files.join(" "))];
    if driver.handler.is_some() {
        variables.push("UMD_HANDLER=handler.blob".to_owned());
    }
    folder.make(&variables, &[umd_symvers], symbols)?;
    Ok(folder)
}

/// The folder in which the kernel's build makes one module.
pub(crate) struct Folder {
    kernel: Kernel,
    module: String,
    path: PathBuf,
}

impl Folder {
    /// A build that did not end well is begun anew: what it made already would not be complained of again.
    pub(crate) fn new(kernel: &Kernel, module: &str) -> Result<Self> {
        let path = kernel.out().join("obj").join(module);
        if path.exists() && !path.join(STAMP).is_file() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(Self {
            kernel: kernel.clone(),
            module: module.to_owned(),
            path,
        })
    }

    fn put(&self, name: &Path, content: &[u8]) -> Result<()> {
        paths::write_if_changed(&self.path.join(name), content)
    }

    pub(crate) fn copy(&self, sources: &[(PathBuf, PathBuf)]) -> Result<()> {
        sources
            .iter()
            .try_for_each(|(name, source)| self.put(name, &paths::read(source)?))
    }

    /// Runs the kernel's build unless nothing changed since it last succeeded; returns the module.
    ///
    /// `variables` are for the Kbuild file.
    fn make(
        &self,
        variables: &[String],
        extra_symbols: &[&Path],
        exported: &BTreeSet<String>,
    ) -> Result<PathBuf> {
        let mut make = kbuild(&self.kernel, &self.path, extra_symbols);
        make.arg(format!("UMD_MODULE={}", self.module));
        make.args(variables);
        self.run(make, &[&self.module], extra_symbols, exported)?;
        Ok(self.module(&self.module))
    }

    /// Runs the build of a folder that has a Kbuild of its own, for these modules.
    pub(crate) fn make_own(
        &self,
        modules: &[&str],
        extra_symbols: &[&Path],
        exported: &BTreeSet<String>,
    ) -> Result<()> {
        let make = kbuild(&self.kernel, &self.path, extra_symbols);
        self.run(make, modules, extra_symbols, exported)
    }

    /// Where one of its modules is.
    pub(crate) fn module(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.ko"))
    }

    fn run(
        &self,
        mut make: Command,
        modules: &[&str],
        extra_symbols: &[&Path],
        exported: &BTreeSet<String>,
    ) -> Result<()> {
        let stamp = self.path.join(STAMP);
        let key = format!("{:016x}", self.key(&make, extra_symbols)?);
        let there = modules.iter().all(|name| self.module(name).is_file());
        if there && fs::read_to_string(&stamp).is_ok_and(|old| old == key) {
            return Ok(());
        }
        if stamp.is_file() {
            fs::remove_file(&stamp)?;
        }
        let output = run::output(&mut make)?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let file = modules
            .iter()
            .map(|name| format!("{name}.ko"))
            .collect::<Vec<_>>()
            .join(", ");
        let context = || format!("building {file} for kernel {}", self.kernel.name);
        check::lacks(&file, &check::undefined_in(&stderr), &self.kernel.release)?;
        if !output.status.success() {
            let said = run::both(&output);
            bail!("{}: `{}` failed:\n{said}", context(), run::shown(&make));
        }
        check::kbuild_is_silent(&stdout, &stderr).with_context(context)?;
        let own = self::exported(&self.path.join("Module.symvers"))?;
        let known = exported.union(&own).cloned().collect();
        for name in modules {
            let ko = self.module(name);
            let file = format!("{name}.ko");
            check::imports(&file, &paths::read(&ko)?, &known, &self.kernel.release)?;
        }
        paths::write_if_changed(&stamp, key.as_bytes())
    }

    /// Changes when a source, the kernel, or what else the module is built from changes.
    fn key(&self, make: &Command, extra_symbols: &[&Path]) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        run::shown(make).hash(&mut hasher);
        self.kernel.release.hash(&mut hasher);
        self.kernel.build.hash(&mut hasher);
        let sources = ["c", "h", "S", "bin", "blob"];
        let headers = paths::files_below(&self.kernel.out().join("include"))?;
        for path in paths::files_below(&self.path)?.into_iter().chain(headers) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let extension = path.extension().unwrap_or_default().to_string_lossy();
            let made_here = name.ends_with(".mod.c");
            if !made_here && (sources.contains(&&*extension) || name == "Kbuild") {
                path.hash(&mut hasher);
                paths::read(&path)?.hash(&mut hasher);
            }
        }
        for path in extra_symbols {
            paths::read(path)?.hash(&mut hasher);
        }
        Ok(hasher.finish())
    }
}

/// The kernel's build for the module in a folder.
fn kbuild(kernel: &Kernel, folder: &Path, extra_symbols: &[&Path]) -> Command {
    let mut make = Command::new("make");
    let processors = thread::available_parallelism().map_or(1, usize::from);
    // A make above us would tell ours about a job server that it cannot reach.
    make.env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .env("LC_ALL", "C")
        .arg(format!("-j{processors}"))
        .arg("-C")
        .arg(kernel.out().join("build"))
        .arg(format!("M={}", folder.display()))
        // The kernel's own, older usermode_driver.h wins over -I in any other place.
        .arg(format!(
            "NOSTDINC_FLAGS=-I{}",
            kernel.out().join("include").display()
        ));
    if !extra_symbols.is_empty() {
        let files: Vec<String> = extra_symbols
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        make.arg(format!("KBUILD_EXTRA_SYMBOLS={}", files.join(" ")));
    }
    make.arg("modules");
    make
}

/// Builds the launcher and these handlers; returns the directory that they are in.
fn handlers(names: &[&str]) -> Result<PathBuf> {
    let target = paths::umd().join("cargo/handlers");
    let mut cargo = run::cargo();
    cargo
        .args([
            "build",
            "--quiet",
            "--profile=handler",
            "--target=x86_64-unknown-linux-gnu",
            "--target-dir",
        ])
        .arg(&target)
        .env_remove("RUSTFLAGS");
    cargo.args(["--bin", LAUNCHER]);
    for handler in names {
        cargo.args(["--bin", handler]);
    }
    // Programs named with --bin are looked for in the default members only.
    cargo.arg("--workspace");
    run::stdout(&mut cargo)?;
    Ok(target.join("x86_64-unknown-linux-gnu/handler"))
}

/// The files of a directory and those below it, by their names within it.
pub(crate) fn files_of(directory: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let files = paths::files_below(directory)?;
    Ok(files
        .into_iter()
        .filter_map(|path| Some((path.strip_prefix(directory).ok()?.to_path_buf(), path)))
        .collect())
}

/// The C sources and headers that lie in a directory, by their names.
fn c_files(directory: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let c = |path: &PathBuf| {
        path.extension()
            .is_some_and(|ending| ending == "c" || ending == "h")
    };
    let files = paths::entries(directory)?.into_iter().filter(c);
    Ok(files
        .filter_map(|path| Some((path.file_name()?.into(), path)))
        .collect())
}

/// Makes `to` hold what `from` holds, and nothing else.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let files = files_of(from)?;
    for (name, source) in &files {
        paths::write_if_changed(&to.join(name), &paths::read(source)?)?;
    }
    for (name, path) in files_of(to)? {
        if !files.iter().any(|(known, _)| *known == name) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Makes `link` a link to `target`, whatever it was before.
fn link(target: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == target) {
        return Ok(());
    }
    if fs::symlink_metadata(link).is_ok() {
        fs::remove_file(link)?;
    }
    paths::create_dir(link.parent().unwrap_or(link))?;
    std::os::unix::fs::symlink(target, link)
        .with_context(|| format!("cannot link {} to {}", link.display(), target.display()))
}

pub(crate) fn publish(module: &Path, directory: &Path) -> Result<PathBuf> {
    let to = directory.join(module.file_name().unwrap_or_default());
    paths::write_if_changed(&to, &paths::read(module)?)?;
    Ok(to)
}

fn exported(symvers: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(symvers)
        .with_context(|| format!("cannot read {}", symvers.display()))?;
    Ok(check::exports(&text).map(str::to_owned).collect())
}
