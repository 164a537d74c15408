// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules of the channel, one test for each; then random handlers, which keep none of them, and
//! honest ones, which are answered for however the bytes are cut.

#[path = "support/play.rs"]
mod play;
mod support;

use core::num::NonZeroU32;
use play::{Act, play, reply};
use proptest::prelude::*;
use support::{Channel, Event, Read};
use umd_core::error::{LockdownCheck, Seen, Violation};
use umd_core::frame::{HEADER_LEN, HELLO_ID, Header};
use umd_core::policy::{Framing, Instant};
use umd_core::transfer::{
    Answer, Ended, Incoming, Outgoing, Progress, Room, Tick, Transfer, Wanted, Withdrawn,
};

const ID: u32 = 7;
const REQUEST: &[u8] = b"what is it?";
const CAPACITY: usize = 8;
const DEADLINE: Instant = Instant::from_nanos(1_000);
const LATE: Instant = Instant::from_nanos(1_000);
const EARLY: Instant = Instant::from_nanos(999);
const DIED_UNREAD: Ended = Ended::Died(Seen::Unread);
const DIED_READ: Ended = Ended::Died(Seen::Read);

/// A framed channel whose handler is admitted.
fn idle() -> Channel {
    let mut channel = Channel::new(Framing::Framed, DEADLINE);
    assert_eq!(channel.write(&Header::hello().encode()), [Event::Hello]);
    channel.transfer.admit();
    channel
}

/// One with a request of which nothing has been read.
fn asked() -> Channel {
    let mut channel = idle();
    channel
        .submit(ID, REQUEST, CAPACITY, DEADLINE)
        .expect("idle");
    channel
}

/// One with a request that has been read to its end.
fn read() -> Channel {
    let mut channel = asked();
    let bytes = channel.read_all(usize::MAX);
    assert_eq!(bytes.len(), HEADER_LEN + REQUEST.len());
    channel
}

/// One with an answer that waits for its caller.
fn answered() -> Channel {
    let mut channel = read();
    assert_eq!(channel.write(&reply(ID, b"it")), [Event::Answered]);
    channel
}

fn raw() -> Channel {
    let mut channel = Channel::new(Framing::Raw, DEADLINE);
    channel.submit(ID, REQUEST, 4, DEADLINE).expect("idle");
    channel
}

fn broken(violation: Violation) -> Option<Result<(Answer, Vec<u8>), Ended>> {
    Some(Err(Ended::Broken(violation, Seen::Read)))
}

// The hello.

#[test]
fn nothing_passes_before_the_hello_is_checked() {
    let mut channel = Channel::new(Framing::Framed, DEADLINE);
    assert_eq!(channel.transfer.start_result(), None);
    assert_eq!(channel.read(99), Read::Nothing);
    assert_eq!(channel.write(&Header::hello().encode()), [Event::Hello]);
    assert_eq!(channel.transfer.start_result(), None);
    assert_eq!(channel.read(99), Read::Nothing);
    // A host that submits all the same gets nowhere.
    assert_eq!(
        channel.submit(ID, REQUEST, CAPACITY, DEADLINE),
        Err(Ended::Aborted(Seen::Unread))
    );
    channel.transfer.admit();
    assert_eq!(channel.transfer.start_result(), Some(Ok(())));
    assert_eq!(channel.submit(ID, REQUEST, CAPACITY, DEADLINE), Ok(()));
}

#[test]
fn a_hello_may_come_byte_by_byte() {
    let mut channel = Channel::new(Framing::Framed, DEADLINE);
    let hello = Header::hello().encode();
    for byte in &hello[..HEADER_LEN - 1] {
        assert_eq!(channel.write(&[*byte]), []);
        assert_eq!(channel.transfer.start_result(), None);
    }
    assert_eq!(channel.write(&hello[HEADER_LEN - 1..]), [Event::Hello]);
}

