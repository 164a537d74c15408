// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C API: `<linux/usermode_driver.h>` and `<linux/usermode_driver_mgmt.h>` as modules in C use them.

pub(crate) mod calls;
pub(crate) mod confinement;
pub(crate) mod demand;
pub(crate) mod faults;
pub(crate) mod misuse;
pub(crate) mod modules;
pub(crate) mod priority;
pub(crate) mod sleep;

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use crate::actor::Actor;
use crate::c_api::{self, Api};
use crate::driver::Driver;
use crate::process;
use crate::time::{patience, slowness, until};

/// `enum umd_lockdown` of `<linux/umd.h>`.
const STRICT: u32 = 1;
const BASIC: u32 = 2;
const SYSTEM_ROOT: u32 = 3;
pub(super) const UNCONFINED: u32 = 4;
pub(super) const COMPUTE: u32 = 5;
const CUSTOM: u32 = 6;

/// The first `struct umd_info` of umd_c_api, with a process. Dropping it cleans up and unloads.
pub(super) struct Process {
    pub(super) api: Api,
}

impl Process {
    /// Loads and forks the static handler under this name, with a deadline that is not met.
    pub(super) fn start(name: &'static str) -> Result<Self> {
        let process = Self::load(name, "load 0 static")?.fork()?;
        Driver(name).set_deadline(patience())?;
        Ok(process)
    }

    /// The same with a deadline.
    pub(super) fn start_for(name: &str, deadline_ms: u32) -> Result<Self> {
        Self::load(name, &format!("load-with 0 static 0 {deadline_ms}"))?.fork()
    }

    /// Only loads, by this command.
    pub(super) fn load(name: &str, command: &str) -> Result<Self> {
        let api = Api::open()?;
        api.good(&format!("name 0 {name}"))?;
        let process = Self { api };
        process.api.good(command)?;
        Ok(process)
    }

    pub(super) fn fork(self) -> Result<Self> {
        self.api.good("fork 0")?;
        Ok(self)
    }

    /// Its process id.
    pub(super) fn pid(&self) -> Result<i32> {
        let pid = self.api.good("show 0")?.number;
        ensure!(pid > 0, "there is no process");
        Ok(i32::try_from(pid)?)
    }

    /// What umd_send_recv() makes of an echo.
    pub(super) fn echo(&self) -> Result<()> {
        self.api.echo("ask 0", 64, 64)
    }

    /// Waits until the process is gone.
    fn gone(&self, pid: i32) -> Result<()> {
        until("the process is gone", || !process::exists(pid))?;
        ensure!(
            self.api.good("exited 0")?.number == 1,
            "it is gone, and has not exited"
        );
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whatever is there: a test has said already what should be.
        let _ = self.api.call("cleanup 0");
        let _ = self.api.call("unload 0");
    }
}

/// The first `struct umd_mgmt` of umd_c_api. Dropping it unloads its handler, and its loader.
struct Managed {
    api: Api,
}

impl Managed {
    /// Initialised, and nothing else.
    fn new(name: &str, kmod: &str, post: &str) -> Result<Self> {
        let api = Api::open()?;
        api.good(&format!("mgmt 0 {name} {kmod} {post}"))?;
        Ok(Self { api })
    }

    /// With a handler of the module's own, and a deadline.
    fn loaded(name: &str, post: &str, deadline_ms: u32) -> Result<Self> {
        let managed = Self::new(name, "-", post)?;
        managed
            .api
            .good(&format!("m-load-with 0 static 0 {deadline_ms}"))?;
        Ok(managed)
    }

    /// Where the machine is slow, modprobe and the start of a handler may take longer than a request has.
    fn echo(&self) -> Result<()> {
        let ask = || self.api.echo("m-ask 0", 64, 64);
        let early = |result: &Result<()>| {
            let error = result.as_ref().err().and_then(|error| error.downcast_ref());
            matches!(error, Some(&Errno::TIMEDOUT))
        };
        let mut result = ask();
        for _ in 1..slowness() {
            if early(&result) {
                result = ask();
            }
        }
        result
    }

    /// The process in service, 0 for none.
    fn pid(&self) -> Result<i32> {
        Ok(i32::try_from(self.api.good("m-show 0")?.number)?)
    }

    /// One of the fields of m-show.
    fn field(&self, name: &str) -> Result<u32> {
        let brought = self.api.good("m-show 0")?;
        field(brought.text()?, name)
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        if crate::modules::is_loaded(c_api::LOADER) {
            // The topic's end says so where that fails.
            let _ = crate::modules::unload(c_api::LOADER);
        }
        let _ = self.api.call("m-unload 0");
    }
}

/// The number in "... name=number ...".
fn field(text: &str, name: &str) -> Result<u32> {
    let value = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let value = value.with_context(|| format!("no {name} in {text:?}"))?;
    Ok(value.parse()?)
}

/// An actor that makes a call and waits in it.
fn waiting(command: &str) -> Result<Actor> {
    let actor = Actor::spawn(&["write", c_api::PATH, command])?;
    until("the actor waits", || process::waits(actor.pid()))?;
    Ok(actor)
}

/// Waits until the handler has taken what there was for it, and said what it had to say.
fn idle(pid: i32) -> Result<()> {
    until("the handler listens", || process::listens(pid))
}

/// Fails unless a call failed in one of these ways.
fn failed(result: &Result<c_api::Brought, Errno>, errors: &[Errno]) -> Result<()> {
    ensure!(
        result.as_ref().is_err_and(|error| errors.contains(error)),
        "it gave {}, not one of {errors:?}",
        c_api::shown(result)
    );
    Ok(())
}
