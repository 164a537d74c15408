// SPDX-License-Identifier: MIT OR Apache-2.0
//! placeholder
pub(crate) fn run() -> anyhow::Result<()> {
    Ok(())
}