#[test]
fn what_is_no_hello_ends_the_start() {
    let mut other_magic = Header::hello().encode();
    other_magic[0] = b'x';
    let mut other_version = Header::hello().encode();
    other_version[3] = 9;
    let with_payload = Header::reply(HELLO_ID, 1, 0).encode();
    let with_id = Header::reply(1, 0, 0).encode();
    let with_status = Header::reply(HELLO_ID, 0, 1).encode();
    for (bytes, violation) in [
        (other_magic, Violation::Magic),
        (other_version, Violation::Version),
        (with_payload, Violation::Hello),
        (with_id, Violation::Hello),
        (with_status, Violation::Hello),
    ] {
        let mut channel = Channel::new(Framing::Framed, DEADLINE);
        assert_eq!(channel.write(&bytes), [Event::Kill]);
        let ended = Ended::Broken(violation, Seen::Unread);
        assert_eq!(channel.transfer.start_result(), Some(Err(ended)));
        assert_eq!(channel.transfer.ended(), Some(ended));
    }
}

#[test]
fn a_task_that_fails_its_check_never_gets_a_request() {
    let mut channel = Channel::new(Framing::Framed, DEADLINE);
    channel.write(&Header::hello().encode());
    let ended = Ended::Lockdown(LockdownCheck::Ids);
    assert!(channel.transfer.fail(ended));
    channel.transfer.admit();
    assert_eq!(channel.transfer.start_result(), Some(Err(ended)));
    assert!(channel.submit(ID, REQUEST, CAPACITY, DEADLINE).is_err());
    assert_eq!(channel.read(99), Read::EndOfFile);
}

#[test]
fn a_handler_that_goes_on_writing_while_it_is_checked_is_killed() {
    let mut channel = Channel::new(Framing::Framed, DEADLINE);
    let mut bytes = Header::hello().encode().to_vec();
    bytes.push(0);
    assert_eq!(channel.write(&bytes), [Event::Hello, Event::Kill]);
    channel.transfer.admit();
    assert_eq!(
        channel.transfer.start_result(),
        Some(Err(Ended::Broken(Violation::Unasked, Seen::Unread)))
    );
}

#[test]
fn the_start_deadline_holds_until_the_task_is_checked() {
    let mut silent = Channel::new(Framing::Framed, DEADLINE);
    assert_eq!(silent.transfer.tick(EARLY), Tick::At(DEADLINE));
    assert_eq!(silent.transfer.tick(LATE), Tick::Expired);
    assert_eq!(
        silent.transfer.start_result(),
        Some(Err(Ended::TimedOut(Seen::Unread)))
    );
    let mut checking = Channel::new(Framing::Framed, DEADLINE);
    checking.write(&Header::hello().encode());
    assert_eq!(checking.transfer.tick(EARLY), Tick::At(DEADLINE));
    assert_eq!(checking.transfer.tick(LATE), Tick::Expired);
    checking.transfer.admit();
    assert_eq!(
        checking.transfer.start_result(),
        Some(Err(Ended::TimedOut(Seen::Unread)))
    );
    assert_eq!(idle().transfer.tick(LATE), Tick::Nothing);
}

// A request and its answer.

#[test]
fn one_request_one_reply() {
    let mut channel = asked();
    assert_eq!(channel.collect(), None);
    let mut expected = Header::request(ID, REQUEST.len() as u32).encode().to_vec();
    expected.extend(REQUEST);
    assert_eq!(channel.read_all(5), expected);
    assert_eq!(channel.read(99), Read::Nothing);
    assert_eq!(channel.write(&reply(ID, b"it")), [Event::Answered]);
    assert_eq!(channel.read(99), Read::Nothing);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(2), b"it".to_vec())))
    );
    assert_eq!(channel.collect(), None);
}

#[test]
fn one_read_brings_no_more_than_one_part_of_a_frame() {
    let mut channel = asked();
    let Read::Bytes(header) = channel.read(usize::MAX) else {
        panic!("no header")
    };
    assert_eq!(header.len(), HEADER_LEN);
    assert_eq!(channel.read(usize::MAX), Read::Bytes(REQUEST.to_vec()));
}

#[test]
fn a_request_and_its_reply_may_pass_byte_by_byte() {
    let mut channel = asked();
    assert_eq!(channel.read_all(1).len(), HEADER_LEN + REQUEST.len());
    let bytes = reply(ID, b"12345678");
    let (last, others) = bytes.split_last().expect("a header at least");
    for byte in others {
        assert_eq!(channel.write(&[*byte]), []);
        assert_eq!(channel.collect(), None);
    }
    assert_eq!(channel.write(&[*last]), [Event::Answered]);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(8), b"12345678".to_vec())))
    );
}

