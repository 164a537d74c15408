// SPDX-License-Identifier: MIT OR Apache-2.0
//! The project's own commands: set-up, builds, virtual machines, tests and benchmarks.

mod bench;
mod bpf;
mod check;
mod cmodules;
mod debugkernel;
mod demo;
mod fuzz;
mod guest;
mod initramfs;
mod kbuild;
mod kernel;
mod keyrings;
mod paths;
mod pgpfiles;
mod plot;
mod progress;
mod rootfs;
mod run;
mod rustkernel;
mod schedule;
mod setup;
mod tap;
mod test;
mod userbench;
mod verdict;
mod vm;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::kbuild::ForeignFolder;
use crate::kernel::Id;
use crate::rootfs::Add;
use crate::setup::Setup;
use crate::test::{Length, Mode};
use crate::verdict::Verdict;
use crate::vm::Vm;

/// Builds umd and runs it on real kernels.
///
/// Whatever a command needs is set up first: Debian packages, kernels, Rust's core for the kernel.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Task,

    /// Install missing packages without asking
    #[arg(long, short, global = true)]
    yes: bool,
}

#[derive(Subcommand)]
enum Task {
    Demo(Demo),
    Test(Test),
    Fuzz(Fuzz),
    Build(Build),
    Vm(VmArgs),
    Bench(Bench),
    Keyrings(Keyrings),
}

/// Show what umd does, on a real stock kernel in QEMU
#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask demo")]
struct Demo {
    #[command(flatten)]
    kernel: KernelArgs,
}

/// Run the tests, those in virtual machines too; the report is in the Test Anything Protocol
///
/// Parts run side by side. At the end each point that failed is shown again, with its reason, the last lines of its
/// machine's log and the command that runs it again. With NAMEs only some tests run, on 6.12 unless --kernel says
/// otherwise.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo xtask test\n  cargo xtask test --full\n  \
    cargo xtask test pgp 'pgp hostile'\n  cargo xtask test clippy\n  \
    cargo xtask test --kernel 6.1 --machine smp 'callers: a caller killed in the queue'"
)]
struct Test {
    /// A topic of the suite, or words in the names of tests or checks
    #[arg(value_name = "NAME")]
    only: Vec<String>,

    /// A kernel to test on; may be given more than once [default: 6.1 and 6.12; with --quick or a NAME 6.12]
    #[arg(long, value_name = "K")]
    kernel: Vec<Id>,

    /// A kind of machine that the suite runs in; may be given more than once [default: all]
    #[arg(long, value_enum, value_name = "M")]
    machine: Vec<Mode>,

    /// One kernel, and no machine with two processors
    #[arg(long, conflicts_with_all = ["machine", "full"])]
    quick: bool,

    /// The long tail too: each place, many rounds, more interleavings; takes an hour or more
    #[arg(long)]
    full: bool,

    /// Another number gives other interleavings, the same each time
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u32,
}

/// Fuzz what comes from the other side of a channel, until something is found
///
/// Two targets at a time, a minute each, in turns. What they find on their way is kept in target/umd/fuzz/corpus/,
/// an input that fails in target/umd/fuzz/artifacts/.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz transfer\n  \
    cargo xtask fuzz --seconds 600"
)]
struct Fuzz {
    /// Only this one
    #[arg(value_name = "TARGET", value_parser = PossibleValuesParser::new(fuzz::names()))]
    target: Option<String>,

    /// End after so many seconds for each target
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
}

/// Measure round trips: in a kernel against pipes in the same boot, in a program against a bare pair of sockets
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench --kernel 6.1 --json\n  \
    cargo xtask bench --host user"
)]
struct Bench {
    #[command(flatten)]
    kernel: KernelArgs,

    /// The host whose calls are measured
    #[arg(long, value_enum, default_value_t = Host::Kernel)]
    host: Host,

    /// Print one JSON array, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// Compare every key of Debian's keyrings with what GnuPG says of it, and what apt has downloaded with what gpgv says
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo xtask keyrings\n  cargo xtask keyrings --kernel 6.12")]
struct Keyrings {
    /// A kernel that shall be given the keys, too; may be given more than once
    #[arg(long, value_name = "K")]
    kernel: Vec<Id>,
}

/// Where a handler's host is.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Host {
    /// In a kernel, in a virtual machine: instructions are counted
    Kernel,
    /// In a program, on this machine: times, and an exit status of 1 where one is beyond its limit
    User,
}

/// Build all modules for a kernel, into target/umd/K/; or umd.ko and one module from elsewhere
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo xtask build --kernel 6.12\n  cargo xtask build --kernel 6.1 --module ../my-driver"
)]
struct Build {
    #[command(flatten)]
    kernel: KernelArgs,

    /// Build umd.ko and, against it, the module in this folder, which has a Kbuild or a Makefile
    #[arg(long, value_name = "DIR")]
    module: Option<ForeignFolder>,
}

#[derive(Args)]
struct KernelArgs {
    /// 6.1, 6.12, debug, host, or a directory that holds a kernel image and its build tree
    #[arg(long, value_name = "K", default_value = "6.12")]
    kernel: Id,
}

