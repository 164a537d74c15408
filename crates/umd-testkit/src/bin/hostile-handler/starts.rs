// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong from the start: lockdown, hello, the first reads.

use crate::busy;
use crate::frames::{HUGE, Outbox};
use crate::memory::{ASTRAY, NOWHERE};
use crate::rogue::{self, nr};
use crate::tries::{self, Results};
use umd_core::frame::{HEADER_LEN, Header};
use umd_handler::channel::{Channel, End, Stdio, read_all, write_all};
use umd_handler::lockdown::{drop_ids, hello, lock_down};
use umd_handler::sys::{self, Errno};
use umd_testkit::hostile::Start;

/// The lockdown, or what the start makes of it.
pub(crate) fn give_up(start: Start) {
    match start {
        Start::Exit => sys::exit(7),
        Start::Segv => rogue::segv(),
        Start::Root => {
            let _ = sys::seccomp_strict();
            return;
        }
        Start::Caps => {
            rogue::keep_capabilities();
            drop_ids();
            rogue::raise_setuid();
            let _ = sys::seccomp_strict();
            return;
        }
        Start::Lax => return drop_ids(),
        // While it is root: the limit on processes does not hold for root's own.
        Start::Thread => drop(rogue::clone(rogue::THREAD)),
        Start::Child => drop(rogue::clone(rogue::CHILD)),
        Start::Sibling => drop(rogue::clone(rogue::SIBLING)),
        Start::File => rogue::replace_stderr(),
        Start::Ring => {
            rogue::attempt(nr::CLOSE, [2, 0, 0, 0, 0, 0]);
            tries::ring();
        }
        Start::Filter => tries::filter_nothing(),
        Start::Closes => {
            tries::close_all();
            busy::spin()
        }
        Start::Exec => {
            tries::exec_itself();
        }
        Start::Stop => tries::signal_itself(tries::SIGSTOP),
        Start::Kill => tries::signal_itself(tries::SIGKILL),
        _ => {}
    }
    lock_down();
}

/// The hello, or what the start makes of it.
pub(crate) fn greet(start: Start, outbox: &mut Outbox) -> Result<(), End> {
    let good = Header::hello();
    match start {
        Start::Silent => busy::spin(),
        Start::BadMagic => wrong_hello(0),
        Start::Version => wrong_hello(3),
        Start::HelloStatus => write_all(&mut Stdio, &Header { status: 1, ..good }.encode()),
        Start::HelloId => write_all(&mut Stdio, &Header { id: 1, ..good }.encode()),
        Start::HelloPayload => {
            write_all(&mut Stdio, &Header { length: 4, ..good }.encode())?;
            write_all(&mut Stdio, b"four")
        }
        Start::HelloDrip => {
            let mut bytes = good.encode();
            bytes
                .chunks_mut(1)
                .try_for_each(|byte| write_all(&mut Stdio, byte))
        }
        Start::HelloDie => {
            write_all(&mut Stdio, &good.encode()[..HEADER_LEN / 2])?;
            sys::exit(6)
        }
        Start::HelloHang => {
            write_all(&mut Stdio, &good.encode()[..HEADER_LEN / 2])?;
            busy::spin()
        }
        Start::HelloTwice => hello(&mut Stdio).and_then(|()| hello(&mut Stdio)),
        Start::HelloEndless => loop {
            let _ = hello(&mut Stdio);
        },
        Start::Crash => {
            hello(&mut Stdio)?;
            sys::exit(8)
        }
        Start::Deaf => {
            hello(&mut Stdio)?;
            busy::spin()
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
        Start::HalfHang => {
            hello(&mut Stdio)?;
            read_all(&mut Stdio, &mut [0; 8])?;
            busy::spin()
        }
        Start::Hasty => {
            hello(&mut Stdio)?;
            let request = read_header()?;
            outbox.reply(request.id, b"hasty")
        }
        Start::ReadAstray => {
            hello(&mut Stdio)?;
            read_astray(outbox)
        }
        _ => hello(&mut Stdio),
    }
}

fn wrong_hello(at: usize) -> Result<(), End> {
    let mut bytes = Header::hello().encode();
    bytes[at] ^= 0x40;
    write_all(&mut Stdio, &bytes)
}

fn read_header() -> Result<Header, End> {
    let mut header = [0; HEADER_LEN];
    read_all(&mut Stdio, &mut header)?;
    Header::decode(&header).map_err(|_| End::Protocol)
}

/// Reads the first payload to nowhere and to its own code, then to where it belongs.
fn read_astray(outbox: &mut Outbox) -> Result<(), End> {
    let request = read_header()?;
    let mut results = Results::new();
    for address in NOWHERE.into_iter().chain([rogue::code()]) {
        results.attempt(nr::READ, [0, address, ASTRAY, 0, 0, 0]);
    }
    let mut left = request.length as usize;
    while left > 0 {
        let mut room = [0; 16];
        let count = left.min(room.len());
        read_all(&mut Stdio, &mut room[..count])?;
        left -= count;
    }
    outbox.reply(request.id, results.text())
}

/// How requests are read.
pub(crate) enum Reader {
    /// With room for all that fits.
    Plain,
    /// Byte by byte.
    Drip,
    /// With room that is not there.
    Huge,
}

impl Reader {
    pub(crate) fn of(start: Start) -> Self {
        match start {
            Start::ReadDrip => Self::Drip,
            Start::ReadHuge => Self::Huge,
            _ => Self::Plain,
        }
    }
}

impl Channel for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Plain => Stdio.read(buffer),
            Self::Drip => Stdio.read(buffer.get_mut(..1).unwrap_or_default()),
            Self::Huge => {
                let address = buffer.as_mut_ptr() as usize;
                let count = rogue::attempt(nr::READ, [0, address, HUGE, 0, 0, 0]);
                usize::try_from(count).map_err(|_| Errno(count.unsigned_abs() as i32))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        Stdio.write(bytes)
    }
}