#[test]
fn an_empty_request_and_an_empty_reply_are_answered() {
    let mut channel = idle();
    channel.submit(ID, b"", 0, DEADLINE).expect("idle");
    assert_eq!(channel.read_all(99).len(), HEADER_LEN);
    assert_eq!(channel.write(&reply(ID, b"")), [Event::Answered]);
    assert_eq!(channel.collect(), Some(Ok((Answer::Reply(0), vec![]))));
}

#[test]
fn a_refusal_has_a_status_and_nothing_else() {
    let mut channel = read();
    let refusal = Header::reply(ID, 0, 42).encode();
    assert_eq!(channel.write(&refusal), [Event::Answered]);
    let status = NonZeroU32::new(42).expect("42");
    let (answer, _) = channel.collect().expect("a result").expect("an answer");
    assert_eq!(answer, Answer::Rejected(status));

    let mut channel = read();
    let with_payload = Header::reply(ID, 1, 42).encode();
    assert_eq!(channel.write(&with_payload), [Event::Kill]);
    assert_eq!(channel.collect(), broken(Violation::Refusal));
}

#[test]
fn a_reply_that_breaks_a_rule_ends_the_handler() {
    let mut other_magic = reply(ID, b"it");
    other_magic[1] = b'x';
    let mut other_version = reply(ID, b"it");
    other_version[3] = 9;
    for (bytes, violation) in [
        (other_magic, Violation::Magic),
        (other_version, Violation::Version),
        (reply(ID + 1, b"it"), Violation::Id),
        (reply(HELLO_ID, b""), Violation::Id),
        (reply(ID, &[0; CAPACITY + 1]), Violation::TooLong),
        (
            Header::reply(ID, u32::MAX, 0).encode().to_vec(),
            Violation::TooLong,
        ),
    ] {
        let mut channel = read();
        assert_eq!(channel.write(&bytes), [Event::Kill]);
        assert_eq!(channel.collect(), broken(violation));
        assert_eq!(channel.read(99), Read::EndOfFile);
        assert_eq!(channel.write(b"more"), [Event::Closed]);
    }
}

#[test]
fn a_reply_before_the_request_was_read_to_its_end_is_early() {
    for bytes_read in 0..HEADER_LEN + REQUEST.len() {
        let mut channel = asked();
        for _ in 0..bytes_read {
            channel.read(1);
        }
        assert_eq!(channel.write(&reply(ID, b"it")), [Event::Kill]);
        let seen = if bytes_read == 0 {
            Seen::Unread
        } else {
            Seen::Read
        };
        let ended = Ended::Broken(Violation::Early, seen);
        assert_eq!(channel.collect(), Some(Err(ended)));
    }
}

#[test]
fn bytes_that_nobody_asked_for_end_an_idle_handler() {
    let mut channel = idle();
    assert_eq!(channel.write(b"x"), [Event::Kill]);
    assert_eq!(
        channel.transfer.ended(),
        Some(Ended::Broken(Violation::Unasked, Seen::Unread))
    );
}

#[test]
fn surplus_bytes_do_not_touch_the_answer() {
    let mut channel = read();
    let mut bytes = reply(ID, b"it");
    bytes.extend(b"and more");
    assert_eq!(channel.write(&bytes), [Event::Answered, Event::Kill]);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(2), b"it".to_vec())))
    );
    // The next request meets a dead process. That is no fault of its own, and safe to ask again.
    assert_eq!(
        channel.submit(ID + 1, REQUEST, CAPACITY, DEADLINE),
        Err(DIED_UNREAD)
    );
}

#[test]
fn one_request_at_a_time() {
    let again = |mut channel: Channel| {
        assert_eq!(
            channel
                .transfer
                .submit(NonZeroU32::MIN, 0, Room::all(0), DEADLINE),
            Err(Ended::Aborted(Seen::Unread))
        );
        channel
    };
    again(asked());
    again(read());
    let mut channel = again(answered());
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(2), b"it".to_vec())))
    );
}

// Every way to end.

#[test]
fn a_death_tells_whether_the_request_was_read() {
    let mut channel = asked();
    assert!(channel.transfer.close());
    assert_eq!(channel.collect(), Some(Err(DIED_UNREAD)));

    let mut channel = asked();
    channel.read(1);
    assert!(channel.transfer.close());
    assert_eq!(channel.collect(), Some(Err(DIED_READ)));
}

