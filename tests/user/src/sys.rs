// SPDX-License-Identifier: MIT OR Apache-2.0
//! What programs do to themselves that no safe library offers.

use std::ffi::{CStr, c_int};
use std::mem::zeroed;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is done with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is counted, and calls that it interrupts fail.
    Interrupt,
    /// It is counted, and calls that it interrupts go on.
    Restart,
    /// It is ignored.
    Ignore,
}

static COUNT: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_: c_int) {
    COUNT.fetch_add(1, Ordering::Relaxed);
}

/// Signals that were counted.
pub fn signals() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// From now on this is done with the signal.
pub fn on_signal(signal: c_int, action: Action) {
    // SAFETY: zeroes are an action; the handler is one, and does what a handler may.
    let done = unsafe {
        let mut new: libc::sigaction = zeroed();
        (new.sa_sigaction, new.sa_flags) = match action {
            Action::Interrupt => (count as *const () as usize, 0),
            Action::Restart => (count as *const () as usize, libc::SA_RESTART),
            Action::Ignore => (libc::SIG_IGN, 0),
        };
        libc::sigaction(signal, &new, null_mut())
    };
    assert_eq!(done, 0);
}

/// A thread that can be sent signals as long as it is there.
#[derive(Clone, Copy, Debug)]
pub struct Thread(c_int);

impl Thread {
    /// The calling one.
    pub fn current() -> Self {
        // SAFETY: has no arguments.
        Self(unsafe { libc::gettid() })
    }

    /// Does it sleep? One that does so in a call waits for its turn, or for an answer.
    pub fn is_asleep(self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", self.0));
        stat.is_ok_and(|stat| stat.contains(") S "))
    }

    /// Sends it a signal; nothing if it is gone.
    pub fn signal(self, signal: c_int) {
        // SAFETY: has no memory for arguments.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.0, signal) };
    }
}

/// Sends this process SIGALRM over and over.
pub fn alarms(period: Duration) {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: i64::from(period.subsec_micros()),
    };
    let both = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: reads the times.
    let done = unsafe { libc::setitimer(libc::ITIMER_REAL, &both, null_mut()) };
    assert_eq!(done, 0);
}

/// Asks how any child has ended, as a program does that knows of its own children only: the child's id.
pub fn reap_any() -> Option<u32> {
    // SAFETY: writes no status.
    let pid = unsafe { libc::waitpid(-1, null_mut(), 0) };
    u32::try_from(pid).ok()
}

/// Kills a child, and reaps it.
pub fn end(child: u32) {
    let child = child as libc::pid_t;
    // SAFETY: writes no status.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, null_mut(), 0);
    }
}

/// Runs `body` in a copy of this process, which then ends: whether it said that all is well.
pub fn in_a_copy(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the copy has this thread only. It runs Rust code that takes no lock another thread may have, but the C
    // library's, which are made good in a copy.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let status = match body() {
            true => 0,
            false => 1,
        };
        // SAFETY: ends this process.
        unsafe { libc::_exit(status) };
    }
    let mut status = 0;
    // SAFETY: writes the status.
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    waited == pid && status == 0
}

/// So many seconds later this process is gone, if it is still there: for one that may wait for ever.
pub fn die_in(seconds: u32) {
    // SAFETY: a number.
    unsafe { libc::alarm(seconds) };
}

/// For how long this process has had a processor.
pub fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the time.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(done, 0);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Closes standard input, output and error.
pub fn close_standard_files() {
    for fd in 0..3 {
        // SAFETY: whoever calls this owns them, and uses them no more.
        unsafe { libc::close(fd) };
    }
}

/// Ends the process at once.
pub fn exit_now(status: c_int) -> ! {
    // SAFETY: ends this process.
    unsafe { libc::_exit(status) }
}

/// What a filter does with a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It fails with this errno.
    With(c_int),
    /// It is the end of the process.
    Death,
}

/// Puts all threads of this process under a filter that denies these system calls, as containers do.
pub fn deny(calls: &[(libc::c_long, Denied)]) {
    let one = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let give = libc::BPF_RET | libc::BPF_K;
    // The number comes first in what a filter looks at.
    let mut code = vec![one(load, 0, 0, 0)];
    for (call, denied) in calls {
        let what = match denied {
            Denied::With(errno) => libc::SECCOMP_RET_ERRNO | *errno as u32,
            Denied::Death => libc::SECCOMP_RET_KILL_PROCESS,
        };
        code.push(one(equal, *call as u32, 0, 1));
        code.push(one(give, what, 0, 0));
    }
    code.push(one(give, libc::SECCOMP_RET_ALLOW, 0, 0));
    let program = libc::sock_fprog {
        len: code.len() as u16,
        filter: code.as_mut_ptr(),
    };
    // SAFETY: reads the program.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let (set, all) = (
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
        );
        assert_eq!(libc::syscall(libc::SYS_seccomp, set, all, &program), 0);
    }
}

/// A system call without arguments that matter: its errno, or 0.
pub fn try_call(number: libc::c_long) -> c_int {
    // SAFETY: no address is given.
    match unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) } {
        -1 => std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
        _ => 0,
    }
}

/// Which Landlock this kernel has; 0 is none.
pub fn landlock_version() -> i32 {
    const VERSION: libc::c_long = 1;
    // SAFETY: no address is given.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, VERSION) };
    version.try_into().map_or(0, |version: i32| version.max(0))
}

/// Mounts on a directory, in a mount namespace of its own.
pub fn mount(kind: &CStr, directory: &CStr, options: &CStr, flags: libc::c_ulong) {
    // SAFETY: strings.
    let done = unsafe {
        libc::mount(
            c"none".as_ptr(),
            c"/".as_ptr(),
            null(),
            libc::MS_REC | libc::MS_PRIVATE,
            null(),
        );
        libc::mount(
            kind.as_ptr(),
            directory.as_ptr(),
            kind.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    };
    assert_eq!(done, 0);
}

/// Takes off what was mounted last.
pub fn unmount(directory: &CStr) {
    // SAFETY: a string.
    assert_eq!(unsafe { libc::umount2(directory.as_ptr(), 0) }, 0);
}

/// Becomes another user, for good.
pub fn become_user(id: u32) {
    // SAFETY: ids.
    unsafe {
        assert_eq!(libc::setgroups(0, null()), 0);
        assert_eq!(libc::setresgid(id, id, id), 0);
        assert_eq!(libc::setresuid(id, id, id), 0);
    }
}
