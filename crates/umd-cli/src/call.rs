// SPDX-License-Identifier: MIT OR Apache-2.0
//! `umd call`: one request to a handler, with all that is known of how it was kept.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use sample_proto::RequestError;
use serde::Serialize;
use umd::{CallError, CallFailure, Cause, Driver, Exit, Lockdown, Question, Report, Status};
use umd_core::policy::Policy;

use crate::Verdict;
use crate::check::Profile;
use crate::input;
use crate::output::{self, Format, FormatArgs};

/// The sample driver's handler.
static SAMPLE: &[u8] = umd::include_handler!("sample-handler");

/// Ask a handler something: the sample that is part of this program, or any other
///
/// The sample answers with 128 KiB of zeros, but for the byte that it was asked for, which is 1; each is checked.
///
/// Exits with 1 where there is no answer, or a wrong one.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  umd call sample 4242\n  umd call sample 4242 --report\n  \
                  umd call --blob parser.umd --request 0badcafe --reply-max 64\n  \
                  umd call --blob parser.umd --request @file.pgp --reply-max 65536 --lockdown compute --json"
)]
pub(crate) struct Call {
    /// A driver that is part of this program
    #[arg(
        required_unless_present = "blob",
        requires = "offset",
        conflicts_with = "blob"
    )]
    driver: Option<Embedded>,

    /// Which byte of the sample's shall be 1
    #[arg(value_parser = offset)]
    offset: Option<sample_proto::Request>,

    /// The file of another handler
    #[arg(long, value_name = "FILE", requires_all = ["request", "reply_max"])]
    blob: Option<PathBuf>,

    /// What it is asked: bytes in hexadecimal, or all of a file
    #[arg(long, value_name = "HEX|@FILE", requires = "blob", value_parser = Request::parse)]
    request: Option<Request>,

    /// The most bytes that it may answer
    #[arg(long, value_name = "BYTES", requires = "blob")]
    reply_max: Option<usize>,

    /// What it gives up
    #[arg(long, value_name = "NAME", default_value = "strict")]
    lockdown: Profile,

    /// From the call's begin to its end, in milliseconds; the handler's start is part of it
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    deadline: u64,

    /// Say which system call it was denied, if it was; that is the handler's own word
    #[arg(long)]
    diagnose: bool,

    /// Show what of its lockdown was in force
    #[arg(long)]
    report: bool,

    #[command(flatten)]
    format: FormatArgs,
}

/// A driver that is part of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Embedded {
    /// 128 KiB in which one byte is 1
    Sample,
}

/// What another handler is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Request {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Request {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix('@') {
            return Ok(Self::File(path.into()));
        }
        let wrong = || {
            "bytes in hexadecimal have two digits each, as in 0badcafe; a file's name has @ before it".to_owned()
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(wrong());
        };
        let byte = |pair: &[u8; 2]| {
            // Not even a sign, which from_str_radix takes.
            let digits = pair.map(|digit| char::from(digit).to_digit(16));
            Some((digits[0]? << 4 | digits[1]?) as u8)
        };
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        bytes.map(Self::Bytes).ok_or_else(wrong)
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File(path) => request(path),
        }
    }
}

fn offset(text: &str) -> Result<sample_proto::Request, String> {
    sample_proto::Request::parse(text.as_bytes()).map_err(|error| match error {
        RequestError::Malformed => "an offset is a decimal number, as 4242".to_owned(),
        RequestError::OutOfRange => format!("an offset is below {}", sample_proto::REPLY_LEN),
    })
}

/// The most bytes of a handler: what it has of memory, its file included.
const HANDLER_MAX: u64 = Policy::DEFAULT.memory_max;

/// The most bytes of a request in a file.
const REQUEST_MAX: u64 = 256 << 20;