#[test]
fn a_death_in_the_middle_of_a_reply_brings_no_reply() {
    let bytes = reply(ID, b"12345678");
    for written in 0..bytes.len() {
        let mut channel = read();
        assert_eq!(channel.write(&bytes[..written]), []);
        assert!(channel.transfer.close());
        assert_eq!(channel.collect(), Some(Err(DIED_READ)));
    }
}

#[test]
fn an_abort_tells_whether_the_request_was_read() {
    let mut channel = asked();
    assert!(channel.transfer.abort());
    assert_eq!(channel.collect(), Some(Err(Ended::Aborted(Seen::Unread))));

    let mut channel = read();
    assert!(channel.transfer.abort());
    assert_eq!(channel.collect(), Some(Err(Ended::Aborted(Seen::Read))));
}

#[test]
fn a_deadline_tells_whether_the_request_was_read() {
    let mut channel = asked();
    assert_eq!(channel.transfer.tick(EARLY), Tick::At(DEADLINE));
    assert_eq!(channel.transfer.tick(LATE), Tick::Expired);
    assert_eq!(channel.collect(), Some(Err(Ended::TimedOut(Seen::Unread))));

    let mut channel = read();
    channel.write(&reply(ID, b"12345678")[..HEADER_LEN + 3]);
    assert_eq!(channel.transfer.tick(LATE), Tick::Expired);
    assert_eq!(channel.collect(), Some(Err(Ended::TimedOut(Seen::Read))));
}

#[test]
fn an_answer_in_time_stops_the_deadline() {
    let mut channel = answered();
    assert_eq!(channel.transfer.tick(LATE), Tick::Nothing);
    assert!(matches!(channel.collect(), Some(Ok(_))));
    assert_eq!(channel.transfer.tick(LATE), Tick::Nothing);
    assert_eq!(channel.transfer.ended(), None);
}

#[test]
fn a_death_after_the_answer_takes_nothing_back() {
    let mut channel = answered();
    assert!(channel.transfer.close());
    assert_eq!(channel.transfer.ended(), Some(DIED_UNREAD));
    assert_eq!(channel.read(99), Read::EndOfFile);
    assert_eq!(channel.write(b"x"), [Event::Closed]);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(2), b"it".to_vec())))
    );
    assert_eq!(channel.collect(), Some(Err(DIED_UNREAD)));
}

#[test]
fn the_first_end_is_the_end() {
    let ends: [fn(&mut Transfer) -> bool; 4] = [
        Transfer::close,
        Transfer::abort,
        |transfer| transfer.fail(Ended::Lockdown(LockdownCheck::Threads)),
        |transfer| transfer.tick(LATE) == Tick::Expired,
    ];
    for first in ends {
        let mut channel = read();
        assert!(first(&mut channel.transfer));
        let ended = channel.transfer.ended();
        assert!(ended.is_some());
        for later in ends {
            assert!(!later(&mut channel.transfer), "told twice");
            assert_eq!(channel.transfer.ended(), ended);
        }
        assert_eq!(channel.collect().map(Result::err), Some(ended));
    }
}

#[test]
fn late_reports_from_a_copy_change_nothing() {
    for mut channel in [idle(), answered()] {
        channel.transfer.sent(5);
        assert_eq!(channel.transfer.received(5), Progress::More);
        assert_eq!(channel.transfer.header(&[0; 16]), Progress::More);
        channel.transfer.admit();
        assert_eq!(channel.transfer.start_result(), Some(Ok(())));
    }
    let mut dead = read();
    dead.transfer.close();
    dead.transfer.sent(5);
    assert_eq!(dead.transfer.received(5), Progress::More);
    assert_eq!(dead.transfer.header(&[0; 16]), Progress::More);
    dead.transfer.admit();
    assert_eq!(dead.transfer.ended(), Some(DIED_READ));
}

#[test]
fn a_request_that_meets_an_ended_process_is_unread_by_it() {
    for (ended, met) in [
        (DIED_READ, DIED_UNREAD),
        (Ended::TimedOut(Seen::Read), DIED_UNREAD),
        (Ended::Broken(Violation::Unasked, Seen::Unread), DIED_UNREAD),
        (Ended::Aborted(Seen::Read), Ended::Aborted(Seen::Unread)),
    ] {
        let mut channel = idle();
        assert!(channel.transfer.fail(ended));
        assert_eq!(channel.submit(ID, REQUEST, CAPACITY, DEADLINE), Err(met));
    }
}

