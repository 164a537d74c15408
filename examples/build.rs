// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the handlers that the examples embed.

fn main() {
    umd_build::handler("../drivers/sample/handler").build();
    umd_build::handler("../tests/vm/std-handler")
        .standard_library()
        .build();
}
