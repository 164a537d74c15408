// SPDX-License-Identifier: MIT OR Apache-2.0
//! umd_c_api's device: makes the calls of the C API, in any order and with any argument.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;

/// Its module.
pub(crate) const MODULE: &str = "umd_c_api";

/// The loader of its first `struct umd_mgmt`.
pub(crate) const LOADER: &str = "umd_c_loader";

/// Its device.
pub(crate) const PATH: &str = "/dev/umd_c_api";

/// The lengths that a request can have and can ask for: `SIZES` of `tests/vm/c-api/asked.h`.
const SIZES: [usize; 11] = [
    0, 4, 5, 64, 4096, 65_536, 65_537, 131_072, 307_200, 1_048_576, 4_194_304,
];

/// What a command brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Brought {
    /// What the call returned.
    pub(crate) number: i64,
    /// The reply, or whatever else there is.
    pub(crate) bytes: Vec<u8>,
}

impl Brought {
    /// The bytes, where they are text.
    pub(crate) fn text(&self) -> Result<&str> {
        Ok(str::from_utf8(&self.bytes)?.trim_end_matches('\0'))
    }
}

/// An open device.
pub(crate) struct Api(File);

impl AsFd for Api {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Api {
    /// Opens it.
    pub(crate) fn open() -> Result<Self> {
        let file = File::options().read(true).write(true).open(PATH);
        Ok(Self(file.with_context(|| format!("opening {PATH}"))?))
    }

    /// Makes a call: what it brought, or its error.
    pub(crate) fn call(&self, command: &str) -> Result<Result<Brought, Errno>> {
        match rustix::io::write(&self.0, command.as_bytes()) {
            Ok(_) => self.brought().map(Ok),
            Err(Errno::BADRQC) => bail!("{command:?} is no command of {MODULE}"),
            Err(errno) => Ok(Err(errno)),
        }
    }

    /// Only makes a call: whether it succeeded.
    pub(crate) fn raw(&self, command: &str) -> Result<usize, Errno> {
        rustix::io::write(&self.0, command.as_bytes())
    }

    /// Makes a call that has to succeed.
    pub(crate) fn good(&self, command: &str) -> Result<Brought> {
        self.call(command)?.with_context(|| format!("{command:?}"))
    }

    /// Makes a call that has to fail in this way.
    pub(crate) fn bad(&self, command: &str, errno: Errno) -> Result<()> {
        let result = self.call(command)?;
        ensure!(
            result.as_ref().err() == Some(&errno),
            "{command:?} gave {}, not {errno}",
            shown(&result)
        );
        Ok(())
    }

    /// Asks by `how`, "ask 0" say, for an echo of these lengths, and checks it.
    pub(crate) fn echo(&self, how: &str, input: usize, output: usize) -> Result<()> {
        self.repeat(how, 'e', input, output)
    }

    /// The same with a request that is not a plain echo, but has the reply of one.
    pub(crate) fn repeat(&self, how: &str, what: char, input: usize, output: usize) -> Result<()> {
        let brought = self.good(&format!("{how} {what} {input} {output} 1"))?;
        let wanted: Vec<u8> = request(what, input, output, 1)?
            .into_iter()
            .cycle()
            .take(output)
            .collect();
        ensure!(
            brought.bytes == wanted,
            "{what} of {input} bytes: {} bytes came back and not the right ones: {}",
            brought.bytes.len(),
            difference(&brought.bytes, &wanted)
        );
        Ok(())
    }

    fn brought(&self) -> Result<Brought> {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 1 << 16];
        loop {
            let count = rustix::io::pread(&self.0, &mut piece[..], bytes.len() as u64)?;
            bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
            if count == 0 {
                return parse(&bytes);
            }
        }
    }
}

/// A number, a newline, bytes.
fn parse(bytes: &[u8]) -> Result<Brought> {
    let line = bytes.iter().position(|byte| *byte == b'\n');
    let (number, rest) = bytes.split_at(line.context("a result without a line")?);
    Ok(Brought {
        number: str::from_utf8(number)?.parse()?,
        bytes: rest.get(1..).unwrap_or_default().to_vec(),
    })
}

/// The request that the module makes of these words.
fn request(what: char, input: usize, output: usize, number: u8) -> Result<Vec<u8>> {
    let place = |size| SIZES.iter().position(|known| *known == size);
    let (from, to) = place(input)
        .zip(place(output))
        .context("no such length is known")?;
    // As the module makes them: counted up, and the low byte of each number taken.
    let mut bytes: Vec<u8> = (0..input)
        .map(|place| ((place + (place >> 8)) & 0xff) as u8)
        .collect();
    let head = [what as u8, from as u8, to as u8, number];
    for (byte, value) in bytes.iter_mut().zip(head) {
        *byte = value;
    }
    Ok(bytes)
}

fn difference(found: &[u8], wanted: &[u8]) -> String {
    match found.iter().zip(wanted).position(|(a, b)| a != b) {
        Some(place) => format!("they differ from byte {place} on"),
        None => format!("there should be {}", wanted.len()),
    }
}

/// A result, in short.
pub(crate) fn shown(result: &Result<Brought, Errno>) -> String {
    match result {
        Ok(brought) => format!("{} and {} bytes", brought.number, brought.bytes.len()),
        Err(errno) => format!("error {} ({errno})", errno.raw_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read() {
        let brought = parse(b"17\na\nb").unwrap();
        assert_eq!((brought.number, &brought.bytes[..]), (17, &b"a\nb"[..]));
        assert_eq!(parse(b"0\n").unwrap().bytes, b"");
        assert!(parse(b"17").is_err());
        assert!(parse(b"x\n").is_err());
    }

    #[test]
    fn requests_are_known() {
        assert_eq!(request('e', 4, 64, 1).unwrap(), [b'e', 1, 3, 1]);
        assert_eq!(request('e', 0, 64, 1).unwrap(), []);
        let long = request('e', 4096, 0, 9).unwrap();
        assert_eq!(&long[..6], [b'e', 4, 0, 9, 4, 5]);
        assert_eq!(long[256], 1);
        assert!(request('e', 17, 4, 1).is_err());
    }
}