// Callers that do not wait.

#[test]
fn a_request_of_which_nothing_was_read_is_taken_back() {
    let mut channel = asked();
    assert_eq!(channel.withdraw(), Withdrawn::Free);
    assert_eq!(channel.read(99), Read::Nothing);
    assert_eq!(channel.submit(ID + 1, REQUEST, CAPACITY, DEADLINE), Ok(()));
}

#[test]
fn the_rest_of_a_withdrawn_request_is_zeros() {
    let mut channel = asked();
    channel.read(HEADER_LEN);
    assert_eq!(channel.read(4), Read::Bytes(b"what".to_vec()));
    assert_eq!(channel.withdraw(), Withdrawn::Draining);
    assert_eq!(channel.transfer.outgoing(3), Outgoing::Filler { len: 3 });
    let rest = REQUEST.len() - 4;
    assert_eq!(channel.read_all(3), vec![0; rest]);
}

#[test]
fn the_header_of_a_withdrawn_request_is_completed() {
    let mut channel = asked();
    let Read::Bytes(mut bytes) = channel.read(3) else {
        panic!("no header")
    };
    assert_eq!(channel.withdraw(), Withdrawn::Draining);
    bytes.extend(channel.read_all(99));
    let mut expected = Header::request(ID, REQUEST.len() as u32).encode().to_vec();
    expected.extend([0; REQUEST.len()]);
    assert_eq!(bytes, expected);
}

#[test]
fn a_withdrawn_request_that_is_answered_frees_the_worker() {
    let mut channel = read();
    assert_eq!(channel.withdraw(), Withdrawn::Draining);
    let mut bytes = reply(ID, b"it");
    let payload = bytes.split_off(HEADER_LEN);
    assert_eq!(channel.write(&bytes), []);
    assert_eq!(channel.transfer.incoming(1), Incoming::Discard { len: 1 });
    let drained = Event::Drained(Answer::Reply(2));
    assert_eq!(channel.write(&payload), [drained]);
    assert_eq!(channel.collect(), None);
    assert_eq!(channel.submit(ID + 1, REQUEST, CAPACITY, DEADLINE), Ok(()));

    // So does a refusal.
    let mut channel = read();
    assert_eq!(channel.withdraw(), Withdrawn::Draining);
    let drained = Event::Drained(Answer::Rejected(NonZeroU32::MIN));
    assert_eq!(channel.write(&Header::reply(ID, 0, 1).encode()), [drained]);
}

#[test]
fn a_caller_may_go_in_the_middle_of_the_reply() {
    let mut channel = read();
    let bytes = reply(ID, b"12345678");
    assert_eq!(channel.write(&bytes[..HEADER_LEN + 3]), []);
    assert_eq!(channel.withdraw(), Withdrawn::Draining);
    let drained = Event::Drained(Answer::Reply(8));
    assert_eq!(channel.write(&bytes[HEADER_LEN + 3..]), [drained]);
}

#[test]
fn a_withdrawn_request_keeps_its_rules_and_its_deadline() {
    let mut channel = read();
    channel.withdraw();
    assert_eq!(channel.write(&reply(ID, &[0; CAPACITY + 1])), [Event::Kill]);
    assert_eq!(
        channel.transfer.ended(),
        Some(Ended::Broken(Violation::TooLong, Seen::Read))
    );

    let mut channel = read();
    channel.withdraw();
    assert_eq!(channel.transfer.tick(EARLY), Tick::At(DEADLINE));
    assert_eq!(channel.transfer.tick(LATE), Tick::Expired);
    assert_eq!(channel.transfer.ended(), Some(Ended::TimedOut(Seen::Read)));
}

#[test]
fn an_answer_that_nobody_collects_frees_the_worker() {
    let mut channel = answered();
    assert_eq!(channel.withdraw(), Withdrawn::Free);
    assert_eq!(channel.collect(), None);
    assert_eq!(channel.submit(ID + 1, REQUEST, CAPACITY, DEADLINE), Ok(()));
}

