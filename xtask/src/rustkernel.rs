// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rust for the kernel: one object for each module, built once and linked unchanged for every kernel.
//!
//! No cargo here: `core` is compiled from its sources with the kernel's code model and mitigations, then the
//! crates on top of it with the same flags.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::setup::{self, Setup};
use crate::{check, paths, progress, run};

/// The same for core and for our crates; why each is there is told in docs/building.md.
const FLAGS: &[&str] = &[
    "--target=x86_64-unknown-none",
    "-Cpanic=abort",
    "-Copt-level=2",
    "-Ccodegen-units=1",
    "-Cdebuginfo=0",
    "-Ccode-model=kernel",
    "-Crelocation-model=static",
    "-Cno-redzone=y",
    "-Cforce-frame-pointers=n",
    "-Ctarget-cpu=x86-64",
    "-Cjump-tables=n",
    "-Cembed-bitcode=yes",
    "-Csymbol-mangling-version=v0",
    "-Zcf-protection=branch",
    "-Zfunction-return=thunk-extern",
    "-Zretpoline-external-thunk=yes",
    "-Zindirect-branch-cs-prefix=yes",
    "-Zdirect-access-external-data=y",
    "-Zplt=yes",
    "-Zpatchable-function-entry=16,16",
    "-Zmin-function-alignment=16",
];

/// For a kernel with KASAN: our code asks it before each access, as the kernel's own does. There is one place for
/// its shadow memory on x86-64.
const CHECKED: &[&str] = &[
    "-Zsanitizer=kernel-address",
    "-Zsanitizer-recover=kernel-address",
    "-Cllvm-args=-asan-mapping-offset=0xdffffc0000000000",
    "-Cllvm-args=-asan-instrumentation-with-call-threshold=0",
    "-Cllvm-args=-asan-constructor-kind=none",
    "-Cllvm-args=-asan-stack=0",
    "-Cllvm-args=-asan-globals=0",
];

/// Every `no_std` crate asks for this one by name; the kernel has `memcpy` and the like itself.
const COMPILER_BUILTINS: &str = "#![feature(compiler_builtins)]
#![allow(internal_features)]
#![compiler_builtins]
#![no_std]
";

/// A compiler together with the sources of its core.
struct Toolchain {
    rustc: PathBuf,
    library: PathBuf,
    version: String,
}

/// Builds Rust objects for modules.
pub(crate) struct Builder {
    toolchain: Toolchain,
    /// What the compiler is told besides [`FLAGS`].
    flags: &'static [&'static str],
    home: PathBuf,
    packages: Vec<Package>,
}

/// A crate of the workspace, as far as a build for the kernel needs to know it.
struct Package {
    name: String,
    crate_name: String,
    directory: PathBuf,
    source: PathBuf,
    edition: String,
    /// The name by which the crate uses the other one, and the other one's directory.
    dependencies: Vec<(String, PathBuf)>,
    foreign: Vec<String>,
}

/// A crate that was compiled: its file, and a number that changes when anything that went into it does.
struct Compiled {
    file: PathBuf,
    key: u64,
}

impl Builder {
    /// Finds the compiler, and builds core for the kernel unless that was done before.
    ///
    /// With `kasan` what it builds is for kernels with KASAN only.
    pub(crate) fn new(setup: Setup, kasan: bool) -> Result<Self> {
        let toolchain = Toolchain::find(setup)?;
        let flags = if kasan { CHECKED } else { &[] };
        let home = paths::umd()
            .join("rust")
            .join(format!("{:016x}", toolchain.key(flags)));
        let builder = Self {
            toolchain,
            flags,
            home,
            packages: workspace_packages()?,
        };
        builder.core()?;
        Ok(builder)
    }

    fn sysroot(&self) -> PathBuf {
        self.home.join("sysroot")
    }

    fn core(&self) -> Result<()> {
        let lib = self.sysroot().join("lib/rustlib/x86_64-unknown-none/lib");
        let last = lib.join("libcompiler_builtins.rlib");
        if last.is_file() {
            return Ok(());
        }
        progress::step(
            "building core for the kernel",
            Duration::from_secs(25),
            || {
                let stub = self.home.join("compiler_builtins.rs");
                paths::write_if_changed(&stub, COMPILER_BUILTINS.as_bytes())?;
                paths::create_dir(&lib)?;
                let mut core = self.rustc(Path::new("/dev/null"));
                core.args([
                    "--crate-type=rlib",
                    "--crate-name=core",
                    "--cap-lints=allow",
                ])
                .args([
                    "--edition=2024",
                    "--cfg=no_fp_fmt_parse",
                    "--cfg=feature=\"optimize_for_size\"",
                ])
                .arg("-o")
                .arg(lib.join("libcore.rlib"))
                .arg(self.toolchain.library.join("core/src/lib.rs"));
                run::stdout(&mut core)?;
                let mut builtins = self.rustc(&self.sysroot());
                builtins
                    .args([
                        "--crate-type=rlib",
                        "--crate-name=compiler_builtins",
                        "--edition=2024",
                        "-o",
                    ])
                    .arg(&last)
                    .arg(stub);
                run::stdout(&mut builtins).map(drop)
            },
        )
    }

