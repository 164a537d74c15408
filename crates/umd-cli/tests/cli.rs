// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command as a process: what it prints, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Output, umd};
use serde_json::{Value, json};
use umd_core::filter::Instruction;
use umd_core::syscall::Syscall;

/// The sample's handler, as the command carries it.
fn sample() -> &'static str {
    concat!(env!("OUT_DIR"), "/sample-handler.umd")
}

/// A file of the test's own.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// The states of all checks of a doctor's report.
fn states(report: &Value) -> Vec<(&str, &str)> {
    let checks = report["checks"].as_array().unwrap().iter();
    let of = |check| -> (&str, &str) { (text(check, "what"), text(check, "state")) };
    checks.map(of).collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap()
}

mod call {
    use super::*;

    /// Calls a handler with a deadline that it meets on a busy machine too.
    fn call(arguments: &[&str]) -> Output {
        umd(&[&["call", "--deadline", "300000"], arguments].concat())
    }

    #[test]
    fn the_sample_answers() {
        for offset in ["0", "4242", "131071"] {
            let told = call(&["sample", offset]).fine();
            assert_eq!(
                told,
                format!("byte {offset} of 131072 is 1, all others are 0\n")
            );
        }
    }

    #[test]
    fn an_offset_that_is_none_is_a_wrong_command_line() {
        for (offset, words) in [("131072", "below 131072"), ("x", "decimal number")] {
            assert!(umd(&["call", "sample", offset]).usage().contains(words));
        }
        for arguments in [
            &["call"][..],
            &["call", "sample"],
            &["call", "other", "1"],
            &["call", "--blob", "x"],
        ] {
            umd(arguments).usage();
        }
    }

    #[test]
    fn the_report_says_what_was_in_force() {
        let told = call(&["sample", "1", "--report"]).fine();
        let seccomp = told.lines().find(|line| line.starts_with("seccomp"));
        assert!(
            seccomp.is_some_and(|line| line.contains("in force")),
            "{told}"
        );
        let json = call(&["sample", "1", "--json"]).fine_json();
        assert_eq!(json["reply"], json!({ "offset": 1 }));
        assert_eq!(json["error"], Value::Null);
        assert_eq!(json["report"]["profile"], "strict");
        let seccomp = json!({ "mechanism": "seccomp", "state": "in-force" });
        assert!(
            json["report"]["mechanisms"]
                .as_array()
                .unwrap()
                .contains(&seccomp)
        );
        assert_eq!(json["status"]["replies"], 1);
    }

    #[test]
    fn any_handler_can_be_asked() {
        let request = file("offset-513", &513_u32.to_le_bytes());
        let request = format!("@{}", request.display());
        for request in ["01020000", &request] {
            let arguments = [
                "--blob",
                sample(),
                "--request",
                request,
                "--reply-max",
                "131072",
            ];
            let reply = call(&arguments).fine();
            assert_eq!(reply.len(), 2 * 131_072 + 1);
            assert_eq!(reply.find("01"), Some(2 * 513));
        }
    }

    #[test]
    fn failures_are_told_in_both_forms() {
        let ask = |blob: &str, request, more: &[&str]| {
            let arguments = [
                "--blob",
                blob,
                "--request",
                request,
                "--reply-max",
                "131072",
            ];
            call(&[&arguments[..], more].concat())
        };
        let refused = ask(sample(), "00", &[]).failed();
        assert_eq!(refused, "umd: handler refused the request: status 1\n");
        let json = ask(sample(), "00", &["--json"]).failed_json();
        assert_eq!(
            (&json["reply"], json["status"]["requests"].as_u64()),
            (&Value::Null, Some(1))
        );
        const EREMOTEIO: i32 = 121;
        let error = &json["error"];
        assert_eq!(
            (&error["errno"], &error["refusal"]),
            (&json!(EREMOTEIO), &json!(1))
        );

        let dynamic = env!("CARGO_BIN_EXE_umd");
        assert!(
            ask(dynamic, "00", &[])
                .failed()
                .contains("linked dynamically")
        );
        let json = ask(dynamic, "00", &["--json"]).failed_json();
        assert!(text(&json, "error").contains("linked dynamically"));
        assert!(
            ask("/nowhere", "00", &[])
                .failed()
                .contains("cannot read /nowhere")
        );
        assert!(ask(sample(), "0", &[]).usage().contains("two digits each"));
        assert!(
            ask(sample(), "@/nowhere", &[])
                .failed()
                .contains("/nowhere")
        );
        let ask = ["--blob", sample(), "--request", "01020000", "--reply-max"];
        call(&[&ask[..], &["100"]].concat()).failed();
        let hasty = [&["call"], &ask[..], &["131072", "--deadline", "0"]].concat();
        let told = umd(&hasty).failed();
        assert!(told.contains("deadline is out of range"), "{told}");
    }
}

