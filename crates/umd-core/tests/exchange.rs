// SPDX-License-Identifier: MIT OR Apache-2.0
//! One request's journey, on a host that is made up: one thread, a clock that moves only when
//! somebody waits, and handlers that follow a script. Lifecycle and transfer are the real ones.

#[path = "support/host.rs"]
mod host;
mod support;

use core::num::NonZeroU32;
use host::{Birth, Deed, Happening, Host};
use umd_core::error::{Errno, Error, LockdownCheck, Seen, StartError, Violation};
use umd_core::exchange::{call, replenish, start};
use umd_core::frame::HEADER_LEN;
use umd_core::host::{Clock, Processes, Turnstile};
use umd_core::lifecycle::{Lifecycle, Served, State};
use umd_core::policy::{Policy, RestartPolicy, Span};
use umd_core::status::ExitStatus;
use umd_core::transfer::Withdrawn;

/// A driver with one worker and no spare.
fn one() -> Host<1> {
    Host::new(Policy::DEFAULT)
}

/// One that has answered once already.
fn running(deeds: &[Deed]) -> Host<1> {
    let host = one();
    let mut all = vec![Deed::Answer];
    all.extend(deeds);
    host.deeds(&all);
    assert_eq!(host.call(b"abc"), Ok(b"cba".to_vec()));
    host
}

const DIES_UNREAD: Deed = Deed::ReadThen(0, Happening::ItDies);
const DIES_READ: Deed = Deed::ReadThen(1, Happening::ItDies);

// Good calls.

#[test]
fn the_first_call_starts_a_handler_and_the_next_ones_use_it() {
    let host = one();
    assert_eq!(host.state(), State::Loaded);
    assert_eq!(host.call(b"abc"), Ok(b"cba".to_vec()));
    assert_eq!(host.call(b""), Ok(b"".to_vec()));
    assert_eq!(host.call(b"12"), Ok(b"21".to_vec()));
    assert_eq!((host.made(), host.state()), (1, State::Running));
}

#[test]
fn calls_are_counted() {
    let host = running(&[Deed::Slow(3), DIES_READ]);
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.call(b"1"), Err(Error::ConnectionReset));
    let counters = host.update(|lifecycle| lifecycle.counters);
    assert_eq!((counters.requests, counters.replies), (3, 2));
    assert_eq!((counters.starts, counters.exits), (1, 1));
    assert_eq!(counters.last_exit, Some(ExitStatus::Exited(7)));
    assert_eq!(counters.last_error, Some(Error::ConnectionReset));
    assert_eq!(counters.timeouts, 0);
    // Answered calls only: one of 1 ms with the start in it, and one of 3 ms.
    assert_eq!(counters.latencies.percentile_us(100), 4_096);
    assert_eq!(counters.latencies.percentile_us(50), 1_024);
}

#[test]
fn a_refusal_is_an_answer_and_the_worker_stays() {
    let host = running(&[Deed::Refuse(42)]);
    let status = NonZeroU32::new(42).expect("42");
    assert_eq!(host.call(b"1"), Err(Error::Rejected(status)));
    assert_eq!(host.last_error(), Some(Error::Rejected(status)));
    assert!(host.call(b"1").is_ok());
    assert_eq!((host.made(), host.living()), (1, 1));
}

/// Whether the host reports the death before the next call comes, or that meets a closed channel.
#[test]
fn a_death_after_the_answer_costs_neither_this_call_nor_the_next() {
    for deed in [Deed::Surplus, Deed::AnswerAndDie] {
        for reported in [true, false] {
            let host = running(&[deed]);
            assert!(host.call_unreported(1_000, b"1").is_ok());
            if reported {
                assert_eq!(host.report_deaths(), 1);
                assert_eq!(host.state(), State::Exited);
            }
            assert!(host.call(b"1").is_ok());
            assert_eq!((host.made(), host.living()), (2, 1));
        }
    }
}

// The retry rule.

#[test]
fn a_handler_that_died_before_it_read_is_replaced_once() {
    let host = running(&[DIES_UNREAD]);
    assert_eq!(host.call(b"12"), Ok(b"21".to_vec()));
    assert_eq!((host.made(), host.delivered()), (2, 3));
    assert_eq!(host.last_error(), None);
}

