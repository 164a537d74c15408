// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a handler's process does between its making and its executable, while it shares our memory: the code itself, the system calls that
//! it makes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;
use umd_user_tests::rig::{again_as_an_ordinary_user, hostile, is_alone, is_root, turn};
use umd_user_tests::sys;

#[test]
fn again_as_an_ordinary_user_() {
    let _turn = turn();
    again_as_an_ordinary_user("again_as_an_ordinary_user_");
}

/// The function, as it is in this program: where it is, and its bytes.
fn function(file: &object::File<'_>, name: &str) -> (u64, Vec<u8>) {
    let mut found = file
        .symbols()
        .filter(|symbol| symbol.name().is_ok_and(|symbol| symbol.contains(name)));
    let symbol = found.next().expect("the function is linked");
    assert!(found.next().is_none(), "there are two");
    let section = symbol.section_index().unwrap();
    let section = file.section_by_index(section).unwrap();
    let bytes = section.data_range(symbol.address(), symbol.size()).unwrap();
    (symbol.address(), bytes.unwrap().to_vec())
}

/// The instructions that are reached from `entry`.
fn reached(all: &[Instruction], entry: u64) -> Vec<Instruction> {
    let (mut left, mut seen, mut found) = (vec![entry], BTreeSet::new(), Vec::new());
    while let Some(address) = left.pop() {
        if !seen.insert(address) {
            continue;
        }
        let one = all.iter().find(|one| one.ip() == address);
        let one = *one.expect("it stays within the function");
        match one.mnemonic() {
            Mnemonic::Je | Mnemonic::Jne | Mnemonic::Ja => {
                left.extend([one.near_branch_target(), one.next_ip()]);
            }
            Mnemonic::Jmp => {
                assert_eq!(one.op0_kind(), OpKind::NearBranch64, "to where it says");
                left.push(one.near_branch_target());
            }
            Mnemonic::Ret => {}
            _ => left.push(one.next_ip()),
        }
        found.push(one);
    }
    found
}

fn is_memory(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).any(|at| instruction.op_kind(at) == OpKind::Memory)
}

fn uses_the_stack(instruction: &Instruction) -> bool {
    const POINTER: [Register; 4] = [Register::RSP, Register::ESP, Register::SP, Register::SPL];
    (0..instruction.op_count()).any(|at| {
        instruction.op_kind(at) == OpKind::Register
            && POINTER.contains(&instruction.op_register(at))
    })
}

#[test]
fn the_childs_code_calls_nothing_and_has_no_stack_and_no_thread() {
    let program = std::fs::read("/proc/self/exe").unwrap();
    let file = object::File::parse(&*program).unwrap();
    let (address, bytes) = function(&file, "clone_and_follow");
    let all: Vec<Instruction> = Decoder::with_ip(64, &bytes, address, DecoderOptions::NONE)
        .into_iter()
        .collect();
    assert!(all.iter().all(|one| !one.is_invalid()) && all.len() > 20);
    // The parent returns where its system call did not return 0.
    let fork = all
        .iter()
        .find(|one| one.mnemonic() == Mnemonic::Je)
        .unwrap();
    let parent = reached(&all, fork.next_ip());
    assert_eq!(parent.len(), 1);
    assert_eq!(parent[0].mnemonic(), Mnemonic::Ret);
    let child = reached(&all, fork.near_branch_target());
    for one in &child {
        let plain = matches!(
            one.mnemonic(),
            Mnemonic::Mov
                | Mnemonic::Xor
                | Mnemonic::Add
                | Mnemonic::Sub
                | Mnemonic::Cmp
                | Mnemonic::Je
                | Mnemonic::Ja
                | Mnemonic::Jmp
                | Mnemonic::Syscall
        );
        // No call, no return, no push, no thread's storage, no data but the list.
        assert!(plain, "{one:?}");
        assert_eq!(one.segment_prefix(), Register::None, "{one:?}");
        assert!(!uses_the_stack(one), "{one:?}");
        if is_memory(one) {
            assert_eq!(one.memory_base(), Register::RBX, "{one:?}");
            assert_eq!(one.memory_index(), Register::None, "{one:?}");
        }
    }
    let calls = child
        .iter()
        .filter(|one| one.mnemonic() == Mnemonic::Syscall);
    assert_eq!(calls.count(), 2);
    // Nothing of it is for somebody else.
    assert!(all.iter().all(|one| one.segment_prefix() == Register::None));
}