mod check {
    use super::*;

    #[test]
    fn the_sample_fits_strict() {
        let told = umd(&["check", sample(), "--lockdown", "strict"]).fine();
        for line in ["strict: fits", "compute: fits"] {
            assert!(told.lines().any(|told| told == line), "{told}");
        }
        assert!(told.contains("static, begins at 0x4"), "{told}");
        let json = umd(&["check", sample(), "--json"]).fine_json();
        let calls = json["system_calls"].as_array().unwrap().iter();
        let calls: Vec<&str> = calls.map(|call| text(call, "name")).collect();
        // What it serves with, and what its start needs.
        let expected = [
            "read",
            "write",
            "rt_sigaction",
            "exit",
            "setgroups",
            "setresuid",
            "setresgid",
            "prctl",
        ];
        assert_eq!(calls, expected);
        assert_eq!(json["unknown_system_calls"], json!([]));
        assert_eq!(json["flaws"], json!([]));
        let size = fs::metadata(sample()).unwrap().len();
        assert_eq!(json["size"], size);
        let writable = |segment: &&Value| segment["write"] == true;
        let segments = json["segments"].as_array().unwrap();
        assert!(
            segments
                .iter()
                .filter(writable)
                .all(|segment| segment["execute"] == false)
        );
    }

    #[test]
    fn a_dynamic_program_is_no_handler() {
        let dynamic = env!("CARGO_BIN_EXE_umd");
        let told = umd(&["check", dynamic]).found();
        for words in [
            "wrong: it names the interpreter",
            "libc.so.6",
            "\ndynamic, begins",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(
            !told.contains(": fits"),
            "code that is elsewhere was not seen: {told}"
        );
        let json = umd(&["check", dynamic, "--json"]).found_json();
        assert!(json["flaws"].as_array().unwrap().len() >= 2);
    }

    #[test]
    fn a_size_can_be_asked_for() {
        let told = umd(&["check", sample(), "--size-max", "100"]).found();
        assert!(told.contains("at most 100 are allowed"), "{told}");
    }

    #[test]
    fn what_is_no_executable_is_told() {
        let script = file("script", b"#!/bin/sh\n");
        let script = script.to_str().unwrap();
        let told = umd(&["check", script]).found();
        assert!(told.contains("no 64-bit little-endian ELF file"), "{told}");
        let json = umd(&["check", script, "--json"]).found_json();
        assert_eq!(json["flaws"].as_array().unwrap().len(), 1);
        assert!(
            umd(&["check", "/nowhere"])
                .failed()
                .contains("cannot read /nowhere")
        );
        let json = umd(&["check", "/nowhere", "--json"]).failed_json();
        assert!(text(&json, "error").contains("/nowhere"));
        umd(&["check"]).usage();
        umd(&["check", sample(), "--lockdown", "none"]).usage();
    }

    #[test]
    fn what_has_no_end_or_is_too_long_is_not_read() {
        let told = umd(&["check", "/dev/zero"]).failed();
        assert!(
            told.contains("it is a device, a pipe or a socket"),
            "{told}"
        );
        let sparse = file("sparse", b"");
        fs::File::options()
            .write(true)
            .open(&sparse)
            .and_then(|file| file.set_len(3 << 30))
            .unwrap();
        let told = umd(&["check", sparse.to_str().unwrap()]).found();
        assert!(told.contains("3221225472 bytes; at most 8388608"), "{told}");
        fs::remove_file(&sparse).unwrap();
        // Nobody writes to it, and nobody waits for that.
        let pipe = sparse.with_extension("pipe");
        let _ = fs::remove_file(&pipe);
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let told = umd(&["check", pipe.to_str().unwrap()]).failed();
        assert!(
            told.contains("it is a device, a pipe or a socket"),
            "{told}"
        );
        let zeros = ["--request", "00", "--reply-max", "8"];
        for blob in ["/dev/zero", pipe.to_str().unwrap()] {
            let told = umd(&[&["call", "--blob", blob][..], &zeros].concat()).failed();
            assert!(told.contains("a device, a pipe"), "{told}");
        }
        let told = umd(&["check", "/proc/self"]).failed();
        assert!(told.contains("it is a directory"), "{told}");
    }

    /// The sample's handler with these bytes at an offset in its first program header that loads.
    fn changed(name: &str, at: usize, bytes: &[u8]) -> PathBuf {
        let mut handler = fs::read(sample()).unwrap();
        let word = |at: usize| u64::from_le_bytes(handler[at..at + 8].try_into().unwrap());
        let header = (0..)
            .map(|number| word(32) as usize + 56 * number)
            .find(|header| handler[*header..].starts_with(&1_u32.to_le_bytes()))
            .unwrap();
        handler[header + at..][..bytes.len()].copy_from_slice(bytes);
        file(name, &handler)
    }

    #[test]
    fn what_no_kernel_starts_is_told() {
        for (name, at, value, words) in [
            (
                "kernel-half",
                16,
                0xffff_8000_0000_0000_u64,
                "the kernel's half",
            ),
            ("wraps", 40, u64::MAX, "beyond the highest address"),
            ("shrinks", 40, 1, "fewer bytes in memory"),
        ] {
            let file = changed(name, at, &value.to_le_bytes());
            let told = umd(&["check", file.to_str().unwrap()]).found();
            assert!(told.contains(words), "{name}: {told}");
        }
    }

    #[test]
    fn more_memory_than_its_driver_gives_is_told() {
        let file = changed("bss", 40, &(65_u64 << 20).to_le_bytes());
        let file = file.to_str().unwrap();
        let told = umd(&["check", file]).found();
        assert!(told.contains("its driver gives it 67108864"), "{told}");
        let told = umd(&["check", file, "--memory-max", "100000000"]);
        assert!(!told.out.contains("its driver gives it"), "{told:?}");
    }

    #[test]
    fn names_in_a_file_begin_no_line() {
        let mut handler = fs::read(sample()).unwrap();
        // The first program header is made an interpreter's, whose name is in the file's head.
        let name = b"/x\nwrong: nothing\x1b[2J\0";
        let at = handler.len() as u64;
        handler.extend(name);
        let header = u64::from_le_bytes(handler[32..40].try_into().unwrap()) as usize;
        handler[header..header + 4].copy_from_slice(&3_u32.to_le_bytes());
        handler[header + 8..header + 16].copy_from_slice(&at.to_le_bytes());
        handler[header + 32..header + 40].copy_from_slice(&(name.len() as u64).to_le_bytes());
        let file = file("forged\x1b", &handler);
        let told = umd(&["check", file.to_str().unwrap()]).found();
        assert!(told.contains("/x\\nwrong: nothing\\u{1b}[2J"), "{told}");
        assert!(
            !told.lines().any(|line| line.starts_with("wrong: nothing")),
            "{told}"
        );
        assert!(!told.contains('\u{1b}'), "{told}");
        let json = umd(&["check", file.to_str().unwrap(), "--json"]).found_json();
        assert!(text(&json, "interpreter").contains("\\nwrong"), "{json:#}");
    }
}

mod doctor {
    use super::*;

