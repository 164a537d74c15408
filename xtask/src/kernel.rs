// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels: which there are, and how each gets below `target/kernels/`.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::setup::{self, Setup};
use crate::{debugkernel, paths, progress, run};

/// A kernel that can be asked for with `--kernel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    /// A stock kernel of Debian 12, by its version.
    Debian(&'static Debian),
    /// The one that looks for bugs.
    Debug,
    /// The kernel that runs on this machine.
    Host,
    /// A directory that holds a kernel image and its build tree.
    Directory(PathBuf),
}

/// A stock kernel of Debian 12.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Debian {
    name: &'static str,
    image: &'static str,
    headers: &'static str,
}

const DEBIAN: &[Debian] = &[
    Debian {
        name: "6.1",
        image: "linux-image-cloud-amd64",
        headers: "linux-headers-cloud-amd64",
    },
    Debian {
        name: "6.12",
        image: "linux-image-6.12-cloud-amd64",
        headers: "linux-headers-6.12-cloud-amd64",
    },
];

/// A kernel that is ready for use.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// Its name in `target/umd/`.
    pub(crate) name: String,
    /// What `uname -r` says under it.
    pub(crate) release: String,
    /// The image that boots.
    pub(crate) image: PathBuf,
    /// The tree to build modules against.
    pub(crate) build: PathBuf,
    /// The directory with its own modules, if it has any.
    pub(crate) modules: Option<PathBuf>,
    /// What it needs that others do not.
    pub(crate) needs: &'static Needs,
}

/// What a kernel needs of whoever builds for it, and of the machine that it runs on.
#[derive(Debug)]
pub(crate) struct Needs {
    /// How many times longer than on a stock kernel things may take under it.
    pub(crate) slowness: u32,
    /// MiB of memory.
    pub(crate) memory: u32,
    /// Whether our Rust, too, shall check its accesses to memory: the kernel has KASAN.
    pub(crate) kasan: bool,
    /// What it is told when it boots, besides what all are told.
    pub(crate) options: &'static str,
}

/// What kernels that users have need.
const ORDINARY: &Needs = &Needs {
    slowness: 1,
    memory: 1024,
    kasan: false,
    options: "",
};

/// The kernel of this name.
pub(crate) fn named(name: &str) -> Result<Id> {
    name.parse().map_err(anyhow::Error::msg)
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(debian) = DEBIAN.iter().find(|debian| debian.name == text) {
            return Ok(Self::Debian(debian));
        }
        let known =
            "6.1, 6.12, debug, host, or a directory that holds a kernel image and its build tree";
        match text {
            debugkernel::NAME => Ok(Self::Debug),
            "host" => Ok(Self::Host),
            "7.2" => Err(format!(
                "kernel 7.2 is not supported yet; it can be {known}"
            )),
            _ if Path::new(text).is_dir() => fs::canonicalize(text)
                .map(Self::Directory)
                .map_err(|error| format!("cannot find directory {text}: {error}")),
            _ => Err(format!("no such kernel; it can be {known}")),
        }
    }
}

impl Id {
    /// Makes the kernel ready: fetches and unpacks what is not there yet.
    pub(crate) fn prepare(&self, setup: Setup) -> Result<Kernel> {
        match self {
            Self::Debian(debian) => debian.prepare(setup),
            Self::Debug => debugkernel::prepare(setup),
            Self::Host => {
                let release = run::stdout(Command::new("uname").arg("-r"))?
                    .trim()
                    .to_owned();
                let modules = PathBuf::from("/lib/modules").join(&release);
                let image = Path::new("/boot").join(format!("vmlinuz-{release}"));
                let kernel = Kernel {
                    name: "host".into(),
                    image,
                    build: modules.join("build"),
                    modules: Some(modules),
                    release,
                    needs: ORDINARY,
                };
                kernel.checked()
            }
            Self::Directory(directory) => from_directory(directory),
        }
    }
}

impl Kernel {
    /// Where everything that is built for this kernel goes.
    pub(crate) fn out(&self) -> PathBuf {
        paths::umd().join(&self.name)
    }

    pub(crate) fn checked(self) -> Result<Self> {
        if !self.build.join("Makefile").is_file() {
            bail!(
                "kernel {}: no build tree at {}; install the kernel headers of {}",
                self.name,
                self.build.display(),
                self.release
            );
        }
        if !self.image.is_file() {
            bail!(
                "kernel {}: no kernel image at {}",
                self.name,
                self.image.display()
            );
        }
        Ok(self)
    }
}