/// Reads a request, which may come out of a pipe.
fn request(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(REQUEST_MAX + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", input::name(path)))?;
    if bytes.len() as u64 > REQUEST_MAX {
        bail!(
            "{} has more than {} MiB, which a request may have",
            input::name(path),
            REQUEST_MAX >> 20
        );
    }
    Ok(bytes)
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Outcome {
    reply: Option<Reply>,
    error: Option<Failure>,
    /// What of its lockdown was in force; nothing where no handler is left.
    report: Option<Report>,
    status: Status,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    /// Of the sample: the byte that is 1; all others are 0.
    Offset(u32),
    /// Of any other, in hexadecimal.
    Hex(String),
}

#[derive(Debug, Serialize)]
struct Failure {
    message: String,
    /// As errno(3); nothing where there was a reply, and a wrong one.
    errno: Option<i32>,
    /// The number with which the handler refused the request, if it did.
    refusal: Option<u32>,
    /// How the handler ended, where it did.
    exit: Option<Exit>,
}

impl<W: std::fmt::Debug> From<CallError<W>> for Failure {
    fn from(error: CallError<W>) -> Self {
        let call = match &error {
            CallError::Failed(error) => Some(error),
            CallError::Wrong(_) => None,
        };
        let refusal = match call.map(umd::Error::cause) {
            Some(Cause::Call(CallFailure::Rejected(status))) => Some(status.get()),
            _ => None,
        };
        Self {
            message: error.to_string(),
            errno: call.map(umd::Error::errno),
            refusal,
            exit: call.and_then(umd::Error::exit),
        }
    }
}

impl Call {
    pub(crate) fn format(&self) -> Format {
        self.format.format()
    }

    pub(crate) fn run(&self) -> Result<Verdict> {
        let (driver, reply) = match (self.offset, &self.blob) {
            (Some(question), None) => {
                let driver = self.driver("sample", SAMPLE, sample_proto::REQUEST_LEN)?;
                let reply = driver.call(&question);
                (driver, reply.map(Reply::Offset).map_err(Failure::from))
            }
            (_, blob) => {
                let blob = input::read(blob.as_deref().unwrap_or(Path::new("")), HANDLER_MAX)?;
                let request = self.request.as_ref().map(Request::bytes);
                let request = request.transpose()?.unwrap_or_default();
                let driver = self.driver("blob", &blob, request.len())?;
                let mut room = vec![0; self.reply_max.unwrap_or(0)];
                let reply = driver.call_bytes(&request, &mut room);
                let reply = reply.map(|length| hex(room.get(..length).unwrap_or_default()));
                let failure = |error| Failure::from(CallError::<()>::Failed(error));
                (driver, reply.map(Reply::Hex).map_err(failure))
            }
        };
        let (report, status) = (driver.report(), driver.status());
        driver.shutdown();
        let (reply, error) = match reply {
            Ok(reply) => (Some(reply), None),
            Err(failure) => (None, Some(failure)),
        };
        let outcome = Outcome {
            reply,
            error,
            report,
            status,
        };
        output::result(self.format(), &outcome, || self.text(&outcome))?;
        match (&outcome.error, self.format()) {
            (None, _) => Ok(Verdict::Fine),
            (Some(_), Format::Json) => Ok(Verdict::Found),
            (Some(failure), Format::Text) => Err(anyhow::Error::msg(failure.message.clone())),
        }
    }

    fn driver(&self, name: &str, blob: &[u8], request_len: usize) -> Result<Driver> {
        let builder = Driver::builder(name, blob)
            .lockdown(match self.lockdown {
                Profile::Strict => Lockdown::Strict,
                Profile::Compute => Lockdown::Compute,
            })
            .deadline(Duration::from_millis(self.deadline))
            // The handler's start is part of it, and has all of it.
            .start_deadline(Duration::from_millis(self.deadline))
            .request_max(request_len);
        let builder = if self.diagnose {
            builder.diagnose()
        } else {
            builder
        };
        builder.build().context("there is no driver")
    }

    fn text(&self, outcome: &Outcome) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = match &outcome.reply {
            Some(Reply::Offset(offset)) => {
                let length = sample_proto::Request::REPLY_MAX;
                writeln!(text, "byte {offset} of {length} is 1, all others are 0")
            }
            Some(Reply::Hex(hex)) => writeln!(text, "{hex}"),
            None => Ok(()),
        };
        match &outcome.report {
            Some(report) if self.report => text + &format!("\n{report}"),
            None if self.report => text + "\nno handler is left to report on\n",
            _ => text,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_hexadecimal_or_files() {
        for (text, bytes) in [
            ("", &[][..]),
            ("00", &[0]),
            ("0BadCafe", &[0x0b, 0xad, 0xca, 0xfe]),
        ] {
            assert_eq!(Request::parse(text), Ok(Request::Bytes(bytes.to_vec())));
            assert_eq!(hex(bytes), text.to_lowercase());
        }
        let file = Ok(Request::File("x y".into()));
        assert_eq!(Request::parse("@x y"), file);
        for text in ["0", "0x00", "zz", "+1", "0 ", "größe", "123"] {
            assert!(
                Request::parse(text).is_err_and(|error| error.contains("two digits")),
                "{text}"
            );
        }
    }

    #[test]
    fn offsets_are_those_of_the_sample() {
        assert_eq!(offset("4242").map(sample_proto::Request::offset), Ok(4242));
        assert!(offset("131072").is_err_and(|error| error.contains("below 131072")));
        assert!(offset("x").is_err_and(|error| error.contains("decimal")));
    }
}