    #[test]
    fn this_machine_is_looked_at() {
        let json = umd(&["doctor", "--json"]);
        let json = if json.status == 0 {
            json.fine_json()
        } else {
            json.found_json()
        };
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let kernel = &json["checks"][0];
        assert_eq!(
            (text(kernel, "what"), text(kernel, "found")),
            ("kernel", release.trim())
        );
        // The tests of the host need these anyway.
        for what in ["seccomp filters", "seccomp strict mode", "/proc"] {
            assert!(states(&json).contains(&(what, "yes")), "{json:#}");
        }
        let told = umd(&["doctor"]).fine();
        assert!(told.contains("\nHandlers can be started here"), "{told}");
        for (what, _) in states(&json) {
            assert!(told.contains(what), "{what}: {told}");
        }
    }

    /// As in a container: this call fails (with this first argument, if one is given), for this thread and its children.
    fn forbid(call: Syscall, argument: Option<u32>, errno: u32) {
        let [nr, first] = [0_u32, 16].map(|offset| (0x20_u16, 0, 0, offset));
        let equals = |value, otherwise| (0x15, 0, otherwise, value);
        let (deny, allow) = ((6, 0, 0, 0x5_0000 | errno), (6, 0, 0, 0x7fff_0000));
        let number = u32::from(call.number());
        let code: Vec<(u16, u8, u8, u32)> = match argument {
            None => vec![nr, equals(number, 1), deny, allow],
            Some(value) => vec![nr, equals(number, 3), first, equals(value, 1), deny, allow],
        };
        let code = code
            .into_iter()
            .map(|(code, then, otherwise, value)| Instruction {
                code,
                then,
                otherwise,
                value,
            });
        let code: Vec<Instruction> = code.collect();
        rustix::thread::set_no_new_privs(true).unwrap();
        umd_handler::sys::seccomp_filter(&code).unwrap();
    }

