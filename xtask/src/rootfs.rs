// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a virtual machine finds when it boots: busybox, a real kmod, modules, and what the caller brings.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use crate::initramfs::Initramfs;
use crate::kernel::Kernel;
use crate::{paths, run};

/// The home directory inside the machine.
const HOME: &str = "/root";

/// The names under which kmod does its work.
const KMOD_TOOLS: &[&str] = &["modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod"];

/// The program that is `iptables-legacy` and its like, and the names under which it is them.
const IPTABLES: &str = "/usr/sbin/xtables-legacy-multi";
const IPTABLES_TOOLS: &[&str] = &[
    "iptables-legacy",
    "iptables-legacy-save",
    "iptables-legacy-restore",
    "ip6tables-legacy",
    "ip6tables-legacy-save",
    "ip6tables-legacy-restore",
];
/// What iptables knows of matches and targets.
const IPTABLES_EXTENSIONS: &str = "/usr/lib/x86_64-linux-gnu/xtables";

/// A file, program or directory that is brought along: `SRC[:DST]`.
#[derive(Clone, Debug)]
pub(crate) struct Add {
    source: PathBuf,
    destination: String,
}

impl FromStr for Add {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (source, destination) = match text.rsplit_once(':') {
            Some((source, destination)) if !Path::new(text).exists() => (source, Some(destination)),
            _ => (text, None),
        };
        Self::new(Path::new(source), destination).map_err(|error| format!("{error:#}"))
    }
}

impl Add {
    /// Says where a file goes: by default programs go to /usr/bin, all else to /root.
    pub(crate) fn new(source: &Path, destination: Option<&str>) -> Result<Self> {
        let source = fs::canonicalize(source)
            .with_context(|| format!("no such file: {}", source.display()))?;
        let name = source
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let destination = match destination {
            Some(path) if !path.starts_with('/') => {
                bail!("{path}: the place inside must be an absolute path")
            }
            Some(path) if path.ends_with('/') => format!("{path}{name}"),
            Some(path) => path.to_owned(),
            None if is_program(&source)? => format!("/usr/bin/{name}"),
            None => format!("{HOME}/{name}"),
        };
        Ok(Self {
            source,
            destination,
        })
    }

    /// Where the machine has a file that people may look for among its programs: one that is not
    /// executable.
    pub(crate) fn note(&self) -> Option<String> {
        let in_home = self.destination.starts_with(HOME) && self.source.is_file();
        in_home.then(|| {
            format!(
                "{} is not executable: the machine has it as {}",
                self.source.display(),
                self.destination
            )
        })
    }
}

fn is_program(path: &Path) -> Result<bool> {
    let metadata = fs::metadata(path)?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// How the first process goes about it.
pub(crate) struct Plan<'a> {
    /// Modules to load before anything is mounted.
    pub(crate) early: &'a [String],
    /// The command to run; a shell when there is none.
    pub(crate) command: &'a [String],
    /// Whether somebody types.
    pub(crate) terminal: bool,
    /// Rows and columns of that somebody's terminal.
    pub(crate) size: Option<(String, String)>,
}

/// Makes the whole file system; `scratch` is a directory for what is needed on the way.
pub(crate) fn make(
    kernel: &Kernel,
    modules: &[PathBuf],
    adds: &[Add],
    plan: &Plan<'_>,
    scratch: &Path,
) -> Result<Initramfs> {
    let mut archive = Initramfs::default();
    skeleton(&mut archive)?;
    let dependencies = add_modules(&mut archive, kernel, modules, scratch)?;
    for add in adds {
        if add.source.is_dir() {
            archive.tree(&add.destination, &add.source)?;
        } else if is_program(&add.source)? {
            archive.program(&add.destination, &add.source)?;
        } else {
            archive.copy(&add.destination, &add.source)?;
        }
    }
    let early = load_order(plan.early, &dependencies)?;
    archive.file("/init", 0o755, init_script(kernel, &early, plan));
    let words: Vec<String> = plan.command.iter().map(|word| run::quote(word)).collect();
    archive.file(
        "/etc/umd/command",
        0o644,
        format!("exec {}\n", words.join(" ")),
    );
    Ok(archive)
}

