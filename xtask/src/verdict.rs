// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verdict on a console's log: whether the kernel found anything wrong with itself.

/// What a log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is wrong.
    Clean,
    /// The kernel oopsed before any module of ours was loaded: that is the emulator's doing.
    Emulator(Vec<String>),
    /// These lines say what is wrong.
    Bad(Vec<String>),
}

/// Words with which kernels complain of themselves.
const COMPLAINTS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "kernel BUG at",
    "Oops",
    "Call Trace:",
    "general protection fault,",
    "general protection fault:",
    "double fault:",
    "Unable to handle kernel",
    "Kernel panic",
    "blocked for more than",
    "hung task",
    "soft lockup",
    "hard LOCKUP",
    "detected stall",
    "self-detected stall",
    "detected expedited stalls",
    "refcount_t:",
    "scheduling while atomic",
    "sleeping function called from invalid context",
    "unregister_netdevice: waiting",
    "KASAN:",
    "UBSAN:",
    "KCSAN:",
    "KFENCE:",
    "suspected memory leaks",
    "leak detector disabled",
    "list_add corruption",
    "list_del corruption",
    "INFO: possible",
    "INFO: trying to register non-static key",
    "turning off the locking correctness validator",
    "DEBUG_LOCKS_WARN_ON",
    "ODEBUG:",
    "Redzone overwritten",
    "Poison overwritten",
    "Object already free",
    "Objects remaining in",
    "Busy inodes after unmount",
    "leaked handler",
    "------------[ cut here ]",
];

/// Complaints that come with an oops, or are as good as one.
const OOPSES: &[&str] = &[
    "BUG:",
    "kernel BUG at",
    "Oops",
    "general protection fault",
    "double fault",
    // An emulator that was kept waiting itself.
    "IO-APIC + timer doesn't work",
];

/// What the kernel says when the first module from outside its tree is loaded.
const FIRST_MODULE: &str = "loading out-of-tree module taints kernel";

/// How many lines of context a complaint is shown with.
const CONTEXT: usize = 30;

/// Judges a log.
pub(crate) fn of(log: &str) -> Verdict {
    let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
    let Some(first) = lines.iter().position(|line| complains(line)) else {
        return Verdict::Clean;
    };
    let (before, after) = lines.split_at(first);
    let shown: Vec<String> = after
        .iter()
        .take(CONTEXT)
        .map(|line| (*line).to_owned())
        .collect();
    let untainted = after
        .iter()
        .take(CONTEXT)
        .any(|line| line.contains("Not tainted"));
    let oops = after
        .iter()
        .take(CONTEXT)
        .any(|line| OOPSES.iter().any(|words| line.contains(words)));
    let ours = before.iter().any(|line| line.contains(FIRST_MODULE));
    if oops && untainted && !ours {
        Verdict::Emulator(shown)
    } else {
        Verdict::Bad(shown)
    }
}

fn complains(line: &str) -> bool {
    // A fault of a process, not of the kernel, though some of the words are the same.
    let process = line.contains("traps: ");
    let died = line
        .split("[#")
        .nth(1)
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    !process
        && !is_a_handlers(line)
        && (died || COMPLAINTS.iter().any(|words| line.contains(words)))
}

