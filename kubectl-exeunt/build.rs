//! Flags for the linker of the static binary.

include!("../static-pie.rs");

fn main() {
    println!("cargo::rerun-if-changed=../static-pie.rs");
    static_pie();
}
