// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler with the standard library, under the lockdown compute.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use crate::driver::{Driver, ELEMENTS};
use crate::harness::{Context, Topic, test};
use crate::process;
use crate::session::{self, Session};
use crate::time::patience;

pub(crate) const TOPIC: Topic = Topic {
    name: "compute",
    modules: &[session::MODULE],
    tests: &[
        test("an ordinary program serves", serves),
        test("what is in force is seen from outside", in_force),
        test(
            "it has memory up to its limit, and is replaced past it",
            memory,
        ),
        test("a panic is its end, and the next one serves", panic),
        test(
            "files are refused, threads and executable memory are its end",
            refused,
        ),
        test(
            "the hostile one without a library serves under it too",
            without,
        ),
    ],
};

const NAME: &str = "std-compute";
const PROGRAM: &str = "/usr/bin/std-handler";

/// As much of the program as goes into one write.
const PIECE: usize = 4000;

fn load() -> Result<Session> {
    let session = Session::open()?;
    let program = fs::read(PROGRAM).with_context(|| format!("reading {PROGRAM}"))?;
    for piece in program.chunks(PIECE) {
        let command = [b"blob ", piece].concat();
        session.command_bytes(&command)?.expect(b"")?;
    }
    session
        .command(&format!("load-compute {NAME}"))?
        .expect(b"")?;
    // None of this is about deadlines.
    Driver(NAME).set_deadline(patience())?;
    Ok(session)
}

fn serves(_: &Context) -> Result<()> {
    let session = load()?;
    session.call("count a b a")?.expect(b"a=2 b=1")?;
    session.call("count b c")?.expect(b"a=2 b=2 c=1")?;
    session.call("clock now")?.expect(b"true")?;
    session
        .call("nonsense")?
        .refused(Errno::REMOTEIO, "handler refused the request")?;
    Driver(NAME).expect("starts", "1")
}

fn in_force(_: &Context) -> Result<()> {
    let session = load()?;
    session.call("clock now")?.expect(b"true")?;
    let driver = Driver(NAME);
    driver.expect_lockdown("compute", &ELEMENTS)?;
    let pid = driver.pid()?;
    for (field, wanted) in [
        ("Seccomp", "2"),
        ("NoNewPrivs", "1"),
        ("Threads", "1"),
        ("CapBnd", "0000000000000000"),
        ("Uid", "65534 65534 65534 65534"),
    ] {
        let found = process::status(pid, field)?;
        ensure!(found == wanted, "{field}: {found}, not {wanted}");
    }
    Ok(())
}

fn memory(_: &Context) -> Result<()> {
    let session = load()?;
    let sum = (7_u64 * (8 << 20)).to_string();
    session.call("fill 8")?.expect(sum.as_bytes())?;
    // Rust aborts where there is none: by a signal to itself, which is denied.
    session
        .call("fill 80")?
        .refused(Errno::CONNRESET, "handler died with the request in hand")?;
    session.call("fill 8")?.expect(sum.as_bytes())
}

fn panic(_: &Context) -> Result<()> {
    let session = load()?;
    session.call("clock now")?.expect(b"true")?;
    let died = session.call("panic now")?;
    died.refused(Errno::CONNRESET, "handler died with the request in hand")?;
    let driver = Driver(NAME);
    driver.await_value("last_exit", "exit 101")?;
    session.call("clock now")?.expect(b"true")?;
    driver.expect("last_denied", "none")
}

fn refused(_: &Context) -> Result<()> {
    let session = load()?;
    for path in ["/", "/std-compute", "/proc/self/maps"] {
        let open = session.call(&format!("open {path}"))?;
        open.expect(b"Err(PermissionDenied)").context(path)?;
    }
    let driver = Driver(NAME);
    driver.expect("starts", "1")?;
    let died = session.call("thread now")?;
    died.refused(Errno::CONNRESET, "handler died with the request in hand")?;
    driver.await_value("last_denied", "435 clone3")
}

fn without(_: &Context) -> Result<()> {
    let session = Session::with("load-compute", "hostile")?;
    session.echo()?;
    Driver("hostile").expect("lockdown_in_force", "compute")
}