/// Boot a kernel with our modules, run a command in it as root, and exit with its status
///
/// Without a command there is a shell. A command reads the terminal if there is one, else nothing.
#[derive(Args)]
#[command(after_help = "Examples:\n  cargo xtask vm --kernel 6.12\n  \
    cargo xtask vm --kernel 6.1 -- sh -c 'modprobe sample_umd && lsmod'\n  \
    cargo xtask vm --module my.ko --add ./my-test --add data:/srv/data -- my-test /srv/data")]
struct VmArgs {
    #[command(flatten)]
    kernel: KernelArgs,

    /// A further module that modprobe shall find
    #[arg(long, value_name = "F")]
    module: Vec<PathBuf>,

    /// A file or directory to bring along; programs go to /usr/bin by default, all else to /root
    #[arg(long, value_name = "SRC[:DST]")]
    add: Vec<Add>,

    /// The number of processors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    smp: u32,

    /// One nanosecond an instruction: every run is the same, whatever else this machine does
    #[arg(long)]
    deterministic: bool,

    /// A module to load before even /proc is mounted, with what it depends on
    #[arg(long, value_name = "MODULE")]
    early: Vec<String>,

    /// More of the kernel's command line
    #[arg(long, value_name = "TEXT", default_value = "")]
    append: String,

    /// Stop the machine when it has printed nothing for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    silence: u64,

    /// The command
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let setup = Setup { yes: cli.yes };
    let result = match cli.command {
        Task::Demo(args) => demo::run(&args.kernel.kernel, setup).map(|()| ExitCode::SUCCESS),
        Task::Test(args) => test(args, setup),
        Task::Fuzz(args) => {
            fuzz::run(args.target.as_deref(), args.seconds, setup).map(|()| ExitCode::SUCCESS)
        }
        Task::Bench(args) => match args.host {
            Host::Kernel => bench::run(&args.kernel.kernel, args.json, setup),
            Host::User => userbench::run(args.json),
        }
        .map(|()| ExitCode::SUCCESS),
        Task::Keyrings(args) => keyrings::run(&args.kernel, setup).map(|()| ExitCode::SUCCESS),
        Task::Build(args) => build(args, setup).map(|()| ExitCode::SUCCESS),
        Task::Vm(args) => vm(args, setup),
    };
    result.unwrap_or_else(|error| {
        progress::note(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

fn test(args: Test, setup: Setup) -> Result<ExitCode> {
    let kernels = match args.kernel.is_empty() {
        false => args.kernel,
        true if args.quick || !args.only.is_empty() => vec![kernel::named("6.12")?],
        true => vec![kernel::named("6.1")?, kernel::named("6.12")?],
    };
    let machines = match args.machine.is_empty() {
        false => args.machine,
        true if args.quick => vec![Mode::Deterministic, Mode::NoBpf],
        true => vec![Mode::Deterministic, Mode::Smp, Mode::NoBpf],
    };
    let options = test::Options {
        kernels,
        machines,
        only: args.only,
        length: match args.full {
            true => Length::Full,
            false => Length::Short,
        },
        seed: args.seed,
    };
    let counts = test::run(&options, setup)?;
    Ok(if counts.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn build(args: Build, setup: Setup) -> Result<()> {
    let kernel = args.kernel.kernel.prepare(setup)?;
    if let Some(folder) = &args.module {
        return kbuild::build_foreign(&kernel, setup, folder);
    }
    let modules = kbuild::build(&kernel, setup)?;
    for module in modules.shipped.iter().chain(&modules.test) {
        progress::print(&module.display().to_string());
    }
    Ok(())
}

fn vm(args: VmArgs, setup: Setup) -> Result<ExitCode> {
    let typed = std::io::stdin().is_terminal() && !args.deterministic;
    if args.command.is_empty() && !typed {
        bail!("there is no terminal for a shell: give a command after `--`");
    }
    for add in &args.add {
        if let Some(note) = add.note() {
            progress::note(&note);
        }
    }
    setup.packages(setup::VM)?;
    let kernel = args.kernel.kernel.prepare(setup)?;
    let modules = kbuild::build(&kernel, setup)?;
    let vm = Vm::new(&kernel)
        .modules(modules.shipped)
        .modules(modules.test)
        .modules(args.module)
        .adds(args.add)
        .early(args.early)
        .processors(args.smp)
        .deterministic(args.deterministic)
        .parameters(&args.append)
        .silence(Duration::from_secs(args.silence))
        .command(args.command.iter());
    let outcome = if typed {
        vm.run_on_terminal()?
    } else {
        vm.run(&mut |bytes| {
            let mut stdout = std::io::stdout();
            // Whoever read our output may have gone; the command's status still counts.
            let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
        })?
    };
    let failed = outcome
        .status
        .filter(|status| *status != 0)
        .and_then(|status| u8::try_from(status).ok());
    if let (Some(status), Verdict::Clean) = (failed, &outcome.verdict) {
        return Ok(ExitCode::from(status));
    }
    outcome.check()?;
    Ok(ExitCode::SUCCESS)
}
