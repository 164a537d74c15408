// SPDX-License-Identifier: MIT OR Apache-2.0
//! Has the handler linked without a C library.

fn main() {
    for argument in umd_handler::LINK_ARGS {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
