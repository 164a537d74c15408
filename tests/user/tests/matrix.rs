// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every misbehaviour of the hostile handler: what the caller gets and by when, what becomes of the handler, that the next request is
//! served, and that no process is left. What is expected stands in `umd_testkit::matrix`, as for the kernel's host.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};
use umd::{Driver, Lockdown, RestartPolicy, Syscalls};
use umd_testkit::hostile::Start;
use umd_testkit::matrix::{
    Behaviour, By, Contained, Fate, How, MATRIX, Outcome, Program, ROOM, errno,
};
use umd_user_tests::rig::{
    HANG_GUARD, LONG, adopt_orphans, again_as_an_ordinary_user, children, is_root, patient, turn,
};
use umd_user_tests::{HOSTILE, sys};

/// For those that hang for ever. Those that answer at once have one that never passes: whatever they do, it is no timeout.
const SHORT: Duration = Duration::from_millis(50);

#[test]
fn again_as_an_ordinary_user_() {
    let _turn = turn();
    again_as_an_ordinary_user("again_as_an_ordinary_user_");
}

#[test]
fn strict() {
    contained(Lockdown::Strict, |behaviour| behaviour.strict_in(program()));
}

#[test]
fn custom() {
    let all = Lockdown::Custom(Syscalls::ALL);
    contained(all, |behaviour| behaviour.custom_in(program()));
}

fn program() -> Program {
    match is_root() {
        true => Program::Privileged,
        false => Program::Ordinary,
    }
}

/// Runs all that are expected to end so.
fn contained(lockdown: Lockdown, expected: impl Fn(&Behaviour) -> Option<Contained>) {
    let _turn = turn();
    adopt_orphans();
    let mut wrong = String::new();
    let (mut good, mut count) = (0, 0);
    for behaviour in MATRIX {
        let Some(expected) = expected(behaviour) else {
            continue;
        };
        count += 1;
        let result = run(lockdown, behaviour, expected);
        // Whoever is left would be in the way of the others.
        children().into_iter().for_each(sys::end);
        match result {
            Ok(()) => good += 1,
            Err(error) => writeln!(wrong, "{}: {error}", behaviour.name).unwrap(),
        }
    }
    println!("{good} of {count} hostile behaviours were contained");
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 30);
}

fn builder(lockdown: Lockdown, name: &str) -> umd::Builder<'_> {
    patient(Driver::builder(name, HOSTILE))
        .lockdown(lockdown)
        .restart(RestartPolicy::unlimited())
}

fn echo(driver: &Driver) -> Result<(), String> {
    let mut reply = [0; ROOM];
    match driver.call_bytes(b"echo x", &mut reply) {
        Ok(1) if reply[0] == b'x' => Ok(()),
        other => Err(format!("the next request: {other:?}")),
    }
}

fn run(lockdown: Lockdown, behaviour: &Behaviour, expected: Contained) -> Result<(), String> {
    let driver = builder(lockdown, behaviour.how.driver()).build().unwrap();
    let old = match behaviour.how {
        How::Start(_) => None,
        _ => {
            echo(&driver)?;
            driver.status().pids.first().copied()
        }
    };
    let request = behaviour.how.request().join(" ");
    let deadline = match expected.by {
        By::AtOnce => LONG,
        By::Deadline => SHORT,
    };
    // Told results are as long as they are.
    let mut reply = [0; 256];
    let room = match expected.caller {
        [Outcome::Told(_)] => reply.len(),
        _ => ROOM,
    };
    let begin = Instant::now();
    let answer =
        driver.call_bytes_within(deadline, request.trim_end().as_bytes(), &mut reply[..room]);
    let took = begin.elapsed();
    let got = match &answer {
        Ok(length) => Ok(&reply[..*length]),
        Err(error) => Err(error.errno()),
    };
    if !expected.caller.iter().any(|outcome| outcome.is(got)) {
        return Err(format!(
            "the answer was {answer:?} {:?}, not {}",
            got.map(String::from_utf8_lossy),
            words(expected.caller)
        ));
    }
    // When an answer comes after that is the machine's affair; that it came at once, its not being a timeout says.
    if expected.by == By::Deadline && took < deadline {
        return Err(format!("it took {took:?}"));
    }
    let old = match (behaviour.how, &answer) {
        // It has got through with it: the next request is its end.
        (How::Start(_), Ok(_)) if expected.fate == Fate::Dies => {
            let pid = driver.status().pids.first().copied();
            drop(echo(&driver));
            pid
        }
        // What it says unasked may come when nobody listens any more: it is seen at the next request.
        (_, Ok(_)) if expected.fate == Fate::Dies => {
            drop(echo(&driver));
            old
        }
        _ => old,
    };
    fate(&driver, old, expected.fate)?;
    next(&driver, lockdown, behaviour, expected.fate)?;
    // Whoever is in service, and nobody else.
    let pids = driver.status().pids.into_iter().collect();
    until("no other process is left", || children().is_subset(&pids))?;
    drop(driver);
    until("no process is left", || children().is_empty())
}

/// Is the handler where it should be?
fn fate(driver: &Driver, old: Option<u32>, fate: Fate) -> Result<(), String> {
    let status = driver.status();
    match (fate, old) {
        (Fate::Lives, None) if status.starts == 1 && status.pids.len() == 1 => Ok(()),
        (Fate::Lives, Some(old)) if status.pids == [old] => Ok(()),
        (Fate::Lives, _) => Err(format!("the handler was replaced: {status:?}")),
        (Fate::Dies, None) => until("the handlers are gone", || {
            let status = driver.status();
            status.starts == status.exits
        }),
        (Fate::Dies, Some(old)) => until("the handler is gone", || !children().contains(&old)),
    }
}

/// The next request is served. A driver whose every handler starts badly needs another name for that.
fn next(
    driver: &Driver,
    lockdown: Lockdown,
    behaviour: &Behaviour,
    fate: Fate,
) -> Result<(), String> {
    match (behaviour.how, fate) {
        (How::Start(_), Fate::Dies) => {
            echo(&builder(lockdown, Start::Normal.name()).build().unwrap())
        }
        _ => {
            echo(driver)?;
            match driver.status().state {
                "running" => Ok(()),
                other => Err(format!("the state is {other}")),
            }
        }
    }
}

/// Waits for it.
fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
    let begin = Instant::now();
    while !is_so() {
        if begin.elapsed() > HANG_GUARD {
            return Err(format!("not so: {what}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn words(outcomes: &[Outcome]) -> String {
    let each = outcomes.iter().map(|outcome| match outcome {
        Outcome::Answered(reply) => format!("{:?}", String::from_utf8_lossy(reply)),
        Outcome::Error(number) => errno::name(*number).to_owned(),
        Outcome::Told(attempts) => attempts.iter().fold(String::new(), |text, attempt| {
            let gives: Vec<&str> = attempt.gives.iter().map(|one| errno::name(*one)).collect();
            format!("{text}{}: {}; ", attempt.call, gives.join(" or "))
        }),
    });
    each.collect::<Vec<_>>().join(" or ")
}