fn skeleton(archive: &mut Initramfs) -> Result<()> {
    for path in [
        "/dev",
        "/proc",
        "/sys",
        "/run",
        "/mnt",
        "/var",
        "/usr/bin",
        "/usr/sbin",
    ] {
        archive.directory(path, 0o755);
    }
    archive.merge_usr();
    archive.directory(HOME, 0o700);
    archive.directory("/tmp", 0o1777);
    archive.device("/dev/console", 5, 1);
    archive.device("/dev/null", 1, 3);
    archive.file(
        "/etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    );
    archive.file("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n");

    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox
        .iter()
        .find(|path| path.is_file())
        .context("there is no busybox: install busybox-static")?;
    for applet in run::stdout(Command::new(busybox).arg("--list-full"))?.lines() {
        archive.link(applet, "/bin/busybox");
    }
    // busybox is among its own applets: the program has to come last.
    archive.program("/bin/busybox", busybox)?;
    let kmod = ["/usr/bin/kmod", "/bin/kmod"].map(Path::new);
    let kmod = kmod
        .iter()
        .find(|path| path.is_file())
        .context("there is no kmod: install it")?;
    // At the end, so that kmod's names win over busybox's.
    archive.program("/usr/bin/kmod", kmod)?;
    for tool in KMOD_TOOLS {
        archive.link(&format!("/sbin/{tool}"), "/usr/bin/kmod");
        archive.link(&format!("/usr/sbin/{tool}"), "/usr/bin/kmod");
    }
    iptables(archive).context("there is no iptables-legacy: install iptables")
}

fn iptables(archive: &mut Initramfs) -> Result<()> {
    archive.program(IPTABLES, Path::new(IPTABLES))?;
    for tool in IPTABLES_TOOLS {
        archive.link(&format!("/usr/sbin/{tool}"), IPTABLES);
    }
    archive.libraries(IPTABLES_EXTENSIONS, Path::new(IPTABLES_EXTENSIONS))
}

/// Adds the kernel's own modules and these, indexed; returns what each of these depends on, by its name.
fn add_modules(
    archive: &mut Initramfs,
    kernel: &Kernel,
    modules: &[PathBuf],
    scratch: &Path,
) -> Result<BTreeMap<String, Vec<String>>> {
    let inside = format!("/lib/modules/{}", kernel.release);
    let stage = scratch.join(format!("modules{inside}"));
    paths::create_dir(&stage.join("updates"))?;
    if let Some(own) = &kernel.modules {
        for entry in paths::entries(own)? {
            let name = entry.file_name().unwrap_or_default();
            if name == "kernel" {
                std::os::unix::fs::symlink(&entry, stage.join(name))?;
                archive.tree(&format!("{inside}/kernel"), &entry)?;
            } else if [
                "modules.order",
                "modules.builtin",
                "modules.builtin.modinfo",
            ]
            .iter()
            .any(|n| name == *n)
            {
                fs::copy(&entry, stage.join(name))?;
            }
        }
    }
    for module in modules {
        let name = module.file_name().unwrap_or_default();
        fs::copy(module, stage.join("updates").join(name))
            .with_context(|| format!("cannot read module {}", module.display()))?;
        archive.copy(
            &format!("{inside}/updates/{}", name.to_string_lossy()),
            module,
        )?;
    }
    let tool = ["/usr/sbin/depmod", "/sbin/depmod"]
        .into_iter()
        .find(|path| Path::new(path).is_file());
    let base = scratch.join("modules");
    run::stdout(
        Command::new(tool.unwrap_or("depmod"))
            .arg("-b")
            .arg(&base)
            .arg(&kernel.release),
    )?;
    for entry in paths::entries(&stage)? {
        if entry.is_file() {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            archive.file(&format!("{inside}/{name}"), 0o644, paths::read(&entry)?);
        }
    }
    let listed = fs::read_to_string(stage.join("modules.dep"))?;
    Ok(listed
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(module, needed)| {
            let full = |path: &str| format!("{inside}/{path}");
            // modules.dep lists a module's needs in the order to unload them.
            let order = needed
                .split_whitespace()
                .rev()
                .map(full)
                .chain([full(module)])
                .collect();
            (module_name(module), order)
        })
        .collect())
}