impl Debian {
    fn prepare(&self, setup: Setup) -> Result<Kernel> {
        let home = paths::kernels().join(self.name);
        // The release, written last: it stands for a kernel that was unpacked to its end.
        let complete = home.join("release");
        if !complete.is_file() {
            if !run::on_path("apt-get") {
                bail!(
                    "kernel {} comes from Debian's packages, and this machine has no apt: \
                     use `host` or a directory that holds a kernel image and its build tree",
                    self.name
                );
            }
            if home.exists() {
                fs::remove_dir_all(&home)
                    .with_context(|| format!("cannot remove {}", home.display()))?;
            }
            let release = setup::retry_updated(|| self.fetch(&home))?;
            paths::write_if_changed(&complete, release.as_bytes())?;
        }
        let release = String::from_utf8(paths::read(&complete)?)?;
        let kernel = Kernel {
            name: self.name.into(),
            image: home.join(format!("boot/vmlinuz-{release}")),
            build: home.join(format!("usr/src/linux-headers-{release}")),
            modules: Some(home.join(format!("lib/modules/{release}"))),
            release,
            needs: ORDINARY,
        }
        .checked()?;
        if let Some(compiler) = compiler_of(&kernel.build) {
            setup.packages(&[&compiler])?;
        }
        Ok(kernel)
    }

    /// Fetches the packages and unpacks them into `home`; returns the kernel's release.
    fn fetch(&self, home: &Path) -> Result<String> {
        let image = dependency(self.image, "linux-image-")?;
        let headers = dependency(self.headers, "linux-headers-")?;
        let common = dependency(&headers, "linux-headers-")?;
        let kbuild = dependency(&headers, "linux-kbuild-")?;
        let release = image.trim_start_matches("linux-image-").to_owned();
        let packages = [&image, &headers, &common, &kbuild].map(String::as_str);
        let debs = download(&format!("kernel {}", self.name), &packages)?;
        progress::step(
            &format!("kernel {}: unpacking", self.name),
            Duration::from_secs(4),
            || {
                paths::create_dir(home)?;
                for deb in &debs {
                    run::stdout(Command::new("dpkg").arg("-x").arg(deb).arg(home))?;
                }
                relocate(home)
            },
        )?;
        Ok(release)
    }
}

/// The package that `package` depends on whose name begins with `prefix`.
fn dependency(package: &str, prefix: &str) -> Result<String> {
    let listed = run::stdout(
        Command::new("apt-cache")
            .env("LC_ALL", "C")
            .args(["depends", package]),
    )?;
    listed
        .lines()
        .filter_map(|line| {
            line.trim_start_matches([' ', '|'])
                .strip_prefix("Depends: ")
        })
        .find(|name| name.starts_with(prefix))
        .map(str::to_owned)
        .with_context(|| format!("Debian's package {package} depends on no {prefix}*"))
}