    fn rustc(&self, sysroot: &Path) -> Command {
        let mut command = Command::new(&self.toolchain.rustc);
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .env_remove("RUSTFLAGS")
            .current_dir(paths::root())
            .args(FLAGS)
            .args(self.flags)
            .arg("--sysroot")
            .arg(sysroot);
        command
    }

    /// Builds the object of a module whose Rust lies in the crate in `directory`, and checks it.
    pub(crate) fn object(
        &self,
        module: &str,
        directory: &Path,
        features: &[&str],
    ) -> Result<PathBuf> {
        let package = self.package(directory)?;
        let variant = [&[module], features].concat().join("-");
        let out = self.home.join("modules").join(variant);
        let archive = out.join(format!("lib{}.a", package.crate_name));
        let object = out.join("rust.o");
        let compiled = self.compile(package, "staticlib", &archive, features)?;
        let stamp = out.join("rust.o.key");
        let key = format!("{:016x}", compiled.key);
        if object.is_file() && fs::read_to_string(&stamp).is_ok_and(|old| old == key) {
            return Ok(object);
        }
        let bytes = own_object(&paths::read(&compiled.file)?)
            .with_context(|| format!("{}", compiled.file.display()))?;
        // With KASAN's calls in between the compiler sees less well what cannot be.
        let good = match self.flags {
            [] => check::rust_object(&bytes),
            _ => check::relocations(&bytes),
        };
        good.with_context(|| {
            format!(
                "the Rust of {module} ({}) cannot go into a kernel",
                package.directory.display()
            )
        })?;
        paths::write_if_changed(&object, &bytes)?;
        paths::write_if_changed(&stamp, key.as_bytes())?;
        Ok(object)
    }

    fn package(&self, directory: &Path) -> Result<&Package> {
        self.packages
            .iter()
            .find(|package| package.directory == directory)
            .with_context(|| {
                format!(
                    "{} is no library crate of the workspace: add it to `members` in Cargo.toml",
                    directory.display()
                )
            })
    }

    /// Compiles a crate and what it depends on, as far as anything changed.
    fn compile(
        &self,
        package: &Package,
        kind: &str,
        out: &Path,
        features: &[&str],
    ) -> Result<Compiled> {
        if let Some(foreign) = package.foreign.first() {
            bail!(
                "crate {} goes into the kernel but depends on {foreign}, which is no crate of this workspace",
                package.name
            );
        }
        let libraries = self.home.join("crates");
        let mut hasher = DefaultHasher::new();
        let mut command = self.rustc(&self.sysroot());
        command
            .arg(format!("--crate-type={kind}"))
            .arg(format!("--crate-name={}", package.crate_name))
            .arg(format!("--edition={}", package.edition))
            // Which cfgs there are is for cargo's own checks to know.
            .args(["-Dwarnings", "--cfg=umd_module", "-Aunexpected_cfgs"])
            .arg(format!("--remap-path-prefix={}=.", paths::root().display()))
            .arg("-L")
            .arg(format!("dependency={}", libraries.display()))
            .arg("-o")
            .arg(out);
        if kind == "staticlib" {
            command.arg("-Clto=fat");
        }
        for feature in features {
            command.arg(format!("--cfg=feature=\"{feature}\""));
        }
        for (name, directory) in &package.dependencies {
            let dependency = self.package(directory)?;
            let file = libraries.join(format!("lib{}.rlib", dependency.crate_name));
            let compiled = self.compile(dependency, "rlib", &file, &[])?;
            compiled.key.hash(&mut hasher);
            command
                .arg("--extern")
                .arg(format!("{name}={}", compiled.file.display()));
        }
        command.arg(&package.source);
        run::shown(&command).hash(&mut hasher);
        let sources = package.source.parent().unwrap_or(&package.directory);
        for path in paths::files_below(sources)? {
            path.hash(&mut hasher);
            paths::read(&path)?.hash(&mut hasher);
        }
        let key = hasher.finish();
        let stamp = out.with_extension("key");
        let text = format!("{key:016x}");
        if !out.is_file() || !fs::read_to_string(&stamp).is_ok_and(|old| old == text) {
            paths::create_dir(out.parent().unwrap_or(&self.home))?;
            let output = run::output(&mut command)?;
            let said = run::both(&output);
            if !output.status.success() || !said.is_empty() {
                bail!(
                    "crate {} does not compile cleanly for the kernel:\n{said}",
                    package.name
                );
            }
            paths::write_if_changed(&stamp, text.as_bytes())?;
        }
        Ok(Compiled {
            file: out.to_path_buf(),
            key,
        })
    }
}