#[test]
fn whoever_withdraws_from_an_ended_process_is_told() {
    let mut channel = read();
    channel.transfer.close();
    assert_eq!(channel.withdraw(), Withdrawn::Ended(DIED_READ));

    let mut channel = answered();
    channel.transfer.close();
    assert_eq!(channel.withdraw(), Withdrawn::Ended(DIED_UNREAD));
    assert_eq!(channel.collect(), Some(Err(DIED_UNREAD)));
}

#[test]
fn there_is_nothing_to_withdraw_without_a_request() {
    assert_eq!(idle().withdraw(), Withdrawn::Free);
    let mut starting = Channel::new(Framing::Framed, DEADLINE);
    assert_eq!(starting.withdraw(), Withdrawn::Free);
    assert_eq!(starting.write(&Header::hello().encode()), [Event::Hello]);
    assert_eq!(starting.withdraw(), Withdrawn::Free);
    starting.transfer.admit();
    assert_eq!(starting.transfer.start_result(), Some(Ok(())));
}

// Raw channels.

#[test]
fn a_raw_channel_has_no_hello_and_no_headers() {
    let mut channel = Channel::new(Framing::Raw, DEADLINE);
    assert_eq!(channel.transfer.start_result(), Some(Ok(())));
    assert_eq!(channel.transfer.tick(LATE), Tick::Nothing);
    channel.submit(ID, REQUEST, 4, DEADLINE).expect("idle");
    assert_eq!(channel.read_all(3), REQUEST);
    assert_eq!(channel.write(b"12"), []);
    assert_eq!(channel.write(b"34"), [Event::Answered]);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(4), b"1234".to_vec())))
    );
}

#[test]
fn a_raw_handler_may_answer_before_it_has_read_all() {
    let mut channel = raw();
    channel.read(1);
    assert_eq!(channel.write(b"1234"), []);
    assert_eq!(channel.collect(), None, "it has not read all");
    assert_eq!(channel.read_all(3), REQUEST[1..]);
    assert_eq!(channel.events, [Event::Answered]);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(4), b"1234".to_vec())))
    );
}

#[test]
fn a_raw_handler_that_answers_before_it_has_read_anything_answers_something_else() {
    for framing in [Framing::Raw, Framing::Stream] {
        let mut channel = Channel::new(framing, DEADLINE);
        channel.submit(ID, REQUEST, 4, DEADLINE).expect("idle");
        assert_eq!(channel.write(b"1"), [Event::Kill]);
        let ended = Ended::Broken(Violation::Early, Seen::Unread);
        assert_eq!(channel.collect(), Some(Err(ended)));
    }
}

#[test]
fn surplus_bytes_end_a_raw_handler_too() {
    let mut channel = raw();
    channel.read_all(99);
    assert_eq!(channel.write(b"12345"), [Event::Answered, Event::Kill]);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(4), b"1234".to_vec())))
    );
    assert_eq!(
        channel.transfer.ended(),
        Some(Ended::Broken(Violation::Unasked, Seen::Unread))
    );

    // Before it has read all as well.
    let mut channel = raw();
    channel.read(1);
    assert_eq!(channel.write(b"12345"), [Event::Kill]);
    assert_eq!(channel.collect(), broken(Violation::Unasked));
}

#[test]
fn a_raw_request_that_was_answered_in_part_cannot_be_taken_back() {
    let mut channel = raw();
    assert_eq!(channel.withdraw(), Withdrawn::Free);

    let mut channel = raw();
    channel.read(2);
    assert_eq!(channel.write(b"12"), []);
    assert_eq!(channel.withdraw(), Withdrawn::Draining);
    assert_eq!(channel.write(b"34"), []);
    let rest = channel.read_all(99);
    assert_eq!(rest, vec![0; REQUEST.len() - 2]);
    assert_eq!(channel.events, [Event::Drained(Answer::Reply(4))]);
    assert_eq!(channel.submit(ID + 1, REQUEST, 4, DEADLINE), Ok(()));
}

#[test]
fn a_raw_request_without_a_reply_is_over_when_it_was_read() {
    for framing in [Framing::Raw, Framing::Stream] {
        let mut channel = Channel::new(framing, DEADLINE);
        channel.submit(ID, REQUEST, 0, DEADLINE).expect("idle");
        assert_eq!(channel.collect(), None);
        assert_eq!(channel.read_all(4), REQUEST);
        assert_eq!(channel.events, [Event::Answered]);
        assert_eq!(channel.collect(), Some(Ok((Answer::Reply(0), vec![]))));
    }
}

