// SPDX-License-Identifier: MIT OR Apache-2.0
//! Progress with the time left: bars on a terminal, plain lines elsewhere, always on standard error.
//!
//! Each step remembers how long it took, so that the next run knows better.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::paths;

/// Steps shorter than this are not shown, nor remembered: there was nothing to do.
const WORTH_SHOWING: Duration = Duration::from_secs(1);
/// How often a step that goes on says so where there is no terminal.
const REMINDER: Duration = Duration::from_secs(20);

/// All bars of this process, so that lines can be printed between them.
fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// Prints a line on standard output without disturbing the bars.
pub(crate) fn print(line: &str) {
    bars().suspend(|| println!("{line}"));
}

/// Prints a line on standard error without disturbing the bars.
pub(crate) fn note(line: &str) {
    bars().suspend(|| eprintln!("{line}"));
}

/// Does a step of work, showing its progress; `guess` is its length as far as nobody has measured it yet.
pub(crate) fn step<T>(name: &str, guess: Duration, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let memory = memory_of(name);
    let expected = expected(name, guess);
    let begin = Instant::now();
    let (done, is_done) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        scope.spawn(|| show(name, expected, is_done));
        let result = work();
        drop(done);
        result
    });
    let took = begin.elapsed();
    if result.is_ok() && took >= WORTH_SHOWING {
        let took = took.as_millis().to_string();
        // Only a hint for the next run: failing to keep it harms nobody.
        let _ = paths::write_if_changed(&memory, took.as_bytes());
    }
    result
}

/// How long a step of this name took when it was done last, or else the guess.
pub(crate) fn expected(name: &str, guess: Duration) -> Duration {
    remembered(&memory_of(name)).unwrap_or(guess)
}

fn memory_of(name: &str) -> PathBuf {
    let file = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    paths::umd().join("timings").join(file)
}

fn remembered(memory: &PathBuf) -> Option<Duration> {
    let text = fs::read_to_string(memory).ok()?;
    Some(Duration::from_millis(text.parse().ok()?))
}

/// Shows the step until the other end of `is_done` goes away.
fn show(name: &str, expected: Duration, is_done: mpsc::Receiver<()>) {
    if bars().is_hidden() {
        show_lines(name, expected, is_done);
    } else {
        show_bar(name, expected, is_done);
    }
}

fn show_bar(name: &str, expected: Duration, is_done: mpsc::Receiver<()>) {
    let begin = Instant::now();
    let ended = |wait| !matches!(is_done.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
    if ended(WORTH_SHOWING) {
        return;
    }
    let length = u64::try_from(expected.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    let bar = bars().add(ProgressBar::new(length));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {wide_bar} {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    loop {
        let elapsed = begin.elapsed();
        bar.set_position(
            u64::try_from(elapsed.as_millis())
                .unwrap_or(length)
                .min(length),
        );
        bar.set_message(left(elapsed, expected));
        bar.tick();
        if ended(Duration::from_millis(200)) {
            break;
        }
    }
    bar.finish_and_clear();
    bars().remove(&bar);
}

fn show_lines(name: &str, expected: Duration, is_done: mpsc::Receiver<()>) {
    let begin = Instant::now();
    let mut wait = WORTH_SHOWING;
    while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(wait) {
        note(&format!("{name}: {}", left(begin.elapsed(), expected)));
        wait = REMINDER;
    }
    if begin.elapsed() >= WORTH_SHOWING {
        note(&format!(
            "{name}: took {:.0} s",
            begin.elapsed().as_secs_f64()
        ));
    }
}

/// The time gone by and the time left, in words.
fn left(elapsed: Duration, expected: Duration) -> String {
    let past = if elapsed.is_zero() {
        String::new()
    } else {
        format!("{} s gone, ", elapsed.as_secs())
    };
    match expected.checked_sub(elapsed) {
        Some(rest) => format!("{past}about {} s left", rest.as_secs().max(1)),
        None => format!(
            "{past}longer than the expected {} s",
            expected.as_secs().max(1)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_in_words() {
        let seconds = Duration::from_secs;
        assert_eq!(left(seconds(20), seconds(25)), "20 s gone, about 5 s left");
        assert_eq!(
            left(seconds(30), seconds(25)),
            "30 s gone, longer than the expected 25 s"
        );
    }
}
