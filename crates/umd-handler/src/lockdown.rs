// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a handler gives up before it sees its first request.
//!
//! Results are ignored throughout: a host looks at the task itself before it hands over a request,
//! and kills one that has kept something. A handler run by hand, without privileges to give up,
//! works all the same.

use crate::channel::{Channel, End, write_all};
use crate::sys;
use umd_core::frame::Header;

/// "nobody" and "nogroup": ids that own nothing.
pub const NOBODY: u32 = 65534;

/// Drops groups, gid and uid, and with them all capabilities; then asks for strict mode. Does nothing where a launcher
/// has set a filter before: there is nothing left to give up then, and to ask for it would be a denied call.
pub fn lock_down() {
    if sys::is_filtered() {
        return;
    }
    drop_ids();
    let _ = sys::seccomp_strict();
}

/// Drops the groups first, then the gid, then the uid: the last takes the privilege for the others
/// away.
pub fn drop_ids() {
    let _ = sys::setgroups_none();
    let _ = sys::setresgid(NOBODY);
    let _ = sys::setresuid(NOBODY);
}

/// Says that the lockdown is done.
pub fn hello(channel: &mut impl Channel) -> Result<(), End> {
    write_all(channel, &Header::hello().encode())
}
