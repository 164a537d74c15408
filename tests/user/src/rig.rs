// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests look at things with.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use umd::{Driver, Lockdown, RestartPolicy, Syscalls};

/// Set in a run as an ordinary user.
const AGAIN: &str = "UMD_TEST_AGAIN";

/// The test that a process was made for.
const ALONE: &str = "UMD_TEST_ALONE";

/// Somebody who owns nothing. Not "nobody", as whom the handlers of root's programs run.
pub const ORDINARY: u32 = 65_533;

/// A deadline for handlers that are well, which are never to miss it, however busy the machine is: 300 times what is usual. Where a
/// deadline has to pass, the handler hangs for ever, and has a short one.
pub const LONG: Duration = Duration::from_secs(300);

/// Ends a wait for what should have come long ago, so that a test fails and does not hang. No time is judged by it: a machine that is
/// busy may keep any thread waiting for seconds, and this is many of those.
pub const HANG_GUARD: Duration = Duration::from_secs(180);

/// The driver, with time for a busy machine.
pub fn patient(builder: umd::Builder<'_>) -> umd::Builder<'_> {
    builder.deadline(LONG).start_deadline(LONG)
}

/// The hostile handler.
pub fn hostile() -> umd::Builder<'static> {
    patient(Driver::builder("hostile", crate::HOSTILE)).restart(RestartPolicy::unlimited())
}

/// Calls until an error says how the handler ended, and returns that error. A caller waits 50 ms
/// for this; on a busy machine the answer may come later.
pub fn told(mut attempt: impl FnMut() -> umd::Error) -> umd::Error {
    let begin = Instant::now();
    loop {
        let error = attempt();
        if error.exit().is_some() {
            return error;
        }
        assert!(begin.elapsed() < HANG_GUARD, "nobody was told: {error}");
    }
}

/// Asks it in words.
///
/// # Errors
///
/// Those of the call.
pub fn ask(driver: &Driver, request: &str) -> Result<String, umd::Error> {
    let mut reply = [0; 256];
    let length = driver.call_bytes(request.as_bytes(), &mut reply)?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}

/// Is this program root's?
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs all tests of this program but the calling one, which is called so, again as an ordinary user, where it is root's. Fails if one
/// of them does.
pub fn again_as_an_ordinary_user(myself: &str) {
    if !is_root() || std::env::var_os(AGAIN).is_some() {
        return;
    }
    let output = Command::new("/proc/self/exe")
        .args(["--exact", "--skip", myself])
        .env(AGAIN, "1")
        .uid(ORDINARY)
        .gid(ORDINARY)
        .output()
        .expect("this program is executable");
    let said = String::from_utf8_lossy(&output.stdout);
    // As the tests' own words, which the harness keeps back.
    println!("{said}");
    assert!(
        output.status.success(),
        "as user {ORDINARY}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("test result: ok"), "{said}");
}

/// Runs one test of this program, which waits for it, in a process of its own.
pub fn alone(test: &str, prepare: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ALONE, test);
    prepare(&mut command);
    command.output().expect("this program is executable")
}

/// Is this the process that [`alone`] has made for this test?
pub fn is_alone(test: &str) -> bool {
    std::env::var(ALONE).is_ok_and(|name| name == test)
}

/// Runs the test of this name in a process of its own, and there `body`.
pub fn by_itself(test: &str, body: impl FnOnce()) {
    by_itself_as(test, |_| {}, body);
}

/// The same, with something done to the command before.
pub fn by_itself_as(test: &str, prepare: impl FnOnce(&mut Command), body: impl FnOnce()) {
    if is_alone(test) {
        return body();
    }
    passed(&alone(test, prepare));
}

/// Has this test again, as root in such namespaces of its own (options of unshare(1)), and there `body`. An ordinary user may not
/// on every machine.
pub fn in_namespaces(test: &str, namespaces: &[&str], body: impl FnOnce()) {
    if is_alone(test) {
        return body();
    }
    if !is_root() {
        println!("{test} was not run: only root may");
        return;
    }
    let output = Command::new("unshare")
        .args(namespaces)
        .arg(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ALONE, test)
        .output()
        .expect("unshare is installed");
    passed(&output);
}

/// Fails unless the one test that ran has passed.
fn passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{}",
        output.status
    );
}

/// A handler that stops within a request until the test lets it go on.
pub fn stopping() -> umd::Builder<'static> {
    hostile().lockdown(Lockdown::Custom(Syscalls::ALL))
}

/// Those of its handlers that have stopped.
pub fn stopped(driver: &Driver) -> Vec<u32> {
    let is_stopped = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains(") T ")
    };
    driver
        .status()
        .pids
        .into_iter()
        .filter(is_stopped)
        .collect()
}

/// Has a process stop.
pub fn stop(pid: u32) {
    send(pid, Signal::STOP);
}

/// Lets a process go on that has stopped.
pub fn go_on(pid: u32) {
    send(pid, Signal::CONT);
}

/// Kills a process.
pub fn kill(pid: u32) {
    send(pid, Signal::KILL);
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("an id"), signal).expect("it is there");
}

/// Tests that count what a process has take turns.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The children of this process, dead ones that nobody has reaped included.
pub fn children() -> BTreeSet<u32> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").expect("/proc is there");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| parent(*pid) == Some(own))
        .collect()
}

fn parent(pid: u32) -> Option<u32> {
    // The name, in parentheses, may contain anything.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// From now on processes whose parent is gone become ours, so that [`children`] sees them.
pub fn adopt_orphans() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("any process may");
}

/// Is this process waiting: for a handler that has answered, the next request? One that is gone is not.
pub fn is_asleep(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.contains(") S ")
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < HANG_GUARD, "not so: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Does this process exist, if only as a dead entry?
pub fn exists(pid: u32) -> bool {
    std::fs::exists(format!("/proc/{pid}")).unwrap_or(false)
}

/// What this process has open.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("/proc is there")
        .count()
}

/// A number of `/proc/self/status`: KiB for sizes.
pub fn status(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("/proc is there");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a line with a number")
}
