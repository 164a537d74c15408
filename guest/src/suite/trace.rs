// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trace events.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::harness::{Context, Topic, test};
use crate::sample::{self, DRIVER, MODULE};

pub(crate) const TOPIC: Topic = Topic {
    name: "trace",
    modules: &[MODULE],
    tests: &[
        test("an exchange is a request and a reply", exchange),
        test(
            "a deadline is a timeout, a failed reply and an exit",
            timeout,
        ),
        test("a restart is an exit and a start", restart),
        test("events that are off are silent", silent),
    ],
};

const TRACING: &str = "/sys/kernel/tracing";

fn switch(on: bool) -> Result<()> {
    let path = format!("{TRACING}/events/umd/enable");
    fs::write(&path, if on { "1" } else { "0" }).with_context(|| format!("writing to {path}"))
}

/// What umd's events say while `work` is done: who was running, and from the event's name on.
fn lines(work: impl FnOnce() -> Result<()>) -> Result<Vec<(String, String)>> {
    let path = format!("{TRACING}/trace");
    fs::write(&path, "")?;
    switch(true)?;
    let done = work();
    switch(false)?;
    done?;
    let text = fs::read_to_string(&path)?;
    let events = text.lines().filter(|line| !line.starts_with('#'));
    Ok(events
        .filter_map(|line| line.split_once(": umd_"))
        .map(|(who, event)| (who.to_owned(), event.to_owned()))
        .collect())
}

fn traced(work: impl FnOnce() -> Result<()>) -> Result<Vec<String>> {
    let events = lines(work)?.into_iter();
    Ok(events.map(|(_, event)| event).collect())
}

/// The threads that hand a request over while `work` is done, in order.
pub(super) fn callers(work: impl FnOnce() -> Result<()>) -> Result<Vec<i32>> {
    let events = lines(work)?;
    let requests = events
        .iter()
        .filter(|(_, event)| event.starts_with("request:"));
    requests
        // As in "umd-guest-123     [000] ..... 12.345678".
        .map(|(who, _)| {
            let task = who.split_whitespace().next().unwrap_or_default();
            let id = task.rsplit_once('-').map(|(_, id)| id.parse());
            id.context("an event without a task")?
                .context("a task without an id")
        })
        .collect()
}

/// The value of a field, as in `name=value`.
fn field(event: &str, name: &str) -> Option<String> {
    let words = event.split_whitespace();
    words
        .filter_map(|word| word.split_once('='))
        .find_map(|(key, value)| (key == name).then(|| value.to_owned()))
}

fn exchange(_: &Context) -> Result<()> {
    let pid = DRIVER.pid()?;
    let events = traced(|| {
        sample::ask(12)?;
        sample::ask(13)?;
        Ok(())
    })?;
    let first = events.first().and_then(|event| field(event, "id"));
    let first: u32 = first
        .with_context(|| format!("events {events:?}"))?
        .parse()?;
    let mut wanted = Vec::new();
    for id in [first, first + 1] {
        wanted.push(format!("request: driver=sample pid={pid} id={id} len=4"));
        wanted.push(format!(
            "reply: driver=sample pid={pid} id={id} result=131072"
        ));
    }
    ensure!(events == wanted, "events {events:?}, not {wanted:?}");
    Ok(())
}

fn timeout(_: &Context) -> Result<()> {
    DRIVER.set("deadline_ms", "50")?;
    let pid = DRIVER.stop_handler()?;
    let exits = DRIVER.number("exits")?;
    let events = traced(|| {
        // Its result is another test's.
        let _ = sample::ask(1);
        DRIVER.await_value("exits", &(exits + 1).to_string())
    });
    DRIVER.set("deadline_ms", "1000")?;
    let events = events?;
    for wanted in [
        format!("timeout: driver=sample pid={pid}"),
        format!("exit: driver=sample pid={pid} code=0 signal=9"),
    ] {
        ensure!(events.contains(&wanted), "no {wanted:?} in {events:?}");
    }
    let reply = events.iter().find(|event| event.starts_with("reply:"));
    let result = reply.and_then(|event| field(event, "result"));
    ensure!(
        result.as_deref() == Some("-110"),
        "no reply with -110 in {events:?}"
    );
    Ok(())
}

fn restart(_: &Context) -> Result<()> {
    DRIVER.restart()?;
    let (old, exits) = (DRIVER.pid()?, DRIVER.number("exits")?);
    let events = traced(|| {
        DRIVER.restart()?;
        DRIVER.await_value("exits", &(exits + 1).to_string())
    })?;
    let new = DRIVER.pid()?;
    for wanted in [
        format!("exit: driver=sample pid={old} code=0 signal=9"),
        format!("start: driver=sample pid={new} error=0"),
    ] {
        ensure!(events.contains(&wanted), "no {wanted:?} in {events:?}");
    }
    Ok(())
}

fn silent(_: &Context) -> Result<()> {
    fs::write(format!("{TRACING}/trace"), "")?;
    switch(false)?;
    sample::ask(1)?;
    let text = fs::read_to_string(format!("{TRACING}/trace"))?;
    ensure!(!text.contains("umd_"), "the trace is:\n{text}");
    Ok(())
}