/// Downloads packages, those that are not there yet, and returns their files.
pub(crate) fn download(what: &str, packages: &[&str]) -> Result<Vec<PathBuf>> {
    let debs = paths::kernels().join("debs");
    paths::create_dir(&debs)?;
    let apt = || {
        let mut command = Command::new("apt-get");
        // The download is our own file: apt's unprivileged user has no business with it.
        command
            .args(["-o", "APT::Sandbox::User=root", "download"])
            .current_dir(&debs);
        command
    };
    let listed = run::stdout(
        Command::new("apt-cache")
            .env("LC_ALL", "C")
            .args(["show", "--no-all-versions"])
            .args(packages),
    )?;
    let fields = |name| {
        listed
            .lines()
            .filter_map(move |line| line.strip_prefix(name))
    };
    let files: Vec<(PathBuf, u64)> = fields("Filename: ")
        .zip(fields("Size: "))
        .filter_map(|(path, size)| {
            Some((debs.join(Path::new(path).file_name()?), size.parse().ok()?))
        })
        .collect();
    if files.len() != packages.len() {
        bail!(
            "apt offers {} of these packages: {}",
            files.len(),
            packages.join(" ")
        );
    }
    let there = |(path, size): &(PathBuf, u64)| fs::metadata(path).is_ok_and(|m| m.len() == *size);
    if !files.iter().all(there) {
        let megabytes = files.iter().map(|(_, size)| size).sum::<u64>() / 1_000_000;
        let name = format!("{what}: downloading {megabytes} MB");
        progress::step(&name, Duration::from_secs(megabytes / 5), || {
            run::stdout(apt().args(packages)).map(drop)
        })?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Makes unpacked headers work from where they are: their Makefile names the installed place.
///
/// A vmlinux among them holds types only, and its presence makes the build of every module ask for pahole:
/// away with it, for modules do without type information.
fn relocate(home: &Path) -> Result<()> {
    for tree in paths::entries(&home.join("usr/src"))? {
        if tree.join("vmlinux").is_file() {
            fs::remove_file(tree.join("vmlinux"))?;
        }
        let makefile = tree.join("Makefile");
        let Ok(text) = fs::read_to_string(&makefile) else {
            continue;
        };
        if let Some(rest) = text.strip_prefix("include /usr/src/") {
            let text = format!("include $(dir $(lastword $(MAKEFILE_LIST)))../{rest}");
            paths::write_if_changed(&makefile, text.as_bytes())?;
        }
    }
    Ok(())
}

/// The package of the compiler that Debian's headers ask for.
fn compiler_of(build: &Path) -> Option<String> {
    let variables = fs::read_to_string(build.join(".kernelvariables")).ok()?;
    let line = variables.lines().find(|line| line.starts_with("CC ="))?;
    let at = line.rfind("gcc-")?;
    Some(line[at..].trim().to_owned())
}

/// A kernel in a directory: a source tree that was built in, or an unpacked set of packages.
fn from_directory(directory: &Path) -> Result<Kernel> {
    let build = std::iter::once(directory.to_path_buf())
        .chain(std::iter::once(directory.join("build")))
        .chain(paths::entries(&directory.join("usr/src")).unwrap_or_default())
        .find(|tree| {
            tree.join("include/config/auto.conf").is_file() || tree.join("Module.symvers").is_file()
        })
        .with_context(|| {
            format!(
                "{} holds no build tree (a directory with Module.symvers)",
                directory.display()
            )
        })?;
    let release = fs::read_to_string(build.join("include/config/kernel.release"))
        .or_else(|_| {
            run::stdout(
                Command::new("make")
                    .args(["-s", "-C"])
                    .arg(&build)
                    .arg("kernelrelease"),
            )
            .map_err(std::io::Error::other)
        })
        .with_context(|| {
            format!(
                "{}: the build tree does not tell its release",
                build.display()
            )
        })?
        .trim()
        .to_owned();
    let image = [
        directory.to_path_buf(),
        directory.join("boot"),
        directory.join("arch/x86/boot"),
    ]
    .iter()
    .flat_map(|place| paths::entries(place).unwrap_or_default())
    .find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name == "bzImage" || name.starts_with("vmlinuz")
    })
    .with_context(|| {
        format!(
            "{} holds no kernel image (bzImage or vmlinuz*)",
            directory.display()
        )
    })?;
    let modules = Some(directory.join("lib/modules").join(&release)).filter(|path| path.is_dir());
    let mut hasher = DefaultHasher::new();
    directory.hash(&mut hasher);
    let last = directory.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{last}-{:08x}", hasher.finish() as u32);
    Kernel {
        name,
        release,
        image,
        build,
        modules,
        needs: ORDINARY,
    }
    .checked()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kernels() {
        assert!(matches!("6.1".parse(), Ok(Id::Debian(debian)) if debian.name == "6.1"));
        assert_eq!("debug".parse(), Ok(Id::Debug));
        assert_eq!("host".parse(), Ok(Id::Host));
        assert!(matches!("/".parse(), Ok(Id::Directory(_))));
        let unknown = "5.4".parse::<Id>().expect_err("no such kernel");
        assert!(unknown.contains("6.12"), "{unknown}");
        let later = "7.2".parse::<Id>().expect_err("not yet");
        assert!(later.contains("not supported yet"), "{later}");
    }

    #[test]
    fn a_directory_without_a_kernel_is_refused() {
        let error = from_directory(Path::new("/proc/self")).expect_err("no build tree");
        assert!(error.to_string().contains("build tree"), "{error}");
    }
}