/// A module's name, from the path of its file: without directory and endings, with underscores.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// The files to load, in order, for these modules and what they depend on.
fn load_order(
    modules: &[String],
    dependencies: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<String>> {
    let mut order: Vec<String> = Vec::new();
    for module in modules {
        let files = dependencies
            .get(&module_name(module))
            .with_context(|| format!("--early {module}: no such module in the virtual machine"))?;
        for file in files {
            if !order.contains(file) {
                order.push(file.clone());
            }
        }
    }
    Ok(order)
}

/// The first process: a shell script that mounts what one expects, runs the command and powers off.
/// /early-modules lists, for the suite, what it loaded while there was no /proc.
fn init_script(kernel: &Kernel, early: &[String], plan: &Plan<'_>) -> String {
    let mut script = String::from(
        "#!/bin/sh\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root\nexport TERM=${TERM:-linux}\n",
    );
    for module in early {
        let _ = writeln!(
            script,
            "insmod {module} || {{ echo 'umd: early {module}: not loaded'; failed=125; }}\n\
             [ -e /proc/version ] || echo {module} >>/early-modules"
        );
    }
    script += "\
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t securityfs securityfs /sys/kernel/security
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
hostname umd
cd /root
";
    let size = plan
        .size
        .as_ref()
        .map(|(rows, columns)| format!(" rows {rows} cols {columns}"));
    script += &match (plan.command.is_empty(), plan.terminal) {
        (true, _) => format!(
            "stty -F /dev/ttyS1 sane{size}\n\
             PS1='umd {name}:\\w# ' setsid -c /bin/sh <>/dev/ttyS1 >&0 2>&1\n",
            name = kernel.name,
            size = size.unwrap_or_default(),
        ),
        (false, true) => format!(
            "stty -F /dev/ttyS1 sane{}\nsetsid -c /bin/sh /etc/umd/command <>/dev/ttyS1 >&0 2>&1\n",
            size.unwrap_or_default()
        ),
        (false, false) => "stty -F /dev/ttyS1 raw -echo\n\
             setsid /bin/sh /etc/umd/command </dev/null >/dev/ttyS1 2>&1\n"
            .to_owned(),
    };
    script += "status=$?\necho ${failed:-$status} >/dev/ttyS2\nsync\npoweroff -f\nsleep 60\n";
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_additions_go() {
        let add: Add = "/bin/sh".parse().expect("a program");
        assert!(add.destination.starts_with("/usr/bin/"), "{add:?}");
        let add: Add = "/etc/passwd:/etc/".parse().expect("a file with a place");
        assert_eq!(add.destination, "/etc/passwd");
        let add: Add = "/etc/passwd".parse().expect("a file");
        assert_eq!(add.destination, format!("{HOME}/passwd"));
        assert!(
            "/etc/passwd:there"
                .parse::<Add>()
                .expect_err("relative")
                .contains("absolute")
        );
        assert!(
            "/no/such/file"
                .parse::<Add>()
                .expect_err("missing")
                .contains("no such file")
        );
    }

    #[test]
    fn what_is_no_program_is_told_with_its_place() {
        let note = |text: &str| text.parse::<Add>().expect("a file").note();
        assert_eq!(note("/bin/sh"), None);
        let told = note("/etc/passwd").expect("a note");
        assert!(told.contains(&format!(
            "is not executable: the machine has it as {HOME}/passwd"
        )));
        assert_eq!(note("/etc/passwd:/srv/passwd"), None);
    }

    #[test]
    fn modules_load_after_what_they_need() {
        let file = |name: &str| format!("/{name}.ko");
        let dependencies = BTreeMap::from([
            ("umd".to_owned(), vec![file("umd")]),
            (
                "sample_umd".to_owned(),
                vec![file("umd"), file("sample_umd")],
            ),
        ]);
        let wanted = ["umd".to_owned(), "sample-umd".to_owned()];
        let order = load_order(&wanted, &dependencies).expect("both are known");
        assert_eq!(order, [file("umd"), file("sample_umd")]);
        assert!(load_order(&["other".to_owned()], &dependencies).is_err());
    }

    #[test]
    fn names_of_modules() {
        assert_eq!(module_name("kernel/net/ip-tables.ko.xz"), "ip_tables");
        assert_eq!(module_name("sample_umd"), "sample_umd");
    }
}