/// The system calls of whoever calls a handler that is warm: to send, and to receive. A call that comes later looks first whether
/// something was said meanwhile.
#[test]
fn a_warm_call_takes_two_system_calls_of_the_caller() {
    const TEST: &str = "a_warm_call_takes_two_system_calls_of_the_caller";
    const ROUNDS: usize = 50;
    if is_alone(TEST) {
        let driver = hostile().build().unwrap();
        let call = || assert_eq!(driver.call_bytes(b"echo x", &mut [0; 8]), Ok(1));
        // By then the watch knows of a deadline before these, which is long enough not to pass meanwhile: it would have to be told again.
        call();
        call();
        for _ in 0..ROUNDS {
            sys::try_call(MARK);
            std::thread::sleep(Duration::from_millis(1));
            sys::try_call(MARK);
            call();
            // At once.
            call();
        }
        sys::try_call(MARK);
        return;
    }
    let (traces, _) = traced(TEST);
    let caller = traces.iter().find(|trace| trace.contains("getpgrp("));
    // Signals have no parentheses.
    let names = caller
        .unwrap()
        .lines()
        .filter_map(|call| call.split_once('('));
    let calls: Vec<&str> = names.map(|(name, _)| name).collect();
    let rounds: Vec<_> = calls.split(|call| *call == "getpgrp").collect();
    // Before the first, after the last; and of each two, the pause and the calls.
    let [_, rounds @ .., _] = &*rounds else {
        panic!("{calls:?}")
    };
    let rounds: Vec<_> = rounds.chunks(2).map(|both| both[1]).collect();
    assert_eq!(rounds.len(), ROUNDS);
    let (first, second) = (["recvfrom", "sendto", "recvfrom"], ["sendto", "recvfrom"]);
    let at_once = [&first[..], &second].concat();
    // Where this thread lost the processor in between.
    let later = [first, first].concat();
    assert!(
        rounds
            .iter()
            .all(|calls| *calls == at_once || *calls == later),
        "{rounds:?}"
    );
    assert!(rounds.iter().any(|calls| *calls == at_once), "{rounds:?}");
}

/// A system call that nobody else makes.
const MARK: libc::c_long = libc::SYS_getpgrp;

