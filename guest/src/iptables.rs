// SPDX-License-Identifier: MIT OR Apache-2.0
//! `iptables-legacy` and its like, and the socket options behind them.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use bpfilter_proto::abi;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};

use crate::sockopt;

/// Runs a program of iptables; what it printed. Fails where it does.
pub(crate) fn run(words: &[&str]) -> Result<String> {
    feed(words, "")
}

/// The same for one that reads.
pub(crate) fn feed(words: &[&str], input: &str) -> Result<String> {
    let (success, text) = try_feed(words, input)?;
    ensure!(success, "{}: {}", words.join(" "), text.trim());
    Ok(text)
}

/// Runs it; whether it succeeded, and what it printed, complaints included.
pub(crate) fn try_feed(words: &[&str], input: &str) -> Result<(bool, String)> {
    let (program, arguments) = words.split_first().context("no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its input may have ended.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), text))
}

/// A table, or all that the kernel has, as `iptables-legacy-save` tells it, without its comments.
pub(crate) fn save(words: &[&str]) -> Result<String> {
    let text = run(&[&["iptables-legacy-save"], words].concat())?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}

/// What the socket option for a table's outline says.
pub(crate) fn info(table: &str) -> Result<Vec<u8>, Errno> {
    let mut value = named(table, abi::info::LEN);
    get(abi::GET_INFO, &mut value)?;
    Ok(value)
}

/// The same question by a program of 32 bits.
pub(crate) fn info_compat(table: &str) -> Result<(), Errno> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let option = abi::GET_INFO.cast_signed();
    let mut value = named(table, abi::info::LEN);
    sockopt::get_compat(socket, sockopt::IP, option, &mut value)
}

/// Reads an option of the IPv4 tables.
pub(crate) fn get(option: u32, value: &mut [u8]) -> Result<usize, Errno> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    sockopt::get(socket, sockopt::IP, option.cast_signed(), value)
}

/// Writes an option of the IPv4 tables.
pub(crate) fn set(option: u32, value: &[u8]) -> Result<(), Errno> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    sockopt::set(socket, sockopt::IP, option.cast_signed(), value)
}

/// An option for a table, zero behind its name.
pub(crate) fn named(table: &str, length: usize) -> Vec<u8> {
    let mut value = table.as_bytes().to_vec();
    value.resize(length, 0);
    value
}
