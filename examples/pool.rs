// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several workers, and a spare that takes over when one is killed: `cargo run --release --example pool`.

use sample_proto::Request;
use std::error::Error;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use umd::Driver;
use umd_examples::SAMPLE;

fn main() -> Result<(), Box<dyn Error>> {
    let workers = thread::available_parallelism().map_or(2, |count| count.get().min(8));
    let driver = Driver::builder("sample", SAMPLE)
        .workers(workers)
        .spares(1)
        .build()?;
    let over = AtomicBool::new(false);
    let (answered, lost) = (AtomicU32::new(0), AtomicU32::new(0));
    let begin = Instant::now();
    thread::scope(|scope| {
        for caller in 0..2 * workers as u32 {
            let (driver, over, answered, lost) = (&driver, &over, &answered, &lost);
            scope.spawn(move || {
                let mut offset = caller;
                while !over.load(Ordering::Relaxed) {
                    offset = (offset + 9973) % 131_072;
                    let Ok(request) = Request::new(offset) else {
                        continue;
                    };
                    match driver.call(&request) {
                        Ok(_) => answered.fetch_add(1, Ordering::Relaxed),
                        Err(_) => lost.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(100));
            if let Some(pid) = driver.status().pids.first() {
                // As an administrator might.
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let status = driver.status();
    println!(
        "{} callers, {workers} workers: {} answers in {:.1} s, {} requests lost with their handlers",
        2 * workers,
        answered.load(Ordering::Relaxed),
        begin.elapsed().as_secs_f64(),
        lost.load(Ordering::Relaxed),
    );
    println!(
        "{} handlers were started, {} have ended (the last by {}); half of the calls took at most {} us",
        status.starts,
        status.exits,
        status.last_exit.as_deref().unwrap_or("nothing"),
        status.latency_p50_us,
    );
    Ok(())
}
