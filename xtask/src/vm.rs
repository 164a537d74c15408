// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual machines: boot a kernel, run one command in it as root, bring back its output and status.
//!
//! The first serial port is the kernel's console, the second the command's terminal; the third carries the
//! command's exit status, so that a machine that died is never taken for a command that succeeded.

use std::fs;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::kernel::Kernel;
use crate::rootfs::{self, Add, Plan};
use crate::verdict::{self, Verdict};
use crate::{paths, progress, run};

/// When the deterministic machine's clock begins.
const CLOCK: &str = "2026-01-01";

/// The same in seconds since 1970.
pub(crate) const CLOCK_SECONDS: u64 = 1_767_225_600;

/// How often a machine that died by the emulator's fault is booted again.
const REBOOTS: u32 = 2;
/// How long a machine may be silent before its boot counts as stuck.
const BOOT_SILENCE: Duration = Duration::from_secs(120);

/// What a machine's random numbers are made of where nothing else is asked for.
const SEED: u32 = 42;

/// What each kernel is told.
const OPTIONS: &str = "console=ttyS0,115200 panic=-1 sysctl.kernel.hung_task_timeout_secs=60";

/// What executes the machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Kvm,
    Tcg,
    /// One instruction takes one nanosecond of the guest's time: every run is the same.
    Deterministic,
}

/// A virtual machine to be.
pub(crate) struct Vm<'a> {
    kernel: &'a Kernel,
    modules: Vec<PathBuf>,
    adds: Vec<Add>,
    early: Vec<String>,
    command: Vec<String>,
    processors: u32,
    deterministic: bool,
    parameters: String,
    silence: Duration,
    seed: u32,
}

/// How a run ended.
pub(crate) struct Outcome {
    /// The command's exit status; none where the machine died before it could tell.
    pub(crate) status: Option<i32>,
    /// What the kernel said.
    pub(crate) console: String,
    /// What in it is wrong.
    pub(crate) verdict: Verdict,
    /// Why the machine was stopped from outside, if it was.
    pub(crate) stopped: Option<String>,
    /// Where the logs of a bad run are.
    pub(crate) logs: PathBuf,
}

