// SPDX-License-Identifier: GPL-2.0-only
//! `/sys/kernel/umd/<driver>/`: one value a file. `docs/abi/sysfs-kernel-umd` describes them.

use super::driver::Driver;
use crate::ffi::memory::Arc;
use core::ffi::CStr;
use umd_core::error::Errno;
use umd_core::lockdown::{Element, Elements};
use umd_core::policy::Span;
use umd_core::status::ExitStatus;

type Show = fn(&Driver, &mut Text<'_>);
type Store = fn(&Arc<Driver>, &[u8]) -> Result<(), Errno>;

/// One file of the directory.
pub struct File {
    /// Its name.
    pub name: &'static CStr,
    /// Its permissions.
    pub mode: u16,
    show: Option<Show>,
    store: Option<Store>,
}

const fn read_only(name: &'static CStr, show: Show) -> File {
    File {
        name,
        mode: 0o444,
        show: Some(show),
        store: None,
    }
}

/// The files of a driver's directory.
pub static FILES: [File; 16] = [
    read_only(c"state", |driver, text| {
        text.push(driver.status().0.name());
    }),
    read_only(c"pid", |driver, text| text.signed(i64::from(driver.pid()))),
    read_only(c"starts", |driver, text| {
        text.number(driver.status().1.starts)
    }),
    read_only(c"exits", |driver, text| {
        text.number(driver.status().1.exits)
    }),
    read_only(c"last_exit", |driver, text| {
        match driver.status().1.last_exit {
            Some(ExitStatus::Exited(status)) => {
                text.push("exit ");
                text.number(u64::from(status));
            }
            Some(ExitStatus::Signaled(signal)) => {
                text.push("signal ");
                text.number(u64::from(signal));
            }
            None => text.push("none"),
        }
    }),
    read_only(c"last_denied", |driver, text| {
        match driver.status().1.last_denied {
            Some(denied) => {
                text.number(u64::from(denied.number()));
                text.push(" ");
                text.push(denied.name());
            }
            None => text.push("none"),
        }
    }),
    read_only(c"last_error", |driver, text| {
        match driver.status().1.last_error {
            Some(error) => {
                text.number(u64::from(error.errno().get().unsigned_abs()));
                text.push(" ");
                text.push(error.describe());
            }
            None => text.push("none"),
        }
    }),
    read_only(c"requests", |driver, text| {
        text.number(driver.status().1.requests);
    }),
    read_only(c"replies", |driver, text| {
        text.number(driver.status().1.replies);
    }),
    read_only(c"timeouts", |driver, text| {
        text.number(driver.status().1.timeouts);
    }),
    read_only(c"latency_p50_us", |driver, text| {
        text.number(driver.status().1.latencies.percentile_us(50));
    }),
    read_only(c"latency_p99_us", |driver, text| {
        text.number(driver.status().1.latencies.percentile_us(99));
    }),
    read_only(c"lockdown", lockdown),
    read_only(c"lockdown_in_force", |driver, text| {
        text.push(profile_in_force(driver));
    }),
    File {
        name: c"deadline_ms",
        mode: 0o644,
        show: Some(|driver, text| text.number(driver.deadline().as_millis())),
        store: Some(|driver, bytes| {
            match decimal(bytes) {
                Some(millis @ 1..=3_600_000) => driver.set_deadline(Span::from_millis(millis)),
                _ => return Err(Errno::EINVAL),
            }
            Ok(())
        }),
    },
    File {
        name: c"restart",
        mode: 0o200,
        show: None,
        store: Some(|driver, bytes| match decimal(bytes) {
            Some(1) => Driver::restart(driver).map_err(|error| error.errno()),
            _ => Err(Errno::EINVAL),
        }),
    },
];

/// The profile that the handlers are under; without a confined one, none.
fn profile_in_force(driver: &Driver) -> &'static str {
    match driver.is_confined() {
        true => driver.profile().name(),
        false => "none",
    }
}

/// A table: what was asked for, and what is in force, element by element. The profile's own line comes first.
fn lockdown(driver: &Driver, text: &mut Text<'_>) {
    let requested = super::lockdown::requested(driver.profile());
    let in_force = driver.in_force();
    text.row("element", "requested", "in-force");
    text.row(
        "profile",
        driver.lockdown().name(),
        profile_in_force(driver),
    );
    let word = |set: Elements, element| if set.contains(element) { "yes" } else { "no" };
    for element in Element::ALL {
        let (asked, found) = (word(requested, element), word(in_force, element));
        text.row(element.name(), asked, found);
    }
    // The end of the line that show() adds.
    text.len = text.len.saturating_sub(1);
}

/// Serves a read of the file with this index.
pub fn show(driver: &Driver, index: usize, page: &mut [u8]) -> Result<usize, Errno> {
    let show = FILES
        .get(index)
        .and_then(|file| file.show)
        .ok_or(Errno::EIO)?;
    let mut text = Text { page, len: 0 };
    show(driver, &mut text);
    text.push("\n");
    Ok(text.len)
}

/// Serves a write to the file with this index.
pub fn store(driver: &Arc<Driver>, index: usize, bytes: &[u8]) -> Result<(), Errno> {
    let store = FILES
        .get(index)
        .and_then(|file| file.store)
        .ok_or(Errno::EIO)?;
    store(driver, bytes)
}

/// A page that fills up. What does not fit is left out; `core::fmt` would bring panic paths.
pub struct Text<'p> {
    page: &'p mut [u8],
    len: usize,
}

impl Text<'_> {
    #[inline(never)]
    fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            if let Some(to) = self.page.get_mut(self.len) {
                *to = byte;
                self.len = self.len.saturating_add(1);
            }
        }
    }

    /// Three words in columns, and the end of the line.
    #[inline(never)]
    fn row(&mut self, first: &str, second: &str, third: &str) {
        for (word, width) in [(first, 14_usize), (second, 13)] {
            self.push(word);
            for _ in word.len()..width {
                self.push(" ");
            }
        }
        self.push(third);
        self.push("\n");
    }

    #[inline(never)]
    fn number(&mut self, mut number: u64) {
        // u64::MAX has twenty digits.
        let mut digits = [b'0'; 20];
        let mut first = digits.len();
        for (index, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0'.saturating_add((number % 10) as u8);
            number /= 10;
            first = index;
            if number == 0 {
                break;
            }
        }
        let digits = digits.get(first..).unwrap_or_default();
        self.push(core::str::from_utf8(digits).unwrap_or_default());
    }

    fn signed(&mut self, number: i64) {
        if number < 0 {
            self.push("-");
        }
        self.number(number.unsigned_abs());
    }
}

/// A decimal number, with the newline that `echo` adds or without.
fn decimal(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
