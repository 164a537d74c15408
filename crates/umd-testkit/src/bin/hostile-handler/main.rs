// SPDX-License-Identifier: MIT OR Apache-2.0
//! Misbehaves as it is told: see `umd_testkit::hostile`.
#![no_std]
#![no_main]

mod rogue;

use umd_core::frame::{HEADER_LEN, Header};
use umd_handler::channel::{End, Inbox, Stdio, read_all, write_all};
use umd_handler::lockdown::{drop_ids, hello, lock_down};
use umd_handler::{Buffer, Refusal, name, sys};
use umd_testkit::hostile::{Ask, LONG, MOST, Start, UNKNOWN, UNKNOWN_NAME};

fn main() -> ! {
    static REQUEST: Buffer<{ HEADER_LEN + MOST }> = Buffer::new();
    static REPLY: Buffer<{ HEADER_LEN + MOST }> = Buffer::new();
    let Some(start) = Start::named(name()) else {
        sys::exit(UNKNOWN_NAME)
    };
    let mut inbox = Inbox::new(REQUEST.take());
    let mut outbox = Outbox(REPLY.take());
    give_up(start);
    let mut result = greet(start, &mut outbox);
    loop {
        if let Err(end) = result {
            sys::exit(end.exit_status());
        }
        result = serve_one(&mut inbox, &mut outbox);
    }
}

umd_handler::entry!(main);

/// The lockdown, or what the start makes of it.
fn give_up(start: Start) {
    match start {
        Start::Exit => sys::exit(7),
        Start::Segv => rogue::segv(),
        Start::Thread => {
            // While it is root: the limit on processes does not hold for root's own.
            rogue::clone(rogue::THREAD);
            lock_down();
        }
        Start::Child => {
            rogue::clone(rogue::CHILD);
            lock_down();
        }
        Start::Sibling => {
            rogue::clone(rogue::SIBLING);
            lock_down();
        }
        Start::File => {
            rogue::replace_stderr();
            lock_down();
        }
        Start::Root => {
            let _ = sys::seccomp_strict();
        }
        Start::Caps => {
            rogue::keep_capabilities();
            drop_ids();
            rogue::raise_setuid();
            let _ = sys::seccomp_strict();
        }
        Start::Lax => drop_ids(),
        _ => lock_down(),
    }
}

/// The hello, or what the start makes of it.
fn greet(start: Start, outbox: &mut Outbox) -> Result<(), End> {
    match start {
        Start::Silent => spin(),
        Start::BadMagic => wrong_hello(0),
        Start::Version => wrong_hello(3),
        Start::Crash => {
            hello(&mut Stdio)?;
            sys::exit(8)
        }
        Start::Early => {
            hello(&mut Stdio)?;
            outbox.reply(1, b"early")
        }
        Start::HalfRead => {
            hello(&mut Stdio)?;
            read_all(&mut Stdio, &mut [0; 8])?;
            sys::exit(3)
        }
        Start::Hasty => {
            hello(&mut Stdio)?;
            let mut header = [0; HEADER_LEN];
            read_all(&mut Stdio, &mut header)?;
            let id = Header::decode(&header).map_or(0, |request| request.id);
            outbox.reply(id, b"hasty")
        }
        _ => hello(&mut Stdio),
    }
}

fn wrong_hello(at: usize) -> Result<(), End> {
    let mut bytes = Header::hello().encode();
    bytes[at] ^= 0x40;
    write_all(&mut Stdio, &bytes)
}

fn serve_one(inbox: &mut Inbox<'_>, outbox: &mut Outbox) -> Result<(), End> {
    let request = inbox.receive(&mut Stdio)?;
    let id = request.id;
    let Some(text) = request.payload else {
        return outbox.send(Header::reply(id, 0, Refusal::TOO_LONG.status()));
    };
    let Some(ask) = Ask::parse(text) else {
        return outbox.send(Header::reply(id, 0, UNKNOWN));
    };
    match ask {
        Ask::Echo(text) => outbox.reply(id, text),
        Ask::Fill(count) => {
            for (byte, value) in outbox.0[HEADER_LEN..]
                .iter_mut()
                .zip((0..251).cycle())
                .take(count)
            {
                *byte = value;
            }
            outbox.send(Header::reply(id, count as u32, 0))
        }
        Ask::Status => outbox.reply(id, name()),
        Ask::Refuse(status) => outbox.send(Header::reply(id, 0, status)),
        Ask::Exit(status) => sys::exit(status.into()),
        Ask::Segv => rogue::segv(),
        Ask::Syscall => {
            rogue::getpid();
            outbox.reply(id, b"allowed")
        }
        Ask::Spin => spin(),
        Ask::Ignore => Ok(()),
        Ask::ShortDie => {
            outbox.half(id)?;
            sys::exit(9)
        }
        Ask::ShortHang => {
            outbox.half(id)?;
            spin()
        }
        Ask::Long => outbox.long(id),
        Ask::WrongId => outbox.reply(id.wrapping_add(1), b"wrong-id"),
        Ask::WrongMagic => {
            let mut bytes = Header::reply(id, 0, 0).encode();
            bytes[0] ^= 0x40;
            write_all(&mut Stdio, &bytes)
        }
        Ask::Twice => {
            outbox.reply(id, b"twice")?;
            outbox.reply(id, b"twice")
        }
    }
}

/// Where replies are made: room for a header, then the payload.
struct Outbox(&'static mut [u8]);

impl Outbox {
    /// The right reply, with `payload`.
    fn reply(&mut self, id: u32, payload: &[u8]) -> Result<(), End> {
        self.0[HEADER_LEN..][..payload.len()].copy_from_slice(payload);
        self.send(Header::reply(id, payload.len() as u32, 0))
    }

    /// Header, and as much payload as it says, in one write.
    fn send(&mut self, header: Header) -> Result<(), End> {
        self.0[..HEADER_LEN].copy_from_slice(&header.encode());
        write_all(&mut Stdio, &self.0[..HEADER_LEN + header.length as usize])
    }

    /// A header that says 64, and half of them.
    fn half(&mut self, id: u32) -> Result<(), End> {
        self.0[..HEADER_LEN].copy_from_slice(&Header::reply(id, 64, 0).encode());
        write_all(&mut Stdio, &self.0[..HEADER_LEN + 32])
    }

    fn long(&mut self, id: u32) -> Result<(), End> {
        write_all(&mut Stdio, &Header::reply(id, LONG, 0).encode())?;
        let mut left = LONG as usize;
        while left > 0 {
            let piece = left.min(self.0.len());
            write_all(&mut Stdio, &self.0[..piece])?;
            left -= piece;
        }
        Ok(())
    }
}

/// Without a hint to the processor that this is a wait: emulators take a hundred times as long for that.
fn spin() -> ! {
    let mut rounds = 0_u64;
    loop {
        rounds = core::hint::black_box(rounds.wrapping_add(1));
    }
}