#[test]
fn the_second_that_dies_before_it_read_is_the_last() {
    let host = running(&[DIES_UNREAD]);
    host.deeds(&[DIES_UNREAD]);
    assert_eq!(host.call(b"1"), Err(Error::ConnectionRefused));
    assert_eq!((host.made(), host.living()), (2, 0));
    assert_eq!(host.state(), State::Exited);
}

#[test]
fn a_request_that_was_read_is_never_delivered_again() {
    let request = b"12345";
    for bytes in 1..=HEADER_LEN + request.len() {
        let host = running(&[Deed::ReadThen(bytes, Happening::ItDies)]);
        assert_eq!(host.call(request), Err(Error::ConnectionReset));
        assert_eq!((host.made(), host.delivered()), (1, 2));
        // It is the next call that starts afresh.
        assert!(host.call(request).is_ok());
        assert_eq!(host.made(), 2);
    }
}

#[test]
fn one_retry_covers_start_and_request_together() {
    let host = one();
    host.birth(Birth::Dies).deeds(&[DIES_UNREAD]);
    assert_eq!(host.call(b"1"), Err(Error::ConnectionRefused));
    assert_eq!(host.made(), 2);
}

#[test]
fn a_restart_under_an_unread_request_asks_another_handler() {
    let host = running(&[Deed::ReadThen(0, Happening::Restart)]);
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.made(), 2);
}

#[test]
fn a_restart_under_a_request_that_was_read_resets_it() {
    let host = running(&[Deed::ReadThen(1, Happening::Restart)]);
    assert_eq!(host.call(b"1"), Err(Error::ConnectionReset));
    assert_eq!((host.made(), host.living()), (1, 0));
}

// Deadlines.

#[test]
fn a_call_that_times_out_ends_its_handler_and_the_next_starts_afresh() {
    for (bytes, seen) in [(0, Seen::Unread), (1, Seen::Read), (99, Seen::Read)] {
        let host = running(&[Deed::ReadThen(bytes, Happening::Nothing)]);
        let begin = host.now();
        assert_eq!(host.call_within(300, b"1"), Err(Error::TimedOut(seen)));
        assert_eq!(host.now(), begin.after(Span::from_millis(300)));
        assert_eq!(host.living(), 0);
        assert_eq!(host.update(|lifecycle| lifecycle.counters.timeouts), 1);
        assert!(host.call(b"1").is_ok());
        assert_eq!(host.made(), 2);
    }
}

#[test]
fn the_deadline_includes_queue_and_start() {
    let host = running(&[]);
    let id = host.occupy();
    host.birth(Birth::Good(100));
    host.later(100, move |host| {
        assert!(host.update(|lifecycle| lifecycle.died(id, host.now())));
        host.discard(id);
    });
    // 100 ms in the queue, 100 ms for a start, the rest for the handler.
    host.scripts.borrow_mut()[0].deeds = [Deed::ReadThen(99, Happening::Nothing)].into();
    let begin = host.now();
    assert_eq!(
        host.call_within(300, b"1"),
        Err(Error::TimedOut(Seen::Read))
    );
    assert_eq!(host.now(), begin.after(Span::from_millis(300)));
}

