// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the handlers that the tests embed.

fn main() {
    umd_build::handler("../../drivers/sample/handler")
        .bin("sample-handler")
        .build();
    umd_build::handler("../../crates/umd-testkit")
        .bin("hostile-handler")
        .build();
    umd_build::handler("../vm/std-handler")
        .standard_library()
        .build();
}