/// Is it what a handler has written to its `/dev/kmsg`? It may say anything.
fn is_a_handlers(line: &str) -> bool {
    let message = line.split_once("] ").map_or(line, |(_, message)| message);
    message.starts_with("umd: ") && message.contains(": handler says: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "\
[    0.000000] Linux version 6.12.117+deb12-cloud-amd64 (debian-kernel@lists.debian.org)
[    0.094112] Spectre V2 : Mitigation: Retpolines
[    1.310212] Run /init as init process
[    2.104110] umd: loading out-of-tree module taints kernel.
[    2.104731] umd: module verification failed: signature and/or required key missing - tainting kernel
";

    fn after_boot(lines: &str) -> Verdict {
        of(&format!("{BOOT}{lines}"))
    }

    #[test]
    fn a_normal_boot_is_clean() {
        assert_eq!(of(BOOT), Verdict::Clean);
        assert_eq!(of(&BOOT.replace('\n', "\r\n")), Verdict::Clean);
    }

    #[test]
    fn a_kernel_that_looks_for_bugs_may_say_so() {
        let boot = "\
[    0.000000] kasan: KernelAddressSanitizer initialized (generic)
[    0.000000] Running RCU self tests
[    0.000000] kmemleak: Kernel memory leak detector initialized (mem pool available: 39456)
[    0.000000]  memory used by lock dependency info: 6365 kB
";
        assert_eq!(of(boot), Verdict::Clean);
    }

    #[test]
    fn a_handler_may_fault() {
        let faults = "\
[    3.1] traps: sample[77] general protection fault ip:401000 sp:7ffc0 error:0
[    3.2] sample[78]: segfault at 0 ip 0000000000401000 sp 00007ffd error 6
[    3.3] audit: type=1326 audit(1767225603.300:2): auid=4294967295 uid=65534 sig=9 syscall=231
";
        assert_eq!(after_boot(faults), Verdict::Clean);
    }

    #[test]
    fn a_handler_may_say_anything() {
        let said = "[    3.1] umd: c-confined: handler says: BUG: [#1] Oops\n";
        assert_eq!(after_boot(said), Verdict::Clean);
        let other = "[    3.1] BUG: umd: c-confined: handler says: nothing\n";
        assert!(matches!(after_boot(other), Verdict::Bad(_)));
    }

    #[test]
    fn complaints_are_found() {
        for line in [
            "[    4.0] WARNING: CPU: 0 PID: 82 at kernel/ucount.c:287 dec_rlimit_ucounts+0x4e/0x60",
            "[    4.0] BUG: kernel NULL pointer dereference, address: 0000000000000008",
            "[    4.0] BUG: scheduling while atomic: rmmod/91/0x00000002",
            "[    4.0] Oops: 0002 [#1] PREEMPT SMP NOPTI",
            "[    4.0] invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
            "[    4.0] general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1]",
            "[    4.0] INFO: task rmmod:91 blocked for more than 60 seconds.",
            "[    4.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[    4.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "[    4.0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [cat:88]",
            "[    4.0] refcount_t: underflow; use-after-free.",
            "[    4.0] unregister_netdevice: waiting for lo to become free. Usage count = 2",
            "[    4.0] BUG: KASAN: slab-use-after-free in umd_read+0x11/0x20 [umd]",
            "[    4.0] WARNING: possible circular locking dependency detected",
            "[    4.0] WARNING: possible recursive locking detected",
            "[    4.0] WARNING: possible irq lock inversion dependency detected",
            "[    4.0] WARNING: inconsistent lock state",
            "[    4.0] WARNING: suspicious RCU usage",
            "[    4.0] WARNING: held lock freed!",
            "[    4.0] [ BUG: Invalid wait context ]",
            "[    4.0] INFO: trying to register non-static key.",
            "[    4.0] turning off the locking correctness validator.",
            "[    4.0] BUG: sleeping function called from invalid context at mm/slub.c:1",
            "[    4.0] BUG: workqueue leaked atomic, lock or RCU: kworker/u4:1[30]",
            "[    4.0] kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "[    4.0] kmemleak: Kernel memory leak detector disabled",
            "[    4.0] ODEBUG: free active (active state 0) object: ffff88800 object type: work_struct hint: reap+0x0/0x10",
            "[    4.0] UBSAN: shift-out-of-bounds in kernel/x.c:1:2",
            "[    4.0] BUG kmalloc-64 (Tainted: G           OE ): Right Redzone overwritten",
            "[    4.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009",
            "[    4.0] Call Trace:",
        ] {
            let verdict = after_boot(&format!("[    3.9] before\n{line}\n[    4.1] after\n"));
            let Verdict::Bad(lines) = verdict else {
                panic!("{line} was let through: {verdict:?}")
            };
            assert_eq!(lines, [line, "[    4.1] after"]);
        }
    }

    const OOPS: &str = "\
[    0.6] BUG: unable to handle page fault for address: ffffffffc0401000
[    0.6] #PF: supervisor instruction fetch in kernel mode
[    0.6] Oops: 0010 [#1] PREEMPT SMP NOPTI
[    0.6] CPU: 1 UID: 0 PID: 1 Comm: swapper/0 TAINT 6.12.117+deb12-cloud-amd64 #1
[    0.6] Kernel panic - not syncing: Fatal exception
";

    #[test]
    fn an_oops_before_our_modules_is_the_emulators() {
        let early = OOPS.replace("TAINT", "Not tainted");
        assert!(matches!(of(&early), Verdict::Emulator(lines) if lines.len() == 5));
        let tainted = OOPS.replace("TAINT", "Tainted: G           OE");
        assert!(matches!(of(&tainted), Verdict::Bad(_)));
        assert!(matches!(after_boot(&early), Verdict::Bad(_)));
    }

    #[test]
    fn a_timer_that_does_not_tick_is_the_emulators() {
        let panic = "Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug\n\
                     CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0\n";
        assert!(matches!(of(panic), Verdict::Emulator(_)));
    }

    #[test]
    fn a_panic_without_an_oops_is_nobodys_fault_but_ours() {
        let panic = "Kernel panic - not syncing: No working init found.\nCPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0\n";
        assert!(matches!(of(panic), Verdict::Bad(_)));
    }

    #[test]
    fn a_mere_warning_before_our_modules_is_not() {
        let warning =
            "WARNING: CPU: 0 PID: 1 at x.c:1 f\nCPU: 0 PID: 1 Comm: swapper Not tainted 6.1.0\n";
        assert!(matches!(of(warning), Verdict::Bad(_)));
    }
}
