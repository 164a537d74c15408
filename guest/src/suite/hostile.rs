// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every misbehaviour of the hostile handler: what the caller gets and by when, what becomes of the handler, and
//! that the next request is served. What is expected stands in `umd_testkit::matrix`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use umd_testkit::hostile::Start;
use umd_testkit::matrix::{
    Behaviour, By, Contained, Fate, How, LEAST, MATRIX, Outcome, ROOM, errno,
};

use crate::driver::Driver;
use crate::harness::{Context, Test, Topic, test, test_row};
use crate::process;
use crate::session::{self, Answer, Session};
use crate::time::{ms, patience, slowness, timed, until};

/// All of them, as a handler finds things after its lockdown.
pub(crate) const STRICT: Topic = Topic {
    name: "hostile: strict",
    modules: &[session::MODULE],
    tests: &rows::<{ count(false) }>(false, strict),
};

/// Those that strict forbids, with nothing forbidden.
pub(crate) const CUSTOM: Topic = Topic {
    name: "hostile: custom",
    modules: &[session::MODULE],
    tests: &rows::<{ count(true) }>(true, custom),
};

/// What there is to say about all of them.
pub(crate) const ALL: Topic = Topic {
    name: "hostile",
    modules: &[session::MODULE],
    tests: &[
        test("a handler's signals do not reach another driver's", signals),
        test("each behaviour was contained, and there are enough", enough),
    ],
};

/// Does this run in the topic?
const fn belongs(row: usize, to_custom: bool) -> bool {
    match to_custom {
        true => MATRIX[row].custom.is_some(),
        false => MATRIX[row].strict.is_some(),
    }
}

const fn count(custom: bool) -> usize {
    let (mut row, mut count) = (0, 0);
    while row < MATRIX.len() {
        count += belongs(row, custom) as usize;
        row += 1;
    }
    count
}

/// A test for each row that belongs to the topic.
const fn rows<const COUNT: usize>(
    custom: bool,
    run: fn(&Context, usize) -> Result<()>,
) -> [Test; COUNT] {
    let mut tests = [test_row("", run, 0); COUNT];
    let (mut row, mut count) = (0, 0);
    while row < MATRIX.len() {
        if belongs(row, custom) {
            tests[count] = test_row(MATRIX[row].name, run, row);
            count += 1;
        }
        row += 1;
    }
    tests
}

/// The behaviours that were not contained, and those that were, in this run.
static SEEN: Mutex<(BTreeSet<&str>, BTreeSet<&str>)> =
    Mutex::new((BTreeSet::new(), BTreeSet::new()));

fn strict(context: &Context, row: usize) -> Result<()> {
    let behaviour = &MATRIX[row];
    note(behaviour, run(context, behaviour, behaviour.strict, "load"))
}

fn custom(context: &Context, row: usize) -> Result<()> {
    let behaviour = &MATRIX[row];
    note(
        behaviour,
        run(context, behaviour, behaviour.custom, "load-custom"),
    )
}

fn note(behaviour: &Behaviour, result: Result<()>) -> Result<()> {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    match result {
        Ok(()) => seen.1.insert(behaviour.name),
        Err(_) => seen.0.insert(behaviour.name),
    };
    result
}

fn run(
    context: &Context,
    behaviour: &Behaviour,
    expected: Option<Contained>,
    load: &str,
) -> Result<()> {
    let expected = expected.context("it does not run here")?;
    let driver = Driver(behaviour.how.driver());
    let before = dead();
    let session = Session::with(load, driver.0)?;
    let old = match behaviour.how {
        How::Start(_) => None,
        _ => {
            session.echo().context("the request before")?;
            Some(driver.pid()?)
        }
    };
    let deadline = deadline(expected.by);
    let request = behaviour.how.request().join(" ");
    let (answer, took) = driver.with_deadline(deadline, || {
        let (answer, took) = timed(|| session.call_for(ROOM, request.trim_end()));
        Ok((answer?, took))
    })?;

    let got = match &answer {
        Answer::Good(reply) => Ok(&reply[..]),
        Answer::Bad(errno, _) => Err(errno.raw_os_error()),
    };
    ensure!(
        expected.caller.iter().any(|outcome| outcome.is(got)),
        "the answer was {answer}, not {}",
        words(expected.caller)
    );
    match expected.by {
        By::AtOnce => context.at_once(took)?,
        By::Deadline => context.at_deadline(deadline, took)?,
    }
    if behaviour.how == How::Start(Start::Child) {
        clear_away()?;
    }
    fate(driver, old, expected.fate)?;
    next(session, driver, behaviour, load, expected.fate).context("the next request")?;
    let unburied = || dead().difference(&before).copied().next();
    until("nobody is dead and not buried", || unburied().is_none())
}

