// SPDX-License-Identifier: MIT OR Apache-2.0
//! Has the sample's handler built, which the command carries.

fn main() {
    umd_build::handler("../../drivers/sample/handler").build();
}