#[test]
fn whoever_waits_in_vain_leaves_the_worker_alone() {
    let host = running(&[]);
    let id = host.occupy();
    assert_eq!(
        host.call_within(50, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    assert_eq!((host.living(), host.delivered()), (1, 1));
    assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    assert!(host.call(b"1").is_ok());
}

/// A worker that is taken at one's deadline would be killed at once, for nothing.
#[test]
fn no_worker_is_taken_when_the_time_is_up() {
    let host = running(&[]);
    assert_eq!(
        host.call_within(0, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    let id = host.occupy();
    host.later(49, move |host| {
        host.pass(1);
        assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    });
    assert_eq!(
        host.call_within(50, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    assert_eq!((host.living(), host.delivered()), (1, 1));
}

// Handlers that break rules.

#[test]
fn a_handler_that_breaks_a_rule_is_ended() {
    for (deed, violation) in [
        (Deed::WrongId, Violation::Id),
        (Deed::TooLong, Violation::TooLong),
    ] {
        let host = running(&[deed]);
        assert_eq!(host.call(b"1"), Err(Error::BadMessage(violation)));
        assert_eq!((host.living(), host.delivered()), (0, 2));
        assert!(host.call(b"1").is_ok());
    }
}

// Starts that fail.

#[test]
fn a_failed_start_says_why() {
    for (birth, error) in [
        (
            Birth::Exec(Errno::ENOEXEC),
            StartError::Exec(Errno::ENOEXEC),
        ),
        (Birth::Silent, StartError::TimedOut),
        (Birth::Babbles, StartError::Hello(Violation::Magic)),
        (
            Birth::Keeps(LockdownCheck::Capabilities),
            StartError::Lockdown(LockdownCheck::Capabilities),
        ),
        (Birth::Sick, StartError::Health(Errno::EIO)),
    ] {
        let host = one();
        host.birth(birth);
        assert_eq!(host.call(b"1"), Err(Error::Start(error)));
        assert_eq!(host.last_error(), Some(Error::Start(error)));
        assert_eq!((host.living(), host.delivered()), (0, 0));
        assert!(
            host.call(b"1").is_ok(),
            "one failed start is forgiven at once"
        );
    }
}

#[test]
fn a_handler_that_dies_in_its_start_is_replaced_once() {
    let host = one();
    host.birth(Birth::Dies);
    assert!(host.call(b"1").is_ok());

    let host = one();
    host.birth(Birth::Dies).birth(Birth::Dies);
    assert_eq!(host.call(b"1"), Err(Error::Start(StartError::Died)));
    assert_eq!((host.made(), host.living()), (2, 0));
}

#[test]
fn a_start_has_its_own_deadline_within_that_of_the_call() {
    let policy = Policy {
        start_deadline: Span::from_millis(20),
        ..Policy::DEFAULT
    };
    for (call_ms, start_ms) in [(1_000, 20), (10, 10)] {
        let host = Host::<1>::new(policy);
        host.birth(Birth::Silent);
        let begin = host.now();
        assert_eq!(
            host.call_within(call_ms, b"1"),
            Err(Error::Start(StartError::TimedOut))
        );
        assert_eq!(host.now(), begin.after(Span::from_millis(start_ms)));
    }
}

#[test]
fn a_restart_during_a_start_starts_another() {
    let host = one();
    host.birth(Birth::Meanwhile(Happening::Restart));
    assert!(host.call(b"1").is_ok());
    assert_eq!((host.made(), host.living()), (2, 1));
}

#[test]
fn a_worker_that_was_retired_while_it_started_is_not_used() {
    let host = one();
    host.birth(Birth::Meanwhile(Happening::RestartUnseen));
    assert!(host.call(b"1").is_ok());
    assert_eq!((host.made(), host.living()), (2, 1));

    let host = two_and_a_spare();
    host.birth(Birth::Meanwhile(Happening::RestartUnseen));
    replenish(&host);
    assert_eq!((host.made(), host.living()), (4, 3));
}

// Back-off and budget.

#[test]
fn an_image_that_cannot_be_executed_ends_in_failure_that_is_fast() {
    let host = one();
    let error = Error::Start(StartError::Exec(Errno::ENOEXEC));
    for _ in 0..=RestartPolicy::DEFAULT.budget {
        host.birth(Birth::Exec(Errno::ENOEXEC));
        assert_eq!(host.call(b"1"), Err(error));
    }
    assert_eq!(host.state(), State::Failed);
    let begin = host.now();
    assert_eq!(host.call(b"1"), Err(Error::Failed));
    assert_eq!(start(&host), Err(Error::Failed));
    assert_eq!(host.now(), begin, "failed slowly");
    assert_eq!(host.last_error(), Some(Error::Failed));
}

#[test]
fn a_handler_is_not_blamed_for_memory_that_the_host_has_not() {
    let host = one();
    let error = Error::Start(StartError::Lockdown(LockdownCheck::Memory));
    assert_eq!(error.errno(), Errno::ENOMEM);
    for _ in 0..2 * RestartPolicy::DEFAULT.budget {
        host.birth(Birth::Keeps(LockdownCheck::Memory));
        assert_eq!(host.call(b"1"), Err(error));
    }
    assert!(host.call(b"1").is_ok());
}

#[test]
fn the_pause_grows_from_death_to_death_and_callers_sit_it_out() {
    let host = one();
    let mut waited = vec![];
    for _ in 0..=RestartPolicy::DEFAULT.budget {
        let begin = host.now();
        host.birth(Birth::Sick);
        assert_eq!(
            host.call(b"1"),
            Err(Error::Start(StartError::Health(Errno::EIO)))
        );
        waited.push(host.now().since(begin).as_millis());
    }
    assert_eq!(waited, [0, 0, 100, 200, 400, 800]);
}

#[test]
fn a_pause_that_outlasts_the_deadline_is_a_timeout_and_costs_no_process() {
    let host = one();
    host.birth(Birth::Dies).birth(Birth::Dies);
    assert!(host.call(b"1").is_err());
    assert_eq!(
        host.call_within(50, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    assert_eq!(host.made(), 2);
    // The rest of the pause.
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now().since(begin).as_millis(), 50 + 1);
}

fn failed() -> Host<1> {
    let host = one();
    for _ in 0..=RestartPolicy::DEFAULT.budget {
        host.birth(Birth::Sick);
        assert!(host.call(b"1").is_err());
    }
    assert_eq!(host.state(), State::Failed);
    host
}

#[test]
fn failure_passes_with_the_window() {
    let host = failed();
    host.pass(RestartPolicy::DEFAULT.window.as_millis() - 1);
    assert_eq!(host.call(b"1"), Err(Error::Failed));
    host.pass(1);
    assert_eq!(host.state(), State::Exited);
    assert!(host.call(b"1").is_ok());
}

#[test]
fn a_restart_forgives() {
    let host = failed();
    host.restart();
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now().since(begin).as_millis(), 1);
}

#[test]
fn a_reply_forgives() {
    let host = one();
    for _ in 0..3 * RestartPolicy::DEFAULT.budget {
        host.deeds(&[Deed::Answer, DIES_READ]);
        let begin = host.now();
        assert!(host.call(b"1").is_ok());
        assert_eq!(host.call(b"1"), Err(Error::ConnectionReset));
        assert!(host.now().since(begin).as_millis() <= 1, "paused");
    }
}

#[test]
fn a_hello_does_not_forgive() {
    let host = one();
    for _ in 0..=RestartPolicy::DEFAULT.budget {
        host.deeds(&[DIES_READ]);
        assert_eq!(host.call(b"1"), Err(Error::ConnectionReset));
    }
    assert_eq!(host.call(b"1"), Err(Error::Failed));
}

// The queue.

#[test]
fn whoever_waits_goes_on_when_the_worker_is_free() {
    let host = running(&[]);
    let id = host.occupy();
    host.later(10, move |host| {
        assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    });
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now().since(begin).as_millis(), 10);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let policy = Policy {
        queue_max: 2,
        ..Policy::DEFAULT
    };
    let host = Host::<1>::new(policy);
    assert!(host.call(b"1").is_ok());
    let id = host.occupy();
    let places = [(); 2].map(|()| host.update(|lifecycle| lifecycle.enter()).expect("room"));
    let mut reply = [0; 8];
    let begin = host.now();
    assert_eq!(
        call(&host, b"1", &mut reply, Span::from_millis(100)),
        Err(Error::Busy)
    );
    assert_eq!(host.now(), begin);
    for place in places {
        host.update(|lifecycle| lifecycle.leave(place));
    }
    assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    assert!(host.call(b"1").is_ok());
}

#[test]
fn a_request_that_is_too_long_is_refused_before_anything_starts() {
    let policy = Policy {
        request_max: 4,
        ..Policy::DEFAULT
    };
    let host = Host::<1>::new(policy);
    assert_eq!(host.call(b"12345"), Err(Error::RequestTooLong));
    assert_eq!((host.made(), host.state()), (0, State::Loaded));
    assert_eq!(host.last_error(), Some(Error::RequestTooLong));
    assert_eq!(host.call(b"1234"), Ok(b"4321".to_vec()));
}

// Callers that are killed.

#[test]
fn a_caller_killed_in_the_queue_leaves_it_clean() {
    let host = running(&[]);
    let id = host.occupy();
    host.later(10, |host| host.signal.set(true));
    assert_eq!(host.call(b"1"), Err(Error::Interrupted));
    assert_eq!((host.living(), host.delivered()), (1, 1));
    assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
    assert!(host.call(b"1").is_ok());
}

#[test]
fn a_caller_killed_during_a_start_blames_nobody() {
    let host = one();
    for _ in 0..2 * RestartPolicy::DEFAULT.budget {
        host.birth(Birth::Meanwhile(Happening::Signal));
        let begin = host.now();
        assert_eq!(host.call(b"1"), Err(Error::Start(StartError::Interrupted)));
        assert_eq!(host.now(), begin, "paused");
        assert_eq!(host.living(), 0);
    }
    assert!(host.call(b"1").is_ok());
}

#[test]
fn a_caller_killed_before_its_request_was_read_frees_the_worker() {
    let host = running(&[Deed::ReadThen(0, Happening::Signal)]);
    assert_eq!(host.call(b"1"), Err(Error::Interrupted));
    assert_eq!(host.living(), 1);
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.made(), 1);
}

#[test]
fn a_worker_with_a_withdrawn_request_is_busy_until_it_has_answered() {
    let host = running(&[Deed::ReadThen(99, Happening::Signal)]);
    assert_eq!(host.call(b"1"), Err(Error::Interrupted));
    let id = host.processes.borrow()[0].id;
    assert_eq!(host.with(id, |p| p.channel.withdraw()), Withdrawn::Draining);
    assert_eq!(
        host.call_within(50, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    host.later(10, move |host| host.drain(id));
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.made(), 1);
}

#[test]
fn a_caller_killed_with_a_dead_handler_reports_the_death() {
    let host = running(&[]);
    let id = host.processes.borrow()[0].id;
    host.with(id, |process| {
        process.script.deeds.push_back(DIES_UNREAD);
    });
    host.signal.set(true);
    assert_eq!(host.call(b"1"), Err(Error::Interrupted));
    assert_eq!((host.living(), host.state()), (0, State::Exited));
}

// Unload.

#[test]
fn an_unloading_driver_refuses() {
    let host = running(&[]);
    host.update(Lifecycle::unload);
    assert_eq!(host.call(b"1"), Err(Error::Unloading));
    assert_eq!(start(&host), Err(Error::Unloading));
    replenish(&host);
    assert_eq!(host.made(), 1);
}

#[test]
fn unload_ends_a_call_wherever_it_is() {
    // With the request in the handler's hands, read or not;
    for bytes in [0, 1] {
        let host = running(&[Deed::ReadThen(bytes, Happening::Unload)]);
        assert_eq!(host.call(b"1"), Err(Error::Unloading));
        assert_eq!((host.living(), host.state()), (0, State::Unloading));
    }
    // in a start;
    let host = one();
    host.birth(Birth::Meanwhile(Happening::Unload));
    assert_eq!(host.call(b"1"), Err(Error::Unloading));
    assert_eq!(host.living(), 0);
    // in the queue.
    let host = running(&[]);
    host.occupy();
    host.later(10, |host| host.update(Lifecycle::unload));
    assert_eq!(host.call(b"1"), Err(Error::Unloading));
}

// Starts without a request.

#[test]
fn start_brings_a_handler_into_service_once() {
    let host = one();
    assert_eq!(start(&host), Ok(()));
    assert_eq!(start(&host), Ok(()));
    assert_eq!((host.made(), host.state()), (1, State::Running));
    let counters = host.update(|lifecycle| lifecycle.counters);
    assert_eq!((counters.requests, counters.starts), (0, 1));
    assert!(host.call(b"1").is_ok());
}

#[test]
fn start_says_why_not() {
    let host = one();
    host.birth(Birth::Sick);
    assert_eq!(
        start(&host),
        Err(Error::Start(StartError::Health(Errno::EIO)))
    );
    assert_eq!(host.living(), 0);
}

// Several workers, and spares.

fn two_and_a_spare() -> Host<3> {
    Host::new(Policy {
        workers: 2,
        spares: 1,
        ..Policy::DEFAULT
    })
}

#[test]
fn spares_are_ready_before_they_are_needed() {
    let host = two_and_a_spare();
    replenish(&host);
    assert_eq!((host.made(), host.state()), (3, State::Running));
    replenish(&host);
    assert_eq!(host.made(), 3);
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now(), begin, "the call paid for a start");
}

#[test]
fn a_crash_costs_the_next_caller_no_start() {
    let host = two_and_a_spare();
    host.deeds(&[DIES_READ]);
    replenish(&host);
    assert_eq!(host.call(b"1"), Err(Error::ConnectionReset));
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!((host.now(), host.living()), (begin, 2));
    replenish(&host);
    assert_eq!(host.living(), 3);
}

#[test]
fn a_spare_is_no_third_worker() {
    let host = two_and_a_spare();
    replenish(&host);
    host.occupy();
    let id = host.occupy();
    assert_eq!(
        host.call_within(50, b"1"),
        Err(Error::TimedOut(Seen::Unread))
    );
    host.later(10, move |host| {
        host.discard(id);
        assert!(host.update(|lifecycle| lifecycle.died(id, host.now())));
    });
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now().since(begin).as_millis(), 10);
}

#[test]
fn spares_that_fail_are_charged_and_stop_at_the_pause() {
    let host = two_and_a_spare();
    for _ in 0..9 {
        host.birth(Birth::Sick);
    }
    replenish(&host);
    assert_eq!((host.made(), host.living()), (2, 0));
    host.pass(100);
    replenish(&host);
    assert_eq!((host.made(), host.living()), (3, 0));
}

#[test]
fn spares_that_the_host_has_nothing_for_are_tried_later_and_nobody_is_blamed() {
    let host = two_and_a_spare();
    for _ in 0..9 {
        host.birth(Birth::Exec(Errno::EMFILE));
    }
    for tries in 1..=9 {
        let again = replenish(&host);
        let pause = RestartPolicy::DEFAULT.backoff;
        assert_eq!(again, host.now().after(pause), "after {tries}");
        host.pass(pause.as_millis());
    }
    replenish(&host);
    assert_eq!((host.made(), host.living()), (3, 3));
}

#[test]
fn a_restart_while_a_spare_starts_lets_it_go() {
    let host = two_and_a_spare();
    host.birth(Birth::Meanwhile(Happening::Restart));
    replenish(&host);
    assert_eq!((host.made(), host.living()), (4, 3));
}

#[test]
fn two_calls_at_once_have_a_worker_each() {
    let host = two_and_a_spare();
    replenish(&host);
    let id = host.occupy();
    let begin = host.now();
    assert!(host.call(b"1").is_ok());
    assert_eq!(host.now(), begin, "waited for the other call");
    assert!(host.update(|lifecycle| lifecycle.finished(id, Served::Reply)));
}

// Without an image.

#[test]
fn an_image_is_asked_for_once_and_then_the_call_goes_on() {
    let host = one();
    assert_eq!(host.call(b"12"), Ok(b"21".to_vec()));
    host.update(Lifecycle::withdrawn);
    for process in host.processes.borrow_mut().iter_mut() {
        process.channel.transfer.abort();
        process.alive = false;
    }
    assert_eq!(host.state(), State::Unloaded);
    host.loads.borrow_mut().push_back(None);
    assert_eq!(host.call(b"34"), Ok(b"43".to_vec()));
    assert_eq!(host.made(), 2);
    assert!(host.loads.borrow().is_empty());
}

#[test]
fn whoever_gets_no_image_is_told_why() {
    for error in [
        Error::NotLoaded,
        Error::TimedOut(Seen::Unread),
        Error::Interrupted,
    ] {
        let host = one();
        host.update(Lifecycle::withdrawn);
        host.loads.borrow_mut().push_back(Some(error));
        assert_eq!(host.call(b"12"), Err(error));
        host.loads.borrow_mut().push_back(Some(error));
        assert_eq!(start(&host), Err(error));
        assert_eq!(host.made(), 0);
    }
}

#[test]
fn an_image_that_is_gone_again_is_not_asked_for_twice() {
    let host = one();
    host.update(Lifecycle::withdrawn);
    host.loads.borrow_mut().push_back(None);
    host.birth(Birth::Meanwhile(Happening::Withdraw));
    assert_eq!(host.call(b"12"), Err(Error::NotLoaded));
}

#[test]
fn bytes_before_the_request_was_read_cost_the_handler_its_life_and_not_the_caller_his_reply() {
    let host = one();
    host.deeds(&[Deed::Early]);
    assert_eq!(host.call(b"12"), Ok(b"21".to_vec()));
    assert_eq!((host.made(), host.living()), (2, 1));
    // A second one that does the same shows that it is no accident.
    let host = one();
    host.deeds(&[Deed::Early]).deeds(&[Deed::Early]);
    assert_eq!(host.call(b"12"), Err(Error::BadMessage(Violation::Early)));
}
