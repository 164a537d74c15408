// SPDX-License-Identifier: MIT OR Apache-2.0
//! `docs/hostile.md` says what the matrix says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;
use umd_testkit::matrix::{Attempt, By, Contained, Fate, How, MATRIX, Outcome, errno};

#[test]
fn the_tables_are_the_matrix() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/hostile.md")).unwrap();
    for table in [behaviours(), calls(), programs()] {
        if !text.contains(&table) {
            let wanted = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile.md");
            std::fs::write(&wanted, behaviours() + "\n" + &calls() + "\n" + &programs()).unwrap();
            panic!("docs/hostile.md is out of date; see {}", wanted.display());
        }
    }
    let count = format!("{} behaviours", MATRIX.len());
    assert!(text.contains(&count), "there are {count}");
}

/// What becomes of each, under both lockdowns.
fn behaviours() -> String {
    let mut table = "| what the handler does | asked for by | under strict | under custom |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for one in MATRIX {
        let way = match one.how {
            How::Start(start) => start.name().to_owned(),
            _ => one.how.request().join(" ").trim_end().to_owned(),
        };
        let (strict, custom) = (contained(one.strict), contained(one.custom));
        writeln!(table, "| {} | `{way}` | {strict} | {custom} |", one.name).unwrap();
    }
    table
}

fn contained(contained: Option<Contained>) -> String {
    let Some(contained) = contained else {
        return "–".to_owned();
    };
    let answers: Vec<String> = contained.caller.iter().map(outcome).collect();
    let by = match contained.by {
        By::AtOnce => "",
        By::Deadline => " at the deadline",
    };
    let fate = match contained.fate {
        Fate::Lives => "lives",
        Fate::Dies => "dies",
    };
    format!("{}{by}; {fate}", answers.join(" or "))
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered(reply) if reply.iter().all(|byte| *byte == 0) => "zeros".to_owned(),
        Outcome::Answered(reply) => format!("`{}`", String::from_utf8_lossy(reply)),
        Outcome::Told(_) => "see below".to_owned(),
        Outcome::Error(number) => errno::name(*number).to_owned(),
    }
}

/// What the system calls give whose results a handler tells.
fn calls() -> String {
    let mut table = "| what the handler does | its system calls give |\n| --- | --- |\n".to_owned();
    for one in MATRIX {
        let contained = [one.strict, one.custom].into_iter().flatten();
        let told = contained.flat_map(|contained| contained.caller);
        for outcome in told {
            if let Outcome::Told(attempts) = outcome {
                writeln!(table, "| {} | {} |", one.name, grouped(attempts)).unwrap();
            }
        }
    }
    table
}

/// What a host in a program makes otherwise.
fn programs() -> String {
    let mut table = "| what the handler does | in the kernel | in root's program | in an ordinary user's | why |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    for one in MATRIX {
        let Some(user) = one.user else {
            continue;
        };
        let kernel = one.custom.or(one.strict).unwrap();
        writeln!(
            table,
            "| {} | {} | {} | {} | {} |",
            one.name,
            contained(Some(kernel)),
            otherwise(kernel, user.privileged),
            otherwise(kernel, user.ordinary),
            user.why
        )
        .unwrap();
    }
    table
}

/// In a program, and of system calls those that give something else there.
fn otherwise(kernel: Contained, program: Contained) -> String {
    let ([Outcome::Told(before)], [Outcome::Told(now)]) = (kernel.caller, program.caller) else {
        return match program.caller {
            [Outcome::Told(told)] => format!("{}; lives", grouped(told)),
            _ => contained(Some(program)),
        };
    };
    let differ: Vec<Attempt> = now
        .iter()
        .filter(|attempt| !before.contains(attempt))
        .copied()
        .collect();
    match &differ[..] {
        [] => "the same".to_owned(),
        differ => grouped(differ),
    }
}

/// Calls that give the same together.
fn grouped(attempts: &[Attempt]) -> String {
    let mut groups: Vec<(&[i32], Vec<&str>)> = Vec::new();
    for attempt in attempts {
        match groups.iter_mut().find(|group| group.0 == attempt.gives) {
            Some(group) => group.1.push(attempt.call),
            None => groups.push((attempt.gives, vec![attempt.call])),
        }
    }
    let words = groups.iter().map(|(gives, calls)| {
        let gives: Vec<&str> = gives.iter().map(|number| errno::name(*number)).collect();
        format!("**{}**: {}", gives.join(" or "), calls.join(", "))
    });
    words.collect::<Vec<String>>().join("; ")
}
