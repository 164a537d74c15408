// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the handlers that are measured.

fn main() {
    umd_build::handler("../../crates/umd-testkit")
        .bin("bench-handler")
        .build();
    umd_build::handler("../../crates/umd-testkit")
        .bin("hostile-handler")
        .build();
    umd_build::handler("../../drivers/sample/handler")
        .bin("sample-handler")
        .build();
}