// Streams.

fn stream() -> Channel {
    Channel::new(Framing::Stream, DEADLINE)
}

/// The caller reads what there is, or what comes first.
fn submit_read(channel: &mut Channel, capacity: usize) {
    let room = Room {
        capacity,
        filled: channel.kept.len().min(capacity),
        wanted: Wanted::Any,
    };
    channel.submit_for(ID, b"", room, DEADLINE).expect("idle");
}

#[test]
fn an_exchange_of_no_bytes_is_over_at_once() {
    let mut channel = stream();
    channel.submit(ID, b"", 0, DEADLINE).expect("idle");
    assert_eq!(channel.collect(), Some(Ok((Answer::Reply(0), vec![]))));
}

#[test]
fn a_stream_keeps_what_nobody_asked_for() {
    let mut channel = stream();
    assert_eq!(channel.write(b"hello"), []);
    assert_eq!(channel.kept, b"hello");
    // While one sends only, too.
    channel.submit(ID, REQUEST, 0, DEADLINE).expect("idle");
    assert_eq!(channel.write(b" and"), []);
    assert_eq!(channel.read_all(99), REQUEST);
    assert!(matches!(channel.collect(), Some(Ok(_))));
    // And what comes beyond a reply.
    channel.kept.clear();
    channel.submit(ID, REQUEST, 2, DEADLINE).expect("idle");
    channel.read(1);
    assert_eq!(channel.write(b"12more"), []);
    assert_eq!(channel.read_all(99), REQUEST[1..]);
    assert_eq!(channel.write(b" of it"), []);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(2), b"12".to_vec())))
    );
    assert_eq!(channel.kept, b"more of it");
    assert_eq!(channel.transfer.ended(), None);
}

#[test]
fn what_was_left_over_ends_the_handler_and_not_the_request() {
    let mut channel = stream();
    channel.write(b"surplus");
    assert!(channel.transfer.left_over());
    assert_eq!(
        channel.transfer.ended(),
        Some(Ended::Broken(Violation::Unasked, Seen::Unread))
    );
    assert_eq!(
        channel.submit(ID, REQUEST, CAPACITY, DEADLINE),
        Err(DIED_UNREAD)
    );
}

#[test]
fn whoever_reads_gets_what_comes_first() {
    let mut channel = stream();
    submit_read(&mut channel, 8);
    assert_eq!(channel.collect(), None);
    assert_eq!(channel.write(b"123"), [Event::Answered]);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(3), b"123".to_vec())))
    );
    // Or what was there.
    channel.write(b"4567");
    submit_read(&mut channel, 3);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(3), b"456".to_vec())))
    );
    assert_eq!(channel.kept, b"7");
}

#[test]
fn whoever_wants_a_number_of_bytes_gets_what_was_there_and_the_rest() {
    let mut channel = stream();
    channel.write(b"12");
    let room = Room {
        capacity: 4,
        filled: 2,
        wanted: Wanted::All,
    };
    channel.submit_for(ID, b"", room, DEADLINE).expect("idle");
    assert_eq!(channel.collect(), None);
    assert_eq!(channel.write(b"345"), [Event::Answered]);
    assert_eq!(
        channel.collect(),
        Some(Ok((Answer::Reply(4), b"1234".to_vec())))
    );
    assert_eq!(channel.kept, b"5");
}

#[test]
fn a_read_that_is_given_up_leaves_the_handler_in_peace() {
    let mut channel = stream();
    submit_read(&mut channel, 8);
    assert_eq!(channel.withdraw(), Withdrawn::Free);
    assert_eq!(channel.write(b"123"), []);
    assert_eq!(channel.kept, b"123");
}

// Handlers that keep no rule.

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1usize..40).prop_map(Act::Read),
        2 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Act::Write),
        4 => (prop::bool::weighted(0.9), 0usize..12, prop_oneof![5 => Just(0), 1 => 1u32..3])
            .prop_map(|(right_id, len, status)| Act::Frame { right_id, len, status }),
        1 => Just(Act::Hello),
        6 => Just(Act::Behave),
        1 => Just(Act::Close),
        2 => Just(Act::Admit),
        8 => (0usize..20, 0usize..10, any::<bool>())
            .prop_map(|(len, capacity, any)| Act::Submit { len, capacity, any }),
        6 => Just(Act::Collect),
        2 => Just(Act::Withdraw),
        1 => Just(Act::Abort),
        2 => (0u64..30).prop_map(Act::Pass),
    ]
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![
        2 => Just(Framing::Framed),
        1 => Just(Framing::Raw),
        1 => Just(Framing::Stream),
    ]
}

