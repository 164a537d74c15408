// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that are not to be trusted are parsed by somebody else: `cargo run --example parse [FILE]`.
//!
//! The words of the file (without one, of this source) are counted in a process that can open nothing, reach nobody and is gone at
//! its deadline. Then it is asked to do what it should not.

use std::error::Error;
use std::time::Duration;
use umd::{Driver, Lockdown};
use umd_examples::WORDS;

/// What the handler takes at once.
const PIECE: usize = 32 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => include_bytes!("parse.rs").to_vec(),
    };
    let driver = Driver::builder("words", WORDS)
        .lockdown(Lockdown::Compute)
        .deadline(Duration::from_millis(500))
        .build()?;

    let words = String::from_utf8_lossy(&text).replace(|c: char| !c.is_alphanumeric(), " ");
    let piece = words.get(..PIECE).unwrap_or(&words);
    let counts = ask(&driver, &format!("count {piece}"))?;
    let mut counts: Vec<_> = counts
        .split(' ')
        .filter_map(|count| count.split_once('='))
        .collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(count.parse::<u64>().unwrap_or(0)));
    for (word, count) in counts.iter().take(5) {
        println!("{count:>6}  {word}");
    }

    println!("\nWhat it has given up, by what:\n");
    if let Some(report) = driver.report() {
        print!("{report}");
    }

    println!(
        "\nIt opens /etc/passwd:  {}",
        ask(&driver, "open /etc/passwd")?
    );
    for request in ["thread", "panic it was told to"] {
        match ask(&driver, &format!("{request} ")) {
            Ok(answer) => println!("It does \"{request}\":  {answer}"),
            Err(error) => println!("It does \"{request}\":  {error}"),
        }
    }
    println!(
        "And the next one:      {}",
        ask(&driver, "count here we are")?
    );
    Ok(())
}

fn ask(driver: &Driver, request: &str) -> Result<String, umd::Error> {
    let mut reply = vec![0; 64 << 10];
    let length = driver.call_bytes(request.as_bytes(), &mut reply)?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}
