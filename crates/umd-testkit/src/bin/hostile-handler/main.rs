// SPDX-License-Identifier: MIT OR Apache-2.0
//! Misbehaves as it is told: see `umd_testkit::hostile`.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `starts.rs` | what is wrong from the start: lockdown, hello, the first reads |
//! | `frames.rs` | lies in a reply, and replies that come in odd ways |
//! | `memory.rs` | buffers that are not there, or change |
//! | `busy.rs` | whoever never answers |
//! | `tries.rs` | system calls that a handler has no business with |
//! | `rogue.rs` | all that Rust would not let through |
#![no_std]
#![no_main]

mod busy;
mod frames;
mod memory;
mod rogue;
mod starts;
mod tries;

use frames::Outbox;
use starts::Reader;
use umd_core::frame::{HEADER_LEN, Header};
use umd_handler::channel::{End, Inbox};
use umd_handler::{Buffer, Refusal, name, sys};
use umd_testkit::hostile::{Act, Ask, MOST, Start, UNKNOWN, UNKNOWN_NAME};

fn main() -> ! {
    static REQUEST: Buffer<{ HEADER_LEN + MOST }> = Buffer::new();
    static REPLY: Buffer<{ HEADER_LEN + MOST }> = Buffer::new();
    let Some(start) = Start::named(name()) else {
        sys::exit(UNKNOWN_NAME)
    };
    let mut inbox = Inbox::new(REQUEST.take());
    let mut outbox = Outbox::new(REPLY.take());
    let mut reader = Reader::of(start);
    starts::give_up(start);
    let mut result = starts::greet(start, &mut outbox);
    loop {
        if let Err(end) = result {
            sys::exit(end.exit_status());
        }
        result = serve_one(&mut inbox, &mut outbox, &mut reader);
    }
}

umd_handler::entry!(main);

fn serve_one(inbox: &mut Inbox<'_>, outbox: &mut Outbox, reader: &mut Reader) -> Result<(), End> {
    let request = inbox.receive(reader)?;
    let id = request.id;
    let Some(text) = request.payload else {
        return outbox.send(Header::reply(id, 0, Refusal::TOO_LONG.status()));
    };
    let Some(ask) = Ask::parse(text) else {
        return outbox.send(Header::reply(id, 0, UNKNOWN));
    };
    match ask {
        Ask::Echo(text) => outbox.reply(id, text),
        Ask::Fill(count) => outbox.fill(id, count),
        Ask::Status => outbox.reply(id, name()),
        Ask::Refuse(status) => outbox.send(Header::reply(id, 0, status)),
        Ask::Exit(status) => sys::exit(status.into()),
        Ask::Do(act) => misbehave(act, id, outbox),
        Ask::Try(what) => tries::tell(what, id, outbox),
    }
}

fn misbehave(act: Act, id: u32, outbox: &mut Outbox) -> Result<(), End> {
    match act {
        Act::Syscall => {
            rogue::getpid();
            outbox.reply(id, b"allowed")
        }
        Act::Spin => busy::spin(),
        Act::Ignore => Ok(()),
        Act::ReadNothing => busy::read_nothing(),
        Act::WriteNothing => busy::write_nothing(),
        Act::Late => {
            busy::compute(busy::TOO_LONG);
            outbox.reply(id, b"late")
        }
        Act::ShortDie
        | Act::ShortHang
        | Act::HeaderDie
        | Act::HeaderHang
        | Act::AnswerDie
        | Act::Long
        | Act::LengthMax
        | Act::PromisesMore
        | Act::PromisesLess
        | Act::Overlong
        | Act::WrongId
        | Act::OldId
        | Act::HelloAgain
        | Act::WrongMagic
        | Act::WrongVersion
        | Act::RefuseLong
        | Act::Noise
        | Act::Twice
        | Act::Endless
        | Act::Drip
        | Act::SlowDrip
        | Act::WriteHuge
        | Act::Stderr => frames::lie(act, id, outbox),
        Act::WriteAstray => memory::write_astray(id, outbox),
        Act::Tail => memory::tail(id, outbox),
        Act::Untouched => memory::untouched(id, outbox),
        Act::Changed => memory::changed(id, outbox),
        Act::StackOverflow => memory::overflow_stack(),
        Act::Segv => rogue::segv(),
        Act::WriteCode => rogue::write_code(),
        Act::RunStack => rogue::run_stack(),
        Act::Privileged => rogue::halt(),
    }
}