/// Processes that have ended, but of which something is left because nobody asked how.
fn dead() -> BTreeSet<i32> {
    let mut pids = process::all();
    pids.retain(|pid| process::state(*pid) == Some('Z'));
    pids.into_iter().collect()
}

/// Short where it is waited for, since many are; but a start is work, and has its own deadline at most.
fn deadline(by: By) -> Duration {
    match by {
        By::AtOnce => patience(),
        By::Deadline => (slowness() * ms(40)).min(session::deadline() - ms(50)),
    }
}

/// Is the handler where it should be?
fn fate(driver: Driver, old: Option<i32>, fate: Fate) -> Result<()> {
    match (fate, old) {
        (Fate::Lives, None) => driver.expect("starts", "1"),
        (Fate::Lives, Some(old)) => {
            let pid = driver.pid()?;
            ensure!(pid == old, "handler {old} was replaced by {pid}");
            Ok(())
        }
        (Fate::Dies, None) => driver.await_value("pid", "0"),
        (Fate::Dies, Some(old)) => until("the handler is gone", || !process::exists(old)),
    }
}

/// The host knows of its handler only: a child that this left behind is ours to clear away.
fn clear_away() -> Result<()> {
    for pid in process::handlers() {
        // It may be gone by now.
        let _ = process::signal(pid, Signal::KILL);
    }
    until("the child is gone", || process::handlers().is_empty())
}

/// The next request is served. A driver whose every handler starts badly needs another name for that.
fn next(
    session: Session,
    driver: Driver,
    behaviour: &Behaviour,
    load: &str,
    fate: Fate,
) -> Result<()> {
    match (behaviour.how, fate) {
        (How::Start(_), Fate::Dies) => {
            drop(session);
            Session::with(load, Start::Normal.name())?.echo()
        }
        _ => {
            session.echo()?;
            driver.expect("state", "running")
        }
    }
}

fn words(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        let or = if index > 0 { " or " } else { "" };
        // Writing to a string does not fail.
        let _ = match outcome {
            Outcome::Answered(reply) => write!(text, "{or}{:?}", String::from_utf8_lossy(reply)),
            Outcome::Error(number) => write!(text, "{or}{}", errno::name(*number)),
            Outcome::Told(attempts) => attempts.iter().try_for_each(|attempt| {
                let gives: Vec<&str> = attempt
                    .gives
                    .iter()
                    .map(|number| errno::name(*number))
                    .collect();
                write!(text, "{or}{}: {}; ", attempt.call, gives.join(" or "))
            }),
        };
    }
    text
}

/// All handlers run as one user; but one of them has nothing to say to another.
fn signals(_: &Context) -> Result<()> {
    let neighbour = Driver("test-neighbour");
    let other = Session::load(neighbour.0)?;
    other.echo()?;
    let pid = neighbour.pid()?;
    let session = Session::with("load-custom", Start::Normal.name())?;
    session.call("try signals")?;
    ensure!(
        neighbour.pid()? == pid && neighbour.get("exits")? == "0",
        "the neighbour was killed"
    );
    other.echo()
}

/// The last word. It is about the tests of this run only.
fn enough(_: &Context) -> Result<()> {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(seen.0.is_empty(), "not contained: {:?}", seen.0);
    let contained = seen.1.len();
    ensure!(
        contained == MATRIX.len() && contained >= LEAST,
        "{contained} of {} behaviours were contained; {LEAST} are wanted",
        MATRIX.len()
    );
    println!("# {contained} of {contained} hostile behaviours were contained");
    Ok(())
}