/// Sizes of pieces, used in turn.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..24, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 1_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_handler_reaches_beyond_the_buffers(
        framing in framing(),
        admitted in prop::bool::weighted(0.8),
        acts in prop::collection::vec(act(), 0..60),
    ) {
        play(framing, admitted, &acts);
    }

    /// Whatever the pieces in which it reads and writes, and whoever went away before.
    #[test]
    fn an_honest_handler_is_always_answered_for(
        framing in framing(),
        calls in prop::collection::vec(
            // Raw handlers answer with a byte at least.
            (prop::collection::vec(any::<u8>(), 1..40),
             prop::collection::vec(any::<u8>(), 1..40),
             0usize..60,
             prop::option::weighted(0.3, 0usize..90)),
            1..4),
        pieces in pieces(),
    ) {
        let mut pieces = pieces.into_iter().cycle();
        let mut piece = move || pieces.next().expect("endless");
        let mut channel = Channel::new(framing, DEADLINE);
        if framing == Framing::Framed {
            let hello = Header::hello().encode();
            let (head, tail) = hello.split_at(piece().min(HEADER_LEN - 1));
            channel.write(head);
            prop_assert_eq!(channel.write(tail), [Event::Hello]);
            channel.transfer.admit();
        }
        for (call, (request, answer, spare_room, goes_away)) in calls.into_iter().enumerate() {
            let id = call as u32 + 1;
            // In a raw channel the reply has as many bytes as the buffer.
            let capacity = match framing {
                Framing::Framed => answer.len() + spare_room,
                Framing::Raw | Framing::Stream => answer.len(),
            };
            channel.submit(id, &request, capacity, DEADLINE).expect("idle");
            // The caller goes away after this many pieces, if ever.
            let mut patience = goes_away;
            let mut withdrawn = None;
            let mut step = |channel: &mut Channel| {
                if patience == Some(0) && withdrawn.is_none() {
                    withdrawn = Some(channel.withdraw());
                }
                patience = patience.map(|left| left.saturating_sub(1));
                withdrawn
            };
            // The handler reads its request ...
            let mut got = vec![];
            while step(&mut channel) != Some(Withdrawn::Free) {
                match channel.read(piece()) {
                    Read::Bytes(bytes) => got.extend(bytes),
                    Read::Nothing => break,
                    Read::EndOfFile => panic!("closed on an honest handler"),
                }
            }
            if step(&mut channel) == Some(Withdrawn::Free) {
                continue;
            }
            // ... which is the caller's, up to where that went away ...
            let mut sent = match framing {
                Framing::Framed => Header::request(id, request.len() as u32).encode().to_vec(),
                Framing::Raw | Framing::Stream => vec![],
            };
            sent.extend(&request);
            prop_assert_eq!(got.len(), sent.len());
            match goes_away {
                None => prop_assert_eq!(got, sent),
                Some(_) => {
                    let same = got.iter().zip(&sent).take_while(|(a, b)| a == b).count();
                    prop_assert!(got[same..].iter().all(|byte| *byte == 0));
                }
            }
            // ... and writes its reply.
            let bytes = match framing {
                Framing::Framed => reply(id, &answer),
                Framing::Raw | Framing::Stream => answer.clone(),
            };
            let mut rest = &bytes[..];
            let mut events = vec![];
            while !rest.is_empty() {
                step(&mut channel);
                let (now, later) = rest.split_at(piece().min(rest.len()));
                events.extend(channel.write(now));
                rest = later;
            }
            if withdrawn.is_some() {
                prop_assert_eq!(events, [Event::Drained(Answer::Reply(answer.len()))]);
                prop_assert_eq!(channel.collect(), None);
            } else {
                prop_assert_eq!(events, [Event::Answered]);
                let expected = (Answer::Reply(answer.len()), answer);
                prop_assert_eq!(channel.collect(), Some(Ok(expected)));
            }
        }
        prop_assert_eq!(channel.transfer.ended(), None);
    }
}