impl Outcome {
    /// Fails unless the command succeeded and the kernel had nothing to complain of.
    pub(crate) fn check(&self) -> Result<()> {
        let console = format!(
            "the console's log is {}",
            self.logs.join("console.log").display()
        );
        if let Some(reason) = &self.stopped {
            bail!("{reason}; its end was:\n{}\n{console}", tail(&self.console));
        }
        if let Verdict::Bad(lines) = &self.verdict {
            bail!("the kernel complained:\n{}\n{console}", lines.join("\n"));
        }
        match self.status {
            Some(0) => Ok(()),
            Some(status) => bail!("the command's exit status is {status}; {console}"),
            None => bail!(
                "the machine died; its end was:\n{}\n{console}",
                tail(&self.console)
            ),
        }
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

impl<'a> Vm<'a> {
    /// A machine with one processor that runs a shell.
    pub(crate) fn new(kernel: &'a Kernel) -> Self {
        Self {
            kernel,
            modules: Vec::new(),
            adds: Vec::new(),
            early: Vec::new(),
            command: Vec::new(),
            processors: 1,
            deterministic: false,
            parameters: String::new(),
            silence: Duration::from_secs(600),
            seed: 0,
        }
    }

    /// Modules that are ready for modprobe.
    pub(crate) fn modules(mut self, modules: impl IntoIterator<Item = PathBuf>) -> Self {
        self.modules.extend(modules);
        self
    }

    /// Files to bring along.
    pub(crate) fn adds(mut self, adds: impl IntoIterator<Item = Add>) -> Self {
        self.adds.extend(adds);
        self
    }

    /// Modules to load before anything is mounted.
    pub(crate) fn early(mut self, modules: impl IntoIterator<Item = String>) -> Self {
        self.early.extend(modules);
        self
    }

    /// The command to run.
    pub(crate) fn command(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.command = words.into_iter().map(Into::into).collect();
        self
    }

    /// The number of processors.
    pub(crate) fn processors(mut self, count: u32) -> Self {
        self.processors = count;
        self
    }

    /// Makes every run the same, instruction by instruction, whatever else this machine does.
    pub(crate) fn deterministic(mut self, yes: bool) -> Self {
        self.deterministic = yes;
        self
    }

    /// What a deterministic machine's random numbers are made of.
    pub(crate) fn seed(mut self, seed: u32) -> Self {
        self.seed = seed;
        self
    }

    /// More of the kernel's command line.
    pub(crate) fn parameters(mut self, text: &str) -> Self {
        self.parameters = text.to_owned();
        self
    }

    /// How long the command may go without printing anything.
    pub(crate) fn silence(mut self, limit: Duration) -> Self {
        self.silence = limit;
        self
    }

    /// Boots, and hands what the command prints to `sink` as it comes.
    pub(crate) fn run(&self, sink: &mut dyn FnMut(&[u8])) -> Result<Outcome> {
        let engine = self.engine()?;
        let mut attempt = 0;
        loop {
            let outcome = self.run_once(engine, false, sink)?;
            match &outcome.verdict {
                Verdict::Emulator(lines) if attempt < REBOOTS => {
                    attempt += 1;
                    progress::note(&format!(
                        "an oops before our first module was loaded is the emulator's; booting again ({attempt} of {REBOOTS}):\n{}",
                        lines.join("\n")
                    ));
                }
                Verdict::Emulator(lines) => {
                    let verdict = Verdict::Bad(lines.clone());
                    return Ok(Outcome { verdict, ..outcome });
                }
                _ => return Ok(outcome),
            }
        }
    }

    /// Boots, and hands what the command prints to `sink` line by line.
    pub(crate) fn run_lines(&self, sink: &mut dyn FnMut(&str)) -> Result<Outcome> {
        let mut pending = Vec::new();
        let outcome = self.run(&mut |bytes| {
            for &byte in bytes {
                if byte == b'\n' {
                    sink(String::from_utf8_lossy(&pending).trim_end_matches('\r'));
                    pending.clear();
                } else {
                    pending.push(byte);
                }
            }
        })?;
        if !pending.is_empty() {
            sink(&String::from_utf8_lossy(&pending));
        }
        Ok(outcome)
    }

    /// Boots with the machine's terminal in place of ours, for whoever sits there.
    pub(crate) fn run_on_terminal(&self) -> Result<Outcome> {
        let engine = self.engine()?;
        // The emulator makes the terminal raw; when it is killed it cannot undo that.
        let saved = run_stty(&["-g"]);
        let outcome = self.run_once(engine, true, &mut |_| ());
        if let Some(saved) = saved {
            run_stty(&[saved.trim()]);
        }
        outcome
    }

    fn engine(&self) -> Result<Engine> {
        if self.deterministic {
            return Ok(Engine::Deterministic);
        }
        Ok(if kvm_works(self.kernel)? {
            Engine::Kvm
        } else {
            Engine::Tcg
        })
    }

    fn run_once(
        &self,
        engine: Engine,
        terminal: bool,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Outcome> {
        let home = RunDirectory::new()?;
        let size = terminal.then(|| run_stty(&["size"])).flatten();
        let size = size.and_then(|text| {
            let (rows, columns) = text.trim().split_once(' ')?;
            Some((rows.to_owned(), columns.to_owned()))
        });
        let plan = Plan {
            early: &self.early,
            command: &self.command,
            terminal,
            size,
        };
        let archive = rootfs::make(self.kernel, &self.modules, &self.adds, &plan, &home.path)?;
        archive.write(&home.path.join("initramfs"))?;
        let mut qemu = self.qemu(engine, &home.path)?;
        let stopped = if terminal {
            qemu.stdin(Stdio::inherit()).stdout(Stdio::inherit());
            spawn(&mut qemu)?.wait()?;
            None
        } else {
            qemu.stdin(Stdio::null()).stdout(Stdio::piped());
            self.watch(spawn(&mut qemu)?, &home.path, sink)?
        };
        let read = |name| {
            fs::read(home.path.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let console = read("console.log").unwrap_or_default();
        let status = read("status").unwrap_or_default().trim().parse().ok();
        let complaint = read("qemu.log").unwrap_or_default();
        if console.is_empty() && status.is_none() {
            bail!(
                "the virtual machine did not start: `{}` said:\n{complaint}",
                run::shown(&qemu)
            );
        }
        let verdict = verdict::of(&console);
        let good = status == Some(0) && stopped.is_none() && matches!(verdict, Verdict::Clean);
        let logs = home.finish(good);
        Ok(Outcome {
            status,
            console,
            verdict,
            stopped,
            logs,
        })
    }

    /// Relays the machine's output until it ends, or has been silent for too long.
    fn watch(
        &self,
        mut child: Child,
        home: &Path,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<String>> {
        let stdout = child
            .stdout
            .take()
            .context("the emulator has no standard output")?;
        let child = Mutex::new(child);
        let begin = Instant::now();
        let last = AtomicU64::new(0);
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let watchdog = scope.spawn(|| self.watchdog(&child, home, begin, &last, &ended));
            let relayed = relay(stdout, sink, || {
                last.store(begin.elapsed().as_secs(), Ordering::Relaxed)
            });
            ended.store(true, Ordering::Relaxed);
            child
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .wait()?;
            let stopped = watchdog.join().unwrap_or_default();
            relayed.map(|()| stopped)
        })
    }

    fn watchdog(
        &self,
        child: &Mutex<Child>,
        home: &Path,
        begin: Instant,
        last: &AtomicU64,
        ended: &AtomicBool,
    ) -> Option<String> {
        let length = |name| fs::metadata(home.join(name)).map_or(0, |metadata| metadata.len());
        let mut console = 0;
        while !ended.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
            let now = begin.elapsed().as_secs();
            let grown = length("console.log");
            if grown != console {
                console = grown;
                last.store(now, Ordering::Relaxed);
            }
            let silent = Duration::from_secs(now.saturating_sub(last.load(Ordering::Relaxed)));
            // A kernel that says nothing at all has not even begun to boot.
            let limit = if console == 0 {
                BOOT_SILENCE.min(self.silence)
            } else {
                self.silence
            };
            if silent >= limit {
                let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
                // It may have ended by itself just now.
                let _ = child.kill();
                return Some(format!(
                    "the machine was stopped: it said nothing for {} s",
                    silent.as_secs()
                ));
            }
        }
        None
    }

    fn qemu(&self, engine: Engine, home: &Path) -> Result<Command> {
        const QEMU: &str = "qemu-system-x86_64";
        // The emulator must not outlive us, however we end.
        let mut qemu = if run::on_path("setpriv") {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--pdeathsig", "KILL", QEMU]);
            setpriv
        } else {
            Command::new(QEMU)
        };
        qemu.current_dir(home)
            .args([
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
            ])
            .args(["-m", &self.kernel.needs.memory.to_string()])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .args(["-initrd", "initramfs"])
            .arg("-append")
            .arg(format!(
                "{OPTIONS} {} {}",
                self.kernel.needs.options, self.parameters
            ))
            .args([
                "-chardev",
                "file,id=console,path=console.log",
                "-serial",
                "chardev:console",
            ])
            .args([
                "-chardev",
                "stdio,id=terminal,signal=off",
                "-serial",
                "chardev:terminal",
            ])
            .args([
                "-chardev",
                "file,id=status,path=status",
                "-serial",
                "chardev:status",
            ])
            .stderr(fs::File::create(home.join("qemu.log"))?);
        let processors = self.processors.to_string();
        match engine {
            Engine::Kvm => qemu.args(["-accel", "kvm", "-cpu", "host", "-smp", &processors]),
            Engine::Tcg => qemu.args([
                "-accel",
                "tcg,thread=single",
                "-cpu",
                "max",
                "-smp",
                &processors,
            ]),
            Engine::Deterministic => qemu
                .args([
                    "-accel",
                    "tcg,thread=single",
                    "-icount",
                    "shift=0,sleep=off",
                    "-smp",
                    &processors,
                ])
                .args([
                    "-rtc",
                    &format!("base={CLOCK},clock=vm"),
                    "-seed",
                    &SEED.wrapping_add(self.seed).to_string(),
                    "-cpu",
                    "max,erms=off,fsrm=off",
                ]),
        };
        Ok(qemu)
    }
}

fn spawn(qemu: &mut Command) -> Result<Child> {
    qemu.spawn()
        .with_context(|| format!("cannot run `{}`", run::shown(qemu)))
}

fn relay(
    mut from: ChildStdout,
    sink: &mut dyn FnMut(&[u8]),
    mut alive: impl FnMut(),
) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from
            .read(&mut buffer)
            .context("reading what the virtual machine prints")?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        alive();
        sink(bytes);
    }
}

/// Asks stty about, or tells it to change, the terminal on standard input.
fn run_stty(arguments: &[&str]) -> Option<String> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let output = Command::new("stty")
        .args(arguments)
        .stdin(Stdio::inherit())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether KVM boots this kernel to its end; tried once for each time this machine was booted.
fn kvm_works(kernel: &Kernel) -> Result<bool> {
    static TRIAL: Mutex<()> = Mutex::new(());
    let _one_at_a_time = TRIAL.lock().unwrap_or_else(PoisonError::into_inner);
    if fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        return Ok(false);
    }
    let memory = paths::umd().join("kvm-trial");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if let Ok(text) = fs::read_to_string(&memory)
        && let Some(verdict) = text.strip_prefix(boot.trim())
    {
        return Ok(verdict.trim() == "works");
    }
    let works = progress::step("trying KVM", Duration::from_secs(10), || {
        let trial = Vm::new(kernel)
            .command(["true"])
            .processors(2)
            .silence(Duration::from_secs(20));
        Ok(trial
            .run_once(Engine::Kvm, false, &mut |_| ())
            .is_ok_and(|outcome| outcome.check().is_ok()))
    })?;
    let verdict = if works { "works" } else { "fails" };
    progress::note(&format!("KVM {verdict} on this machine"));
    paths::write_if_changed(&memory, format!("{} {verdict}\n", boot.trim()).as_bytes())?;
    Ok(works)
}

/// The directory of one run, removed at its end but for the logs of a bad one.
struct RunDirectory {
    path: PathBuf,
    keep: bool,
}

impl RunDirectory {
    fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let runs = paths::umd().join("vm");
        remove_left_behind(&runs);
        let path = runs.join(format!("{}-{count}", std::process::id()));
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        paths::create_dir(&path)?;
        Ok(Self { path, keep: false })
    }

    fn finish(mut self, good: bool) -> PathBuf {
        self.keep = !good;
        self.path.clone()
    }
}

/// Removes what runs that were killed could not remove themselves, all but their logs.
fn remove_left_behind(runs: &Path) {
    for run in paths::entries(runs).unwrap_or_default() {
        let name = run
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let process = name.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            remove_bulk(&run);
        }
    }
}

/// Removes the big files of a run. What cannot be removed, or is not there, is in nobody's way.
fn remove_bulk(run: &Path) {
    let _ = fs::remove_dir_all(run.join("modules"));
    let _ = fs::remove_file(run.join("initramfs"));
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if self.keep {
            remove_bulk(&self.path);
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