    /// The doctor's report from where a call is forbidden.
    fn without(call: Syscall, argument: Option<u32>, errno: u32) -> Output {
        let restricted = std::thread::spawn(move || {
            forbid(call, argument, errno);
            umd(&["doctor", "--json"])
        });
        restricted.join().unwrap()
    }

    #[test]
    fn what_a_container_forbids_is_missed() {
        const ENOSYS: u32 = 38;
        for (call, what) in [
            (Syscall::CLONE3, "clone3"),
            (Syscall::CLOSE_RANGE, "close_range"),
            (Syscall::LANDLOCK_CREATE_RULESET, "Landlock"),
            (Syscall::UNSHARE, "user namespaces"),
        ] {
            let json = without(call, None, ENOSYS).fine_json();
            assert!(states(&json).contains(&(what, "no")), "{json:#}");
            // Who is under a filter has no strict mode, and needs none.
            let strict = ("seccomp strict mode", "limited");
            assert!(states(&json).contains(&strict), "{json:#}");
        }
        let json = without(Syscall::MEMFD_CREATE, None, ENOSYS).fine_json();
        assert!(
            states(&json).contains(&("executables in memory", "limited")),
            "{json:#}"
        );
    }

    #[test]
    fn without_seccomp_it_says_that_nothing_works() {
        const PR_SET_SECCOMP: u32 = 22;
        const EPERM: u32 = 1;
        let json = without(Syscall::PRCTL, Some(PR_SET_SECCOMP), EPERM).found_json();
        assert_eq!(json["works"], false);
        for what in ["seccomp filters", "seccomp strict mode"] {
            assert!(states(&json).contains(&(what, "no")), "{json:#}");
        }
    }
}

mod manual {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_command() {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man/man1");
        let _ = fs::remove_dir_all(&directory);
        umd(&["man", directory.to_str().unwrap()]).fine();
        let mut pages: Vec<_> = fs::read_dir(&directory)
            .unwrap()
            .map(|page| page.unwrap().file_name().into_string().unwrap())
            .collect();
        pages.sort();
        let commands = [
            "call",
            "check",
            "completions",
            "doctor",
            "man",
            "new",
            "pgp",
            "pgp-minimize",
            "pgp-rpm-verify",
            "pgp-show",
            "pgp-split",
            "pgp-verify",
        ];
        let mut expected = vec!["umd.1".to_owned()];
        expected.extend(commands.map(|command| format!("umd-{command}.1")));
        expected.sort();
        assert_eq!(pages, expected);
        let page = fs::read_to_string(directory.join("umd-check.1")).unwrap();
        for words in [
            ".TH umd",
            "umd check \\-\\-lockdown strict",
            "\\-\\-size\\-max",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        let doctor = fs::read_to_string(directory.join("umd-doctor.1")).unwrap();
        assert!(!doctor.contains("TRIAL"), "what is hidden stays so");
        let file = file("no-directory", b"");
        let failed = umd(&["man", file.to_str().unwrap()]).failed();
        assert!(failed.contains("cannot write manual pages"), "{failed}");
    }

    #[test]
    fn shells_get_a_script_that_they_can_read() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = umd(&["completions", shell]).fine();
            for word in ["doctor", "lockdown", "umd-path", "rpm-verify"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        umd(&["completions", "sh"]).usage();
        let script = file(
            "completions.bash",
            umd(&["completions", "bash"]).fine().as_bytes(),
        );
        let read = std::process::Command::new("bash")
            .arg("-n")
            .arg(script)
            .status();
        assert!(read.unwrap().success());
    }
}

#[test]
fn help_is_for_everyone() {
    let help = umd(&["--help"]).fine();
    for command in [
        "call",
        "check",
        "new",
        "doctor",
        "pgp",
        "man",
        "completions",
    ] {
        assert!(help.contains(command), "{help}");
        assert!(
            umd(&[command, "--help"])
                .fine()
                .contains(&format!("umd {command}"))
        );
    }
    umd(&[]).usage();
    umd(&["other"]).usage();
    assert!(umd(&["--version"]).fine().starts_with("umd "));
}
