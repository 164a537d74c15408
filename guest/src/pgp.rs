// SPDX-License-Identifier: MIT OR Apache-2.0
//! The PGP driver: its files, and what it is asked and told by `/sys/kernel/security/umd_pgp/verify`.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;

use crate::driver::Driver;

pub(crate) const MODULE: &str = "umd_pgp";
pub(crate) const DRIVER: Driver = Driver("pgp");

/// Where keys and signatures are that were made for the suite.
const FILES: &str = "/usr/share/umd-pgp";

const VERIFY: &str = "/sys/kernel/security/umd_pgp/verify";

pub(crate) const DETACHED: u32 = 1;
pub(crate) const INLINE: u32 = 2;
pub(crate) const RPM: u32 = 3;

pub(crate) const FD: u32 = 1;
pub(crate) const HEADER_ONLY: u32 = 2;
pub(crate) const TEXT: u32 = 0x80;

/// Bytes of a result.
const RESULT_LEN: usize = 200;

/// One of the files.
pub(crate) fn file(name: &str) -> Result<Vec<u8>> {
    fs::read(path(name)).with_context(|| format!("reading {name}"))
}

/// Where it is.
pub(crate) fn path(name: &str) -> String {
    format!("{FILES}/{name}")
}

/// What GnuPG says that a key's fingerprints are, the primary key's first.
pub(crate) fn fingerprints(name: &str) -> Result<Vec<Vec<u8>>> {
    let text = String::from_utf8(file(&format!("{name}.fpr"))?)?;
    text.lines().map(bytes).collect()
}

/// Bytes from hexadecimal digits.
pub(crate) fn bytes(hex: &str) -> Result<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect()
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the kernel verifies ECDSA.
pub(crate) fn has_ecdsa() -> Result<bool> {
    Ok(fs::read_to_string("/proc/crypto")?.contains("ecdsa-nist-p256"))
}

/// What is written to the file.
#[derive(Clone, Default)]
pub(crate) struct Request<'a> {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) key: i32,
    pub(crate) fd: i32,
    pub(crate) signature: &'a [u8],
    pub(crate) data: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) fn detached(key: i32, signature: &'a [u8], data: &'a [u8]) -> Self {
        Self {
            kind: DETACHED,
            key,
            signature,
            data,
            ..Self::default()
        }
    }

    pub(crate) fn inline(key: i32, message: &'a [u8]) -> Self {
        Self {
            kind: INLINE,
            key,
            data: message,
            ..Self::default()
        }
    }

    pub(crate) fn rpm(key: i32, package: &File) -> Self {
        Self {
            kind: RPM,
            key,
            ..Self::default()
        }
        .of_file(package)
    }

    /// The same with the data in a file.
    pub(crate) fn of_file(self, file: &File) -> Self {
        Self {
            flags: self.flags | FD,
            fd: file.as_raw_fd(),
            data: &[],
            ..self
        }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let numbers = [
            1,
            self.kind,
            self.flags,
            self.key.cast_unsigned(),
            self.fd.cast_unsigned(),
            u32::try_from(self.signature.len())?,
            u32::try_from(self.data.len())?,
            0,
        ];
        let mut bytes: Vec<u8> = numbers.into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.extend(self.signature);
        bytes.extend(self.data);
        Ok(bytes)
    }

    /// Has it answered.
    pub(crate) fn ask(&self) -> Result<Answer> {
        let file = open()?;
        let bytes = self.encode()?;
        let written = rustix::io::write(&file, &bytes).context("writing a request")?;
        ensure!(written == bytes.len(), "{written} of {} bytes", bytes.len());
        Answer::read(&file)
    }

    /// Has it answered, and the signature must be good.
    pub(crate) fn good(&self) -> Result<Answer> {
        let answer = self.ask()?;
        ensure!(
            answer.error == 0 && answer.fingerprint.len() >= 20,
            "it says {answer:?}"
        );
        Ok(answer)
    }

    /// Has it answered, and it must be refused for this reason.
    pub(crate) fn refused(&self, error: Errno) -> Result<Answer> {
        let answer = self.ask()?;
        ensure!(
            answer.error == error.raw_os_error().cast_unsigned() && !answer.reason.is_empty(),
            "it says {answer:?}, not {error:?}"
        );
        ensure!(answer.fingerprint.is_empty(), "and names a key: {answer:?}");
        Ok(answer)
    }
}

/// Opens the file.
pub(crate) fn open() -> Result<File, Errno> {
    let file = File::options().read(true).write(true).open(VERIFY);
    file.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// What is read from the file.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) error: u32,
    pub(crate) flags: u32,
    pub(crate) made: u64,
    pub(crate) data: (usize, usize),
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) primary: Vec<u8>,
    pub(crate) reason: String,
}

impl Answer {
    pub(crate) fn read(file: &File) -> Result<Self> {
        let mut bytes = [0; RESULT_LEN + 1];
        let count = rustix::io::read(file, &mut bytes)?;
        ensure!(count == RESULT_LEN, "a result of {count} bytes");
        let word = |n: usize| {
            let bytes = [0, 1, 2, 3].map(|byte| bytes[4 * n + byte]);
            u32::from_le_bytes(bytes)
        };
        ensure!(word(0) == 1, "a result of version {}", word(0));
        let length = word(8) as usize;
        let text = &bytes[104..RESULT_LEN];
        let end = text.iter().position(|byte| *byte == 0);
        let text = &text[..end.context("the reason does not end")?];
        Ok(Self {
            error: word(1),
            flags: word(2),
            made: u64::from(word(4)) | u64::from(word(5)) << 32,
            data: (word(6) as usize, word(7) as usize),
            fingerprint: bytes[40..][..length].to_vec(),
            primary: bytes[72..][..length].to_vec(),
            reason: String::from_utf8(text.to_vec())?,
        })
    }
}