impl Toolchain {
    /// The compiler that the user has with rustup if it brings core's sources, else Debian's.
    fn find(setup: Setup) -> Result<Self> {
        if let Some(toolchain) = Self::of(Path::new("rustc")) {
            return Ok(toolchain);
        }
        let debian = ["rustc-web", "rust-web-src"];
        if !debian.iter().all(|package| setup::installed(package)) {
            if run::on_path("rustup") {
                progress::note(
                    "core's sources are missing: trying `rustup component add rust-src`",
                );
                // Without a network this fails, and Debian's packages are tried next.
                let _ = run::output(Command::new("rustup").args(["component", "add", "rust-src"]));
                if let Some(toolchain) = Self::of(Path::new("rustc")) {
                    return Ok(toolchain);
                }
            }
            setup.packages(&debian).context(
                "building Rust for the kernel needs the sources of core: \
                 `rustup component add rust-src`, or Debian's packages rustc-web and rust-web-src",
            )?;
        }
        Self::of(Path::new("/usr/bin/rustc")).context(
            "Debian's rustc is installed, but the sources of core are not where they belong",
        )
    }

    fn of(rustc: &Path) -> Option<Self> {
        let ask = |argument: &[&str]| {
            run::stdout(
                Command::new(rustc)
                    .current_dir(paths::root())
                    .args(argument),
            )
            .ok()
        };
        let sysroot = ask(&["--print", "sysroot"])?;
        let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
        let library = fs::canonicalize(library).ok()?;
        library.join("core/src/lib.rs").is_file().then_some(())?;
        Some(Self {
            rustc: rustc.to_path_buf(),
            library,
            version: ask(&["--version", "--verbose"])?,
        })
    }

    fn key(&self, flags: &[&str]) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.version, &self.library, FLAGS, COMPILER_BUILTINS).hash(&mut hasher);
        if !flags.is_empty() {
            flags.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The object that a static library was made for: with core merged into it, it is the only one that counts.
fn own_object(archive: &[u8]) -> Result<Vec<u8>> {
    let file = object::read::archive::ArchiveFile::parse(archive)?;
    let mut own = Vec::new();
    for member in file.members() {
        let member = member?;
        if !String::from_utf8_lossy(member.name()).contains("compiler_builtins.") {
            own.push(member.data(archive)?.to_vec());
        }
    }
    match own.len() {
        1 => Ok(own.remove(0)),
        count => bail!("a static library for a module should hold one object, not {count}"),
    }
}

/// What cargo knows of the workspace's library crates.
fn workspace_packages() -> Result<Vec<Package>> {
    let text = run::stdout(run::cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    Ok(packages.iter().filter_map(package).collect())
}

fn package(value: &Value) -> Option<Package> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let library = value["targets"].as_array()?.iter().find(|target| {
        let kinds = target["kind"].as_array();
        kinds.is_some_and(|kinds| {
            kinds
                .iter()
                .any(|kind| kind == "lib" || kind == "rlib" || kind == "staticlib")
        })
    })?;
    let mut package = Package {
        name: text(&value["name"])?,
        crate_name: text(&library["name"])?.replace('-', "_"),
        directory: Path::new(value["manifest_path"].as_str()?)
            .parent()?
            .to_path_buf(),
        source: PathBuf::from(library["src_path"].as_str()?),
        edition: text(&library["edition"])?,
        dependencies: Vec::new(),
        foreign: Vec::new(),
    };
    for dependency in value["dependencies"].as_array()? {
        if !dependency["kind"].is_null() || dependency["optional"] == true {
            continue;
        }
        let name = dependency["rename"]
            .as_str()
            .or_else(|| dependency["name"].as_str())?;
        match dependency["path"].as_str() {
            Some(path) => package
                .dependencies
                .push((name.replace('-', "_"), path.into())),
            None => package.foreign.push(name.to_owned()),
        }
    }
    Some(package)
}
