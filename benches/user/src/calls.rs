// SPDX-License-Identifier: MIT OR Apache-2.0
//! The call after a crash.

use crate::handlers::HOSTILE;
use crate::{Timed, each, side_by_side};
use anyhow::{Result, ensure};
use std::thread::sleep;
use std::time::Duration;
use umd::{Driver, RestartPolicy};

/// How many crashes.
const CRASHES: usize = 200;
/// In which time a spare is back for sure.
const PAUSE: Duration = Duration::from_millis(5);

/// With one spare: the call after a crash, next to the call after a call.
pub(crate) fn recovery() -> Result<()> {
    let driver = Driver::builder("hostile", HOSTILE)
        .restart(RestartPolicy::unlimited())
        .spares(1)
        .build()?;
    let ask = |text: &[u8]| driver.call_bytes(text, &mut [0; 64]);
    let answers = || {
        each(1, || {
            ensure!(ask(b"echo ok")? == 2, "another reply");
            Ok(())
        })
    };
    let pause = || {
        sleep(PAUSE);
        while driver.status().pids.len() < 2 {
            sleep(PAUSE);
        }
    };
    pause();
    let normal = || {
        pause();
        answers()?;
        answers()
    };
    let after_a_crash = || {
        pause();
        answers()?;
        ensure!(ask(b"exit 3").is_err(), "it lives");
        answers()
    };
    let mut hosts: [(&str, Timed<'_>); 2] = [
        ("after a call", Box::new(normal)),
        ("after a crash", Box::new(after_a_crash)),
    ];
    (0..CRASHES).try_for_each(|round| side_by_side("call", round, 1, &mut hosts))
}
