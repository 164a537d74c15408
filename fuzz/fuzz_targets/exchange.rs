// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls one after the other, while handlers, operators and signals do what they like: each call ends
//! within its limit, and no two handlers ever read the same request.
#![no_main]

#[path = "../../crates/umd-core/tests/support/host.rs"]
#[allow(dead_code, reason = "shared with the core's own tests")]
mod host;
#[path = "../../crates/umd-core/tests/support/mod.rs"]
#[allow(dead_code, reason = "shared with the core's own tests")]
mod support;

use host::{Birth, Deed, Happening, Host, Script as Life};
use libfuzzer_sys::fuzz_target;
use support::Event;
use umd_core::error::{Errno, Error, LockdownCheck};
use umd_core::exchange::{replenish, start};
use umd_core::frame::Header;
use umd_core::host::Turnstile;
use umd_core::lifecycle::{Lifecycle, Served, State, WorkerId};
use umd_core::policy::{Instant, Policy, RestartPolicy, Span};
use umd_core::status::ExitStatus;
use umd_core::transfer::Answer;
use umd_fuzz::Script;

/// Calls of one run, and deeds of one handler.
const CALLS: usize = 12;
const DEEDS: u8 = 6;

fn happening(script: &mut Script<'_>) -> Happening {
    match script.below(6) {
        0 => Happening::Nothing,
        1 => Happening::ItDies,
        2 => Happening::Restart,
        3 => Happening::Unload,
        4 => Happening::Withdraw,
        _ => Happening::Signal,
    }
}

fn birth(script: &mut Script<'_>) -> Birth {
    match script.below(8) {
        0 => Birth::Good(script.below(30).into()),
        1 => Birth::Exec([Errno::ENOMEM, Errno::EIO][usize::from(script.below(2))]),
        2 => Birth::Dies,
        3 => Birth::Silent,
        4 => Birth::Babbles,
        5 => Birth::Keeps(LockdownCheck::Capabilities),
        6 => Birth::Sick,
        _ => Birth::Meanwhile(happening(script)),
    }
}

fn deed(script: &mut Script<'_>) -> Deed {
    match script.below(9) {
        0 => Deed::Answer,
        1 => Deed::Slow(script.below(30).into()),
        2 => Deed::Refuse(u32::from(script.byte()) + 1),
        3 => Deed::Surplus,
        4 => Deed::AnswerAndDie,
        5 => Deed::WrongId,
        6 => Deed::Early,
        7 => Deed::TooLong,
        _ => Deed::ReadThen(script.below(24).into(), happening(script)),
    }
}

fn policy(script: &mut Script<'_>) -> Policy {
    let millis = |script: &mut Script<'_>| Span::from_millis(script.byte().into());
    Policy {
        // A good start takes one.
        start_deadline: Span::from_millis(2 + u64::from(script.byte())),
        queue_max: script.below(4).into(),
        workers: 1 + usize::from(script.below(2)),
        spares: script.below(2).into(),
        restart: RestartPolicy {
            budget: script.below(6).into(),
            window: millis(script),
            backoff: millis(script),
            backoff_max: millis(script),
        },
        ..Policy::DEFAULT
    }
}

/// What the next handlers will do.
fn plan(script: &mut Script<'_>, host: &Host<2>) {
    for _ in 0..script.below(3) {
        let birth = birth(script);
        let deeds = (0..script.below(DEEDS)).map(|_| deed(script)).collect();
        host.scripts.borrow_mut().push_back(Life { birth, deeds });
    }
}

/// What somebody else does before the next call, or while it waits.
fn meddle(script: &mut Script<'_>, host: &Host<2>) {
    match script.below(10) {
        0 => host.pass(script.byte().into()),
        1 => host.restart(),
        2 => host.update(Lifecycle::withdrawn),
        3 => host.update(Lifecycle::loaded),
        4 => drop(replenish(host)),
        5 => drop(start(host)),
        6 => {
            let millis = script.byte().into();
            host.later(millis, Host::restart);
        }
        7 => {
            let millis = script.byte().into();
            host.later(millis, |host| host.signal.set(true));
        }
        8 => drop(host.report_deaths()),
        _ => {}
    }
}

/// Whoever works on a request whose caller is gone answers it, or comes to its deadline. Whoever is
/// not known any more dies.
fn settle(script: &mut Script<'_>, host: &Host<2>) {
    let living: Vec<WorkerId> = {
        let processes = host.processes.borrow();
        let living = processes.iter().filter(|process| process.alive);
        living.map(|process| process.id).collect()
    };
    for id in living {
        if !host.update(|lifecycle| lifecycle.knows(id)) {
            host.kill(id, ExitStatus::Signaled(9));
        } else if host.with(id, |process| process.channel.transfer.is_draining()) {
            if script.flip() {
                let asked = host.with(id, |process| {
                    process.channel.read_all(usize::MAX);
                    process.asked
                });
                let events = host.write(id, &Header::reply(asked, 0, 0).encode());
                assert_eq!(events, [Event::Drained(Answer::Reply(0))]);
                assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
            } else {
                assert!(host.with(id, |process| process.channel.expires(Instant::NEVER)));
                host.kill(id, ExitStatus::Signaled(9));
            }
        }
    }
    host.report_deaths();
}

fuzz_target!(|data: &[u8]| {
    let mut script = Script::new(data);
    let policy = policy(&mut script);
    let host = Host::<2>::new(policy);
    for _ in 0..CALLS {
        if script.is_over() {
            return;
        }
        plan(&mut script, &host);
        let brings = script.flip().then_some(Error::NotLoaded);
        *host.loads.borrow_mut() = [brings; 4].into_iter().collect();
        meddle(&mut script, &host);
        let request = vec![7; script.below(12).into()];
        let limit = 1 + u64::from(script.byte());
        let result = host.call_unreported(limit, &request);
        if let Ok(reply) = &result {
            assert_eq!(*reply, request, "the request, reversed");
        }
        host.signal.set(false);
        host.agenda.borrow_mut().clear();
        settle(&mut script, &host);
        assert!(
            host.update(|lifecycle| lifecycle.is_quiet()),
            "a worker that is nobody's"
        );
        let living = host.living();
        assert!(living <= 2, "{living} processes");
        if host.state() == State::Unloading {
            assert!(matches!(
                host.call_unreported(limit, b""),
                Err(Error::Unloading)
            ));
            return;
        }
    }
});