/// The system calls of this program while it runs this test alone, a text a thread; and what it said.
fn traced(test: &str) -> (Vec<String>, String) {
    let directory = std::env::temp_dir().join(format!("umd-traces-{}-{test}", std::process::id()));
    // Left by a test that was killed, whose process had the same number.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).unwrap();
    let output = Command::new("strace")
        .args(["-ff", "-qq", "-o"])
        .arg(directory.join("trace"))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("UMD_TEST_ALONE", test)
        .output()
        .expect("strace is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("1 passed"), "{said}{complaints}");
    let files = std::fs::read_dir(&directory).unwrap();
    let traces = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let traces = traces.collect();
    std::fs::remove_dir_all(&directory).unwrap();
    (traces, said)
}

/// What a handler's process did up to its execution.
fn of_the_child(traces: &[String]) -> Vec<String> {
    let mut traces = traces.iter().filter(|trace| trace.contains("execveat("));
    let child = traces.next().expect("a handler was executed");
    assert!(traces.next().is_none(), "there are two");
    let exec = child.lines().position(|call| call.starts_with("execveat("));
    child.lines().take(exec.unwrap() + 1).map(plain).collect()
}

/// What does not differ from run to run.
fn plain(call: &str) -> String {
    let (name, rest) = call.split_once('(').unwrap();
    let (arguments, result) = match rest.rsplit_once(" = ") {
        Some((arguments, result)) => (arguments.trim().trim_end_matches(')'), result),
        None => (rest, "?"),
    };
    let word = |word: &str| match word.parse::<u32>() {
        Ok(4..=7 | 9..1_000) => "FD".to_owned(),
        _ if word.starts_with("0x") && word.ends_with("/* 0 vars */") => "NOTHING".to_owned(),
        _ if word.starts_with("filter=0x") => "filter=CODE}".to_owned(),
        _ if word.starts_with("SIG") && name == "rt_sigaction" => "SIGNAL".to_owned(),
        _ => word.to_owned(),
    };
    let arguments: Vec<String> = arguments.split(", ").map(word).collect();
    let good = match name {
        // Whose ids these are does not matter.
        "setsid" | "getppid" | "execveat" => "",
        _ => result.split_whitespace().next().unwrap_or(""),
    };
    format!("{name}({}) {good}", arguments.join(", "))
        .trim()
        .to_owned()
}

/// The list, for a program that ignores so many signals. What does not work as an ordinary user is not tried.
fn expected(ignored: usize) -> Vec<String> {
    let limit = |name: &str, value: &str| {
        format!("prlimit64(0, RLIMIT_{name}, {{rlim_cur={value}, rlim_max={value}}}, NULL) 0")
    };
    let mut list: Vec<String> = [
        "setsid()",
        "dup3(FD, 0, 0) 0",
        "dup3(FD, 1, 0) 1",
        "dup3(FD, 2, 0) 2",
        "close_range(3, 4294967295, CLOSE_RANGE_CLOEXEC) 0",
    ]
    .map(str::to_owned)
    .into();
    if is_root() {
        list.extend(["fchdir(FD) 0", "chroot(\".\") 0"].map(str::to_owned));
    }
    list.push("chdir(\"/\") 0".to_owned());
    if is_root() {
        list.extend(
            [
                "prctl(PR_SET_SECUREBITS, SECBIT_NOROOT|SECBIT_NOROOT_LOCKED) 0",
                "setgroups(0, NULL) 0",
                "setresgid(65534, 65534, 65534) 0",
                "setresuid(65534, 65534, 65534) 0",
            ]
            .map(str::to_owned),
        );
    }
    list.push("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) 0".to_owned());
    list.extend([
        limit("AS", "65536*1024"),
        limit("NPROC", "0"),
        limit("NOFILE", "0"),
        limit("CORE", "0"),
        limit("FSIZE", "0"),
        limit("MEMLOCK", "0"),
        limit("MSGQUEUE", "0"),
        limit("RTPRIO", "0"),
        limit("SIGPENDING", "64"),
        limit("STACK", "1024*1024"),
    ]);
    list.extend(
        [
            "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) 0",
            "landlock_restrict_self(FD, 0) 0",
            "prctl(PR_SET_PDEATHSIG, SIGKILL) 0",
            "getppid()",
        ]
        .map(str::to_owned),
    );
    let reset = "rt_sigaction(SIGNAL, {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, NULL, 8) 0";
    list.extend(std::iter::repeat_n(reset.to_owned(), ignored));
    list.extend(
        [
            "rt_sigprocmask(SIG_SETMASK, [], NULL, 8) 0",
            "prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, {len=36, filter=CODE}) 0",
            "execveat(FD, \"\", [\"hostile\"], NOTHING, AT_EMPTY_PATH)",
        ]
        .map(str::to_owned),
    );
    list
}

/// How many signals this program ignores.
fn ignored() -> u32 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let set = text.lines().find_map(|line| line.strip_prefix("SigIgn:\t"));
    u64::from_str_radix(set.unwrap(), 16).unwrap().count_ones()
}

#[test]
fn the_child_makes_these_system_calls_and_no_other() {
    const TEST: &str = "the_child_makes_these_system_calls_and_no_other";
    if is_alone(TEST) {
        let driver = hostile().build().unwrap();
        driver.start().unwrap();
        let landlock = driver.report().unwrap().state(umd::Mechanism::Landlock);
        println!("\nlandlock {}", landlock == umd::State::InForce);
        println!("ignored {}", ignored());
        return;
    }
    let (traces, said) = traced(TEST);
    // Rust's programs ignore SIGPIPE; what whoever started the tests has ignored comes to that.
    let count = said.lines().find_map(|line| line.strip_prefix("ignored "));
    let mut expected = expected(count.unwrap().parse().unwrap());
    if said.contains("landlock false") {
        expected.retain(|call| !call.starts_with("landlock"));
    }
    assert_eq!(of_the_child(&traces), expected);
}
