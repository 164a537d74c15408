// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the handler that this crate embeds.

fn main() {
    umd_build::handler("../../drivers/pgp/handler").build();
}
